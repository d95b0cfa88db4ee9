// What the page shows, as one value; whoever changes it says so, and it is painted with the next frame.

export const state = {
  agents: null,
  agent: null, // the card of the one that is talked to
  links: {},
  sessions: [],
  moreSessions: null, // the cursor of the next page
  search: "",
  sessionId: null,
  session: null,
  turns: [],
  moreTurns: null,
  loading: false,
  offline: false,
  keyAsked: null, // why a key is asked for
  panel: null, // what lies over the conversation on a small screen: "sidebar" or "trace"
  traceOpen: wide(),
  traced: null, // the turn whose trace is shown; null: the latest
  dialog: null, // "copy", "agent" or "keys"
  notice: null,
  announcement: "",
};

let paint = () => {};
let awaited = false;

export function paintWith(painter) {
  paint = painter;
  paint();
}

export function changed(changes = {}) {
  Object.assign(state, changes);
  if (awaited) return;
  awaited = true;
  requestAnimationFrame(() => {
    awaited = false;
    paint();
  });
}

// Whether the trace has a place beside the conversation, instead of over it.
export function wide() {
  return matchMedia("(min-width: 1100px)").matches;
}

export const closePanel = () => changed({ panel: null, traceOpen: state.traceOpen && wide() });

// For those who hear the page instead of seeing it.
export const announce = (text) => changed({ announcement: text });

export const current = () => state.traced ?? state.turns.at(-1) ?? null;
export const busy = () => state.turns.find((turn) => !turn.ended) ?? null;
