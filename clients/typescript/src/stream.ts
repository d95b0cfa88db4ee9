import { EventSourceParserStream } from "eventsource-parser/stream";

import type { WaggleClient } from "./client.js";
import type { components } from "./openapi.js";
import { WaggleError } from "./problem.js";

type RunEvent = components["schemas"]["RunEvent"];
type Decoder = ReadableWritablePair<string, Uint8Array>; // whose own type is for any buffer
type Opened = Promise<{ data?: ReadableStream<Uint8Array> | null; error?: unknown; response: Response }>;

const ENDS: readonly string[] = ["run.completed", "run.failed", "run.cancelled"];
const MOST_MS = 30_000;

export interface StreamOptions {
  /** Leaves the stream, and throws the signal's reason. */
  signal?: AbortSignal;
  /** How often to try, one after the other, without a sign of life from the service: 5. */
  attempts?: number;
  /** After how long without one a connection is taken to be lost: 45 seconds, as a comment comes every 15. */
  silenceMs?: number;
}

/** Run the agent, and tell what happens until its end. Leaving the loop leaves the run, which may then be cancelled. */
export function stream(
  client: WaggleClient,
  agent: string,
  body: components["schemas"]["RunIn"],
  { idempotencyKey = randomKey(), ...options }: StreamOptions & { idempotencyKey?: string } = {},
): AsyncGenerator<RunEvent, void, undefined> {
  const path = { name: agent };
  return follow(options, (last, signal) => {
    const header = { "Idempotency-Key": idempotencyKey, ...last };
    return client.POST("/agents/{name}/stream", { params: { path, header }, body, signal, parseAs: "stream" });
  });
}

/** Tell what happens in a run, from its start to its end, or from after the event of that id. */
export function watch(
  client: WaggleClient,
  runId: string,
  { lastEventId, ...options }: StreamOptions & { lastEventId?: string } = {},
): AsyncGenerator<RunEvent, void, undefined> {
  const path = { run_id: runId };
  return follow(
    options,
    (header, signal) => client.GET("/runs/{run_id}/stream", { params: { path, header }, signal, parseAs: "stream" }),
    lastEventId,
  );
}

/** No event twice and none left out: each connection goes on after the last event of the one before. */
async function* follow(
  { signal, attempts = 5, silenceMs = 45_000 }: StreamOptions,
  open: (last: { "Last-Event-ID"?: string }, signal: AbortSignal) => Opened,
  last?: string,
): AsyncGenerator<RunEvent, void, undefined> {
  let retryMs = 1000;
  for (let failures = 0; ; ) {
    const silence = new AbortController();
    const wait = () => setTimeout(() => silence.abort(new TypeError("Nothing was heard of the service.")), silenceMs);
    let timer = wait();
    const alive = () => void ((failures = 0), clearTimeout(timer), (timer = wait()));
    let ended: unknown = new Error(`The stream ended ${attempts} times without a sign of life.`);
    try {
      const either = AbortSignal.any(signal ? [signal, silence.signal] : [silence.signal]);
      const { data, error, response } = await open(last === undefined ? {} : { "Last-Event-ID": last }, either);
      if (response.status === 204) return;
      if (!response.ok || !data) throw new WaggleError(error, response);
      const parser = new EventSourceParserStream({ onComment: alive, onRetry: (ms) => void (retryMs = ms) });
      for await (const event of read(data.pipeThrough(new TextDecoderStream() as Decoder).pipeThrough(parser))) {
        clearTimeout(timer); // whoever takes long over an event hears nothing meanwhile
        last = event.id ?? last;
        const told = JSON.parse(event.data) as RunEvent;
        yield told;
        alive();
        if (ENDS.includes(told.type)) return;
      }
    } catch (error) {
      if (signal?.aborted || !passes(error)) throw error;
      ended = error;
    } finally {
      clearTimeout(timer);
    }
    if (++failures >= attempts) throw ended;
    const afterMs = ended instanceof WaggleError ? (ended.retryAfter ?? 0) * 1000 : 0;
    await delay(Math.max(afterMs, Math.min(retryMs * 2 ** (failures - 1), MOST_MS)), signal);
  }
}

/** Whether it may go another time: a connection that was not had or lost, a service that says when, a proxy's 502. */
function passes(error: unknown): boolean {
  if (!(error instanceof WaggleError)) return error instanceof TypeError; // which is what fetch throws
  return error.type === "about:blank" ? error.status >= 502 : [429, 503].includes(error.status) && !!error.retryAfter;
}

/** As `for await` of a stream, which not every browser has; leaving the loop closes the connection. */
async function* read<Item>(stream: ReadableStream<Item>): AsyncGenerator<Item, void, undefined> {
  const reader = stream.getReader();
  try {
    for (let next = await reader.read(); !next.done; next = await reader.read()) yield next.value;
  } finally {
    await reader.cancel().catch(() => undefined); // of a connection that is lost
  }
}

function delay(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    const aborted = () => (clearTimeout(timer), reject(signal?.reason));
    const timer = setTimeout(() => (signal?.removeEventListener("abort", aborted), resolve()), ms);
    signal?.addEventListener("abort", aborted, { once: true });
  });
}

/** `crypto.randomUUID` is only there on pages that came by https. */
function randomKey(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
