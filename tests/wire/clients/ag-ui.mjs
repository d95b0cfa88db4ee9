// AG-UI's own client: what it is told to do comes as JSON on stdin, what it holds then goes to stdout.
import { HttpAgent } from '@ag-ui/client';
import { text } from 'node:stream/consumers';

const { url, threadId, headers, messages, state, steps } = JSON.parse(await text(process.stdin));
const streams = [];

async function recording(address, options) {
  const response = await fetch(address, options);
  const [kept, read] = response.body.tee();
  const stream = { status: response.status, text: '' };
  streams.push(stream);
  stream.read = new Response(kept).text().then((all) => { stream.text = all; }, () => {});
  return new Response(read, { status: response.status, headers: response.headers });
}

const agent = new HttpAgent({ url, threadId, headers, initialMessages: messages, initialState: state, fetch: recording });
const events = [];
const errors = [];
let said = () => {};
const subscriber = {
  onEvent: ({ event }) => {
    events.push(event.type);
    if (event.type === 'TEXT_MESSAGE_CONTENT') said();
  },
  onRunErrorEvent: ({ event }) => { errors.push(event.code); },
};
let number = 0;

const does = {
  say: (content) => {
    agent.addMessage({ id: `said-${number}`, role: 'user', content });
    return agent.runAgent({ runId: `run-${number}` }, subscriber);
  },
  run: (more) => agent.runAgent({ runId: `run-${number}`, ...more }, subscriber),
  // Answers every interrupt so.
  answer: ([status, payload]) => {
    const resume = agent.pendingInterrupts.map(({ id }) => ({ interruptId: id, status, payload }));
    return agent.runAgent({ runId: `run-${number}`, resume }, subscriber);
  },
  // Says something else instead.
  instead: (content) => {
    agent.addMessage({ id: `said-${number}`, role: 'user', content });
    return does.answer(['cancelled']);
  },
  // Leaves as soon as something was said.
  abort: (content) => {
    said = () => agent.abortRun();
    return does.say(content);
  },
};

let result;
for (const [what, given] of steps) {
  number += 1;
  try {
    ({ result } = await does[what](given));
  } catch (error) {
    errors.push(error.message);
  }
}
if (steps.at(-1)[0] !== 'abort') await Promise.all(streams.map((stream) => stream.read));
process.stdout.write(
  JSON.stringify({
    messages: agent.messages,
    state: agent.state,
    interrupts: agent.pendingInterrupts,
    events,
    errors,
    result,
    streams,
  }),
);
process.exit();
