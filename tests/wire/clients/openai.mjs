// OpenAI's own client: what it is told to do comes as JSON on stdin, what it got for each goes to stdout.
import OpenAI from 'openai';
import { text } from 'node:stream/consumers';

const { baseURL, headers, steps } = JSON.parse(await text(process.stdin));
const client = new OpenAI({ baseURL, apiKey: 'none', defaultHeaders: headers });
const chats = client.chat.completions;

const completion = ({ id, choices: [{ message, finish_reason }], usage }) => (
  { id, text: message.content, thought: message.reasoning_content, end: finish_reason, tokens: usage?.total_tokens }
);
const response = ({ id, output, output_text, status, usage, error }) => (
  { id, text: output_text, end: status, tokens: usage.total_tokens, error, items: output.map(({ type }) => type) }
);

// Leaves as soon as something was said.
async function left(resource, request) {
  const controller = new AbortController();
  const stream = await resource.create({ ...request, stream: true }, { signal: controller.signal });
  let id;
  for await (const each of stream) {
    id ??= each.id ?? each.response.id;
    if (each.choices?.[0].delta.content || each.delta) controller.abort();
  }
  return { id };
}

const does = {
  chat: async (request) => completion(await chats.create(request)),
  chunks: async (request) => (
    completion(await chats.stream({ ...request, stream_options: { include_usage: true } }).finalChatCompletion())
  ),
  response: async (request) => response(await client.responses.create(request)),
  events: async (request) => response(await client.responses.stream(request).finalResponse()),
  models: async () => ({ models: (await client.models.list()).data.map(({ id }) => id) }),
  // Of the response before.
  retrieve: async (_, id) => response(await client.responses.retrieve(id)),
  cancel: async (_, id) => response(await client.responses.cancel(id)),
  watch: async (after, id) => {
    const events = [];
    for await (const { type } of await client.responses.retrieve(id, { stream: true, ...after })) events.push(type);
    return { id, events };
  },
  'leave the chunks': (request) => left(chats, request),
  'leave the events': (request) => left(client.responses, request),
};

const got = [];
for (const [what, given] of steps) {
  const last = got.at(-1)?.id;
  if (given?.previous_response_id) given.previous_response_id = last;
  try {
    got.push(await does[what](given, last));
  } catch (error) {
    const { status, code, type, param, message } = error;
    got.push({ raised: error.constructor.name, status, code, type, param, message });
  }
}
process.stdout.write(JSON.stringify(got));
