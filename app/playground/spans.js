// The traces of runs: fetched while a run goes on, and once more when its last span has ended.
import * as api from "./api.js";
import { changed, state } from "./state.js";

const traces = new Map(); // by run: { spans, problem, watching }
const FIRST_MS = 250;
const LONGEST_MS = 4000;

export const traceOf = (runId) => traces.get(runId);
export const forgetTraces = () => traces.clear();

// Asked for as often as something happens; between that, ever more seldom until all of it has ended.
export async function watchTrace(turn) {
  if (!turn?.runId || !state.traceOpen) return;
  const kept = traces.get(turn.runId);
  if (kept?.watching || kept?.complete) {
    kept.wait = FIRST_MS;
    return;
  }
  const trace = { spans: kept?.spans ?? [], problem: null, watching: true, complete: false, wait: FIRST_MS };
  traces.set(turn.runId, trace);
  let after = 0;
  while (traces.get(turn.runId) === trace && state.traceOpen && after < 6) {
    await fetched(turn, trace);
    changed();
    trace.complete = turn.ended && trace.spans.length > 0 && rows(trace.spans).every(({ span }) => span.end);
    if (trace.complete || (trace.problem && turn.ended)) break;
    if (turn.ended) after += 1;
    await new Promise((resolve) => setTimeout(resolve, trace.wait));
    trace.wait = Math.min(trace.wait * 1.5, LONGEST_MS);
  }
  trace.watching = false;
}

async function fetched(turn, trace) {
  try {
    trace.spans = (await api.trace(turn.runId)).spans;
    trace.problem = null;
  } catch (error) {
    trace.problem = error.message;
  }
}

export function rows(spans, depth = 0) {
  return spans.flatMap((span) => [{ span, depth }, ...rows(span.children, depth + 1)]);
}

export const kindOf = (span) => (span.status === "error" ? "error" : (span.attributes["openinference.span.kind"] ?? "chain").toLowerCase());

export function figuresOf(span) {
  const of = span.attributes;
  const tokens = [of["gen_ai.usage.input_tokens"], of["gen_ai.usage.output_tokens"]];
  const first = of["gen_ai.response.time_to_first_chunk"] ?? of["waggle.run.time_to_first_token_s"];
  return {
    tokens: tokens[0] === undefined ? null : tokens,
    cost: of["llm.cost.total"] ?? of["waggle.run.cost_usd"] ?? null,
    firstMs: first === undefined ? null : first * 1000,
  };
}
