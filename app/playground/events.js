// A run's events, each once and in order, however often the network drops. Read with fetch, since an EventSource sends
// no key; its rules (https://html.spec.whatwg.org/multipage/server-sent-events.html) are kept: come back after what was
// seen last, stop at 204.
import { ask, Problem } from "./api.js";

const FIRST_MS = 300;
const LONGEST_MS = 5000;
const SILENT_MS = 40_000; // a connection that brings nothing for so long is none: a comment comes every 15 seconds
const ENDS = new Set(["run.completed", "run.failed", "run.cancelled"]);

// Follows a run from `open` on, which is asked for until the run's id is known; `onEvent` gets each event, `onLine`
// whether the network does its part. Resolves with "ended", or "gone" where the events are no longer kept.
export async function follow({ open, runId, onEvent, onLine, signal }) {
  const place = { runId, id: null, attempt: 0, seq: 0 };
  let wait = FIRST_MS;
  for (;;) {
    const line = lineOf(signal);
    try {
      const response = await (place.runId ? resume(place, line.signal) : open(line.signal));
      if (response.status === 204) return "ended";
      place.runId ??= response.headers.get("X-Run-ID");
      onLine(true);
      for await (const event of frames(response.body, line.heard)) {
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
      onLine(false);
    } finally {
      line.close();
    }
    await pause(wait, signal);
    wait = Math.min(2 * wait, LONGEST_MS);
  }
}

function resume(place, signal) {
  const headers = { Accept: "text/event-stream", ...(place.id && { "Last-Event-ID": place.id }) };
  return ask(`runs/${place.runId}/stream`, { headers, signal });
}

// One connection's life: it ends with what it is for, when the browser says that it is offline, and when it is silent.
// Neither of the latter two would end a fetch by itself for minutes.
function lineOf(signal) {
  const line = new AbortController();
  const drop = () => line.abort();
  let timer = setTimeout(drop, SILENT_MS);
  const heard = () => {
    clearTimeout(timer);
    timer = setTimeout(drop, SILENT_MS);
  };
  const close = () => {
    clearTimeout(timer);
    removeEventListener("offline", drop);
    signal.removeEventListener("abort", drop);
  };
  addEventListener("offline", drop);
  signal.addEventListener("abort", drop);
  return { signal: line.signal, heard, close };
}

// A run that is joined from its start tells again what was seen of it.
function isNew(place, event) {
  const [attempt, seq] = event.id.slice(event.id.lastIndexOf(":") + 1).split("-").map(Number);
  if (attempt < place.attempt || (attempt === place.attempt && seq <= place.seq)) return false;
  Object.assign(place, { runId: event.data.run_id, id: event.id, attempt, seq });
  return true;
}

async function* frames(body, heard) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      heard();
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
