// A turn: what was asked, and what became of it, put together from a run's events or from the run as it is kept.
// An item that changes becomes another object, so that only it is rendered again.

let keys = 0;

export function newTurn(fields = {}) {
  return {
    key: ++keys, runId: null, task: null, told: false, status: "starting", ended: false, items: [], index: new Map(),
    calls: new Map(), usage: null, error: null, question: null, traceId: null, attempt: 1, startedAt: Date.now(),
    firstTextAt: null, endedAt: null, feedback: null, events: 0, abort: null, ...fields,
  };
}

export function turnOf(run) {
  const startedAt = Date.parse(run.created_at);
  const turn = newTurn({ runId: run.run_id, startedAt, firstTextAt: 0 }); // when that came, this page has not seen
  settle(turn, run);
  if (turn.ended) for (const message of run.messages ?? []) add(turn, message); // else its events tell them again
  return turn;
}

export function apply(turn, { type, data }) {
  turn.events += 1;
  turn.runId = data.run_id;
  switch (type) {
    case "run.started": // also of a run that is told again from its start
    case "run.restarted":
      forget(turn);
      Object.assign(turn, { status: "running", question: null, traceId: data.trace_id, attempt: data.attempt });
      break;
    case "text.delta":
    case "thought.delta":
      grow(turn, data, type === "thought.delta");
      break;
    case "message":
      add(turn, data.message);
      break;
    case "input.required":
      Object.assign(turn, { status: "input_required", question: data });
      break;
    default:
      settle(turn, { ...data.run, error: data.error ?? data.run.error });
  }
  if (turn.question && type !== "input.required") resumed(turn);
}

// Once the run is read anew: its messages instead of what was seen of them.
export function replace(turn, run) {
  forget(turn);
  for (const message of run.messages ?? []) add(turn, message);
  settle(turn, run);
}

function settle(turn, run) {
  const ended = run.status === "completed" || run.status === "failed" || run.status === "cancelled";
  Object.assign(turn, {
    status: run.status, usage: run.usage, error: run.error, traceId: run.trace_id, output: run.output,
    stopReason: run.stop_reason, question: run.status === "input_required" ? (run.input_request ?? turn.question) : null,
    ended, endedAt: run.finished_at ? Date.parse(run.finished_at) : null,
  });
  if (ended) turn.items = turn.items.map((item) => (item.streaming ? { ...item, streaming: false } : item));
}

function resumed(turn) {
  turn.question = null;
  if (turn.status === "input_required") turn.status = "running";
}

function forget(turn) {
  Object.assign(turn, { told: false, items: [], index: new Map(), calls: new Map() });
}

function grow(turn, { message_id: id, source, delta }, thought) {
  turn.firstTextAt ??= Date.now();
  const name = thought ? `thought:${id}` : id;
  const at = turn.index.get(name);
  if (at === undefined) {
    put(turn, name, { key: name, streaming: true, message: { type: thought ? "thought" : "text", id, source, content: delta } });
  } else {
    const item = turn.items[at];
    turn.items[at] = { ...item, message: { ...item.message, content: item.message.content + delta } };
  }
}

function add(turn, message) {
  if (message.source === "user" && !turn.told && (message.type === "text" || message.type === "image")) {
    Object.assign(turn, { told: true, task: message.content });
    return;
  }
  if (message.type === "tool_result" && turn.calls.has(message.call_id)) {
    const at = turn.calls.get(message.call_id);
    turn.items[at] = { ...turn.items[at], result: message };
    return;
  }
  const streamed = [message.id, `thought:${message.id}`].find((name) => turn.index.has(name));
  const name = streamed ?? (message.call_id ? `${message.type}:${message.call_id}` : message.id);
  put(turn, name, { key: name, streaming: false, message });
  if (message.type === "tool_call") turn.calls.set(message.call_id, turn.index.get(name));
}

function put(turn, name, item) {
  const at = turn.index.get(name) ?? turn.items.length;
  turn.index.set(name, at);
  turn.items[at] = item;
}
