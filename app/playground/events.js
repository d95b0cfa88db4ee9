// A run's events, each once and in order, however often the network drops. Read with fetch, since an EventSource sends
// no key; its rules (https://html.spec.whatwg.org/multipage/server-sent-events.html) are kept: come back after what was
// seen last, stop at 204.
import { ask, Problem } from "./api.js";

const FIRST_MS = 300;
const LONGEST_MS = 5000;
const ENDS = new Set(["run.completed", "run.failed", "run.cancelled"]);

// Follows a run from `open` on, which is asked for until the run's id is known; `onEvent` gets each event, `onLine`
// whether the connection stands. Resolves with "ended", or "gone" where the events are no longer kept.
export async function follow({ open, runId, onEvent, onLine, signal }) {
  const place = { runId, id: null, attempt: 0, seq: 0 };
  let wait = FIRST_MS;
  for (;;) {
    try {
      const response = await (place.runId ? resume(place, signal) : open(signal));
      if (response.status === 204) return "ended";
      place.runId ??= response.headers.get("X-Run-ID");
      onLine(true);
      for await (const event of frames(response.body)) {
        wait = FIRST_MS;
        if (!isNew(place, event)) continue;
        onEvent(event);
        if (ENDS.has(event.type)) return "ended";
      }
    } catch (error) {
      if (signal.aborted) throw error;
      if (error instanceof Problem && error.status === 410) return "gone";
      if (error instanceof Problem && error.status < 500 && error.status !== 429) throw error;
      if (error instanceof Problem && !place.runId) throw error;
    }
    onLine(false);
    await pause(wait, signal);
    wait = Math.min(2 * wait, LONGEST_MS);
  }
}

function resume(place, signal) {
  const headers = { Accept: "text/event-stream", ...(place.id && { "Last-Event-ID": place.id }) };
  return ask(`runs/${place.runId}/stream`, { headers, signal });
}

// A run that is joined from its start tells again what was seen of it.
function isNew(place, event) {
  const [attempt, seq] = event.id.slice(event.id.lastIndexOf(":") + 1).split("-").map(Number);
  if (attempt < place.attempt || (attempt === place.attempt && seq <= place.seq)) return false;
  Object.assign(place, { runId: event.data.run_id, id: event.id, attempt, seq });
  return true;
}

export async function* frames(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      const blocks = (rest + value).split("\n\n");
      rest = blocks.pop();
      for (const block of blocks) {
        const event = parsed(block);
        if (event) yield event;
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

function parsed(block) {
  const fields = {};
  for (const line of block.split("\n")) {
    const colon = line.indexOf(":");
    if (colon > 0) fields[line.slice(0, colon)] = line.slice(colon + 1).replace(/^ /, "");
  }
  return fields.data && { id: fields.id, type: fields.event, data: JSON.parse(fields.data) };
}

// Until so much time has passed, or the network is back.
function pause(ms, signal) {
  return new Promise((resolve, reject) => {
    const done = () => {
      clearTimeout(timer);
      removeEventListener("online", done);
      signal.removeEventListener("abort", left);
      resolve();
    };
    const left = () => {
      done();
      reject(signal.reason);
    };
    const timer = setTimeout(done, ms);
    addEventListener("online", done);
    signal.addEventListener("abort", left);
  });
}
