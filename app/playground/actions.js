// What a person can do, and what follows from it.
import * as api from "./api.js";
import { announce, busy, changed, state } from "./state.js";
import { follow } from "./events.js";
import { forgetTraces, watchTrace } from "./spans.js";
import { apply, newTurn, replace, turnOf } from "./turns.js";

const wanted = () => new URLSearchParams(location.hash.slice(1));

export async function start() {
  await attempt(async () => {
    const [agents, links] = await Promise.all([api.agents(), api.links()]);
    changed({ agents, links, keyAsked: null });
    if (wanted().get("session")) await openSession(wanted().get("session"));
    else choose(wanted().get("agent") ?? firstReady());
    await loadSessions();
  });
}

const firstReady = () => state.agents.find((agent) => agent.status === "ready")?.name;

export async function enter(key) {
  api.setKey(key);
  await start();
}

// An error is shown, and does no more harm.
async function attempt(work) {
  try {
    return await work();
  } catch (error) {
    if (error.name === "AbortError") return undefined;
    if (!(error instanceof api.Problem && error.status === 401)) notify(error.message);
    return undefined;
  }
}

let vanishing;
export function notify(notice) {
  clearTimeout(vanishing);
  vanishing = setTimeout(() => changed({ notice: null }), 8000);
  changed({ notice });
}

export function choose(name) {
  leave();
  const agent = state.agents?.find((card) => card.name === name) ?? null;
  changed({ agent, session: null, sessionId: null, turns: [], moreTurns: null, traced: null, panel: null });
  remember();
}

export const anew = () => choose(state.agent?.name);

function remember() {
  const place = state.sessionId ? { session: state.sessionId } : state.agent ? { agent: state.agent.name } : {};
  history.replaceState(null, "", `#${new URLSearchParams(place)}`);
}

function leave() {
  for (const turn of state.turns) turn.abort?.abort();
  forgetTraces();
}

export async function loadSessions(more = false) {
  await attempt(async () => {
    const page = await api.sessions(more ? state.moreSessions : null);
    const known = new Map(state.sessions.map((session) => [session.session_id, session.title]));
    const items = page.items.map((session) => ({ ...session, title: known.get(session.session_id) }));
    changed({ sessions: more ? [...state.sessions, ...items] : items, moreSessions: page.next_cursor });
    await Promise.all(items.filter((session) => !session.title).map(entitle));
  });
}

// A conversation is known by its first words, also where no run of it was completed.
async function entitle(session) {
  const id = session.session_id;
  const own = id === state.sessionId ? state.turns[0]?.task : null;
  const said = own ?? (await api.firstMessage(id).catch(() => null))?.content ?? (await api.lastTask(id).catch(() => null));
  session.title = said ? words(said) : "";
  changed();
}

export function words(content) {
  if (Array.isArray(content)) return content.map((part) => part.text ?? "[image]").join(" ");
  return typeof content === "string" ? content : JSON.stringify(content);
}

export async function search(text) {
  changed({ search: text });
  while (text && state.search === text && state.moreSessions && state.sessions.length < 300) await loadSessions(true);
}

export async function openSession(id) {
  leave();
  changed({ sessionId: id, turns: [], moreTurns: null, traced: null, loading: true, panel: null });
  const found = await attempt(async () => {
    const session = await api.session(id);
    const turns = await turnsOf(id, null);
    if (state.sessionId !== id) return true;
    const agent = state.agents.find((card) => card.name === session.agent) ?? { name: session.agent, status: "gone", tools: [], participants: [] };
    changed({ session, agent, turns });
    remember();
    for (const turn of turns.filter((turn) => !turn.ended)) join(turn);
    watchTrace(turns.at(-1));
    recall(turns);
    return true;
  });
  changed({ loading: false });
  if (!found && state.sessionId === id) choose(state.agent?.name ?? firstReady());
}

export async function loadEarlier() {
  const id = state.sessionId;
  const earlier = await attempt(() => turnsOf(id, state.moreTurns));
  if (!earlier || state.sessionId !== id) return;
  changed({ turns: [...earlier, ...state.turns] });
  recall(earlier);
}

// What was thought of the runs, which is no part of them.
async function recall(turns) {
  await attempt(() => Promise.all(turns.filter((turn) => turn.ended).map(async (turn) => {
    const [said] = await api.feedbackOf(turn.runId);
    if (said) turn.feedback ??= { score: said.score, comment: said.comment };
    changed();
  })));
}

async function turnsOf(id, cursor) {
  const page = await api.runs(id, cursor);
  const runs = await Promise.all(page.items.map((run) => api.run(run.run_id)));
  changed({ moreTurns: page.next_cursor });
  return runs.reverse().map(turnOf);
}

export async function removeSession(id) {
  await attempt(async () => {
    await api.removeSession(id);
    changed({ sessions: state.sessions.filter((session) => session.session_id !== id) });
    if (state.sessionId === id) anew();
  });
}

export function send(task) {
  if (!state.agent || busy()) return;
  const turn = newTurn({ task });
  const sessionId = state.sessionId ?? randomId();
  const idempotency = randomId();
  changed({ turns: [...state.turns, turn], sessionId, traced: null });
  remember();
  const name = encodeURIComponent(state.agent.name);
  const body = { task, session_id: sessionId, on_disconnect: "continue" };
  const headers = { Accept: "text/event-stream", "Idempotency-Key": idempotency };
  watch(turn, (signal) => api.ask(`agents/${name}/stream`, { method: "POST", body, headers, signal }));
}

const join = (turn) => watch(turn, null);

async function watch(turn, open) {
  turn.abort = new AbortController();
  const { signal } = turn.abort;
  const onEvent = (event) => {
    apply(turn, event);
    if (event.type !== "text.delta" && event.type !== "thought.delta") heard(turn, event);
    changed();
  };
  try {
    const end = await follow({ open, runId: turn.runId, signal, onEvent, onLine: (up) => changed({ offline: !up }) });
    if (end === "gone" || !turn.ended) replace(turn, await api.run(turn.runId));
    if (!turn.ended) return join(turn); // it goes on: its events are told again from the start
  } catch (error) {
    if (signal.aborted) return;
    Object.assign(turn, { status: "failed", ended: true, error: error.body ?? { detail: error.message } });
  }
  changed({ offline: false });
  loadSessions();
}

function heard(turn, { type, data }) {
  watchTrace(turn);
  if (type === "run.started") loadSessions();
  if (type === "message" && data.message.source !== "user" && data.message.type === "text") {
    announce(`${data.message.source}: ${data.message.content.slice(0, 2000)}`);
  }
  if (type === "message" && data.message.type === "tool_call") announce(`${data.message.source} calls ${data.message.name}`);
  if (type === "input.required") announce(`Waiting for you: ${data.prompt}`);
  if (type === "run.failed") announce("The run failed.");
  if (type === "run.cancelled") announce("The run was stopped.");
}

export async function stop() {
  const turn = busy();
  if (!turn) return;
  if (!turn.runId) turn.abort.abort();
  else await attempt(() => api.cancel(turn.runId));
}

export const answer = (turn, input) => attempt(() => api.answer(turn.runId, turn.question.input_id, input));

// One after the other: a comment may be sent before the vote has been taken.
export function rate(turn, score, comment) {
  turn.rated = Promise.resolve(turn.rated).then(() => attempt(async () => {
    await api.feedback(turn.runId, { score, label: score ? "good" : "bad", ...(comment && { comment }) });
    turn.feedback = { score, comment };
    announce("Feedback sent.");
    changed();
  }));
}

export function showTrace(turn) {
  changed({ traced: turn, traceOpen: true, panel: "trace" });
  watchTrace(turn);
}

// `crypto.randomUUID` is there for https and localhost alone.
function randomId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
