/** What tests/clients/test_typescript.py has the client do, as a user would write it: `node usage.js <what> <url> …`. */
import { createClient, dataOf, stream, WaggleError, watch, type Message, type RunEvent } from "waggle-client";

declare const process: { argv: string[] };
const [what = "", url = "", ...more] = process.argv.slice(2);
const waggle = createClient({ baseUrl: url, token: async () => more[0] ?? "sk-none", user: "ann" });

/** Each branch knows the fields of its event, and there is no other event. */
function told(event: RunEvent): string {
  switch (event.type) {
    case "run.started":
    case "run.restarted":
      return `${event.type} ${event.attempt}`;
    case "text.delta":
    case "thought.delta":
      return event.delta;
    case "message":
      return `${event.message.type} of ${event.message.source}: ${said(event.message)}`;
    case "input.required":
      return event.prompt;
    case "run.completed":
    case "run.cancelled":
      return `${event.type} ${String(event.run.output)}`;
    case "run.failed":
      return event.error.title;
    default:
      return event satisfies never;
  }
}

function said(message: Message): string {
  switch (message.type) {
    case "tool_call":
      return `${message.name}(${JSON.stringify(message.arguments)})`;
    case "memory":
      return message.content.join(" ");
    case "image":
      return `${message.content.length} parts`;
    case "speaker":
      return message.selected.join(" ");
    default:
      return String(message.content);
  }
}

function wrong(error: unknown): Record<string, unknown> {
  if (!(error instanceof WaggleError)) return error instanceof Error ? { name: error.name, message: error.message } : {};
  const { name, message, type, title, status, detail, retryAfter, problem } = error;
  return { name, message, type, title, status, detail, retryAfter, errors: problem.errors };
}

const doings: Record<string, () => Promise<unknown>> = {
  async run() {
    const answer = waggle.POST("/agents/{name}/run", {
      params: { path: { name: "assistant" } },
      body: { task: "Hello.", metadata: { page: "start" } },
    });
    const run = await dataOf(answer);
    return { output: run.output, status: run.status, user: run.user_id, messages: run.messages.map(said) };
  },

  async stream() {
    const events: RunEvent[] = [];
    for await (const event of stream(waggle, more[1] ?? "assistant", { task: "Hello." })) events.push(event);
    return { events, told: events.map(told) };
  },

  async watch() {
    const started = await dataOf(
      waggle.POST("/agents/{name}/runs", { params: { path: { name: "assistant" } }, body: { task: "Hello." } }),
    );
    const events: RunEvent[] = [];
    for await (const event of watch(waggle, started.run_id)) events.push(event);
    const after = [];
    for await (const event of watch(waggle, started.run_id, { lastEventId: `${started.run_id}:1-2` })) after.push(event);
    return { events, after };
  },

  async abort() {
    const leaving = new AbortController();
    let run = "";
    try {
      for await (const event of stream(waggle, "assistant", { task: "Hello." }, { signal: leaving.signal })) {
        run = event.run_id;
        if (event.type === "text.delta") leaving.abort();
      }
    } catch (error) {
      return { run, ...wrong(error) };
    }
    return "it went on";
  },

  async leave() {
    for await (const event of stream(waggle, "assistant", { task: "Hello." })) {
      if (event.type === "text.delta") return { run: event.run_id };
    }
    return "it ended";
  },

  async problem() {
    const found = { params: { path: { name: "nobody" } } };
    const answers = [
      dataOf(waggle.GET("/agents/{name}", found)),
      dataOf(waggle.POST("/agents/{name}/run", { params: { path: { name: "assistant" } }, body: { task: "" } })),
      stream(waggle, "nobody", { task: "Hello." }).next(),
    ];
    return Promise.all(answers.map((answer) => answer.catch(wrong)));
  },

  /** Over a network, or a service, of which each attempt finds something else. */
  async trials() {
    const events: number[] = [];
    const options = { attempts: Number(more[1]), silenceMs: 3000, idempotencyKey: "key" };
    try {
      for await (const event of stream(waggle, "assistant", { task: "Hello." }, options)) events.push(event.seq);
    } catch (error) {
      return { events, ...wrong(error) };
    }
    return { events };
  },

  async sessions() {
    const body = { task: "Hello.", session_id: "bees" };
    await dataOf(waggle.POST("/agents/{name}/run", { params: { path: { name: "assistant" } }, body }));
    const path = { session_id: "bees" };
    const session = await dataOf(waggle.GET("/sessions/{session_id}", { params: { path } }));
    const messages = await dataOf(waggle.GET("/sessions/{session_id}/messages", { params: { path } }));
    const fork = await dataOf(waggle.POST("/sessions/{session_id}/fork", { params: { path }, body: {} }));
    await dataOf(waggle.DELETE("/sessions/{session_id}", { params: { path } }));
    const left = await dataOf(waggle.GET("/sessions", { params: { query: { limit: 10 } } }));
    return {
      turns: session.turns,
      messages: messages.items.map(said),
      fork: fork.session_id,
      left: left.items.map((each) => each.session_id),
    };
  },

  async cancel() {
    for await (const event of stream(waggle, "assistant", { task: "Hello." })) {
      if (event.type === "text.delta" && event.delta) {
        const path = { run_id: event.run_id };
        void dataOf(waggle.POST("/runs/{run_id}/cancel", { params: { path } }));
      }
      if (event.type === "run.cancelled") return event.run.status;
    }
    return "it went on";
  },

  async feedback() {
    const run = await dataOf(
      waggle.POST("/agents/{name}/run", { params: { path: { name: "assistant" } }, body: { task: "Hello." } }),
    );
    const path = { run_id: run.run_id };
    await dataOf(waggle.POST("/runs/{run_id}/feedback", { params: { path }, body: { score: 1, label: "helpful" } }));
    const found = await dataOf(waggle.GET("/runs/{run_id}/feedback", { params: { path } }));
    const trace = await dataOf(waggle.GET("/runs/{run_id}/trace", { params: { path } }));
    return { found: found.items.map(({ score, label }) => ({ score, label })), spans: trace.spans.length };
  },

  async answer() {
    const lines = [];
    for await (const event of stream(waggle, "asking", { task: "Hello." })) {
      lines.push(event.type);
      if (event.type === "input.required") {
        const path = { run_id: event.run_id };
        const body = { input: "Blue.", input_id: event.input_id };
        await dataOf(waggle.POST("/runs/{run_id}/input", { params: { path }, body }));
      }
      if (event.type === "run.completed") return { lines, output: event.run.output };
    }
    return lines;
  },
};

console.log(JSON.stringify(await doings[what]?.()));
