// A chat of the AI SDK, without a page: what it is told to do comes as JSON on stdin, what it holds then goes to stdout.
import { Chat } from '@ai-sdk/react';
import { DefaultChatTransport, readUIMessageStream } from 'ai';
import { text } from 'node:stream/consumers';

const { api, id, headers, body, messages, steps } = JSON.parse(await text(process.stdin));
const streams = [];

async function recording(url, options) {
  const response = await fetch(url, options);
  const [kept, read] = response.body === null ? [null, null] : response.body.tee();
  const { status, headers } = response;
  const stream = { status, protocol: headers.get('x-vercel-ai-ui-message-stream'), text: '' };
  streams.push(stream);
  stream.read = kept && new Response(kept).text().then((all) => { stream.text = all; }, () => {});
  return new Response(read, { status, headers });
}

const transport = new DefaultChatTransport({ api, headers, body, fetch: recording });
const finishes = [];
const chat = new Chat({
  id,
  messages,
  transport,
  onFinish: ({ finishReason, isAbort, isError }) => finishes.push({ finishReason, isAbort, isError }),
});

async function somethingSaid() {
  const parts = () => chat.messages.at(-1)?.parts ?? [];
  while (!parts().some((part) => part.state === 'streaming' && part.text)) await new Promise(setImmediate);
}

const does = {
  send: (message) => chat.sendMessage(message),
  regenerate: () => chat.regenerate(),
  resume: () => chat.resumeStream(),
  stop: async (message) => {
    const sending = chat.sendMessage(message);
    await somethingSaid();
    await chat.stop();
    await sending;
  },
  // Another page of the same chat comes to see what is being said.
  watch: async (message) => {
    const sending = chat.sendMessage(message);
    await somethingSaid();
    const other = new Chat({ id, transport });
    await other.resumeStream();
    await sending;
    chat.messages = [...chat.messages, ...other.messages];
  },
  // The stream's other reader: the last of the messages that it makes of the stream.
  read: async (message) => {
    const asked = { ...message, id: 'm', role: 'user' };
    const stream = await transport.sendMessages({ chatId: id, messages: [asked], trigger: 'submit-message' });
    let last;
    for await (const state of readUIMessageStream({ stream, terminateOnError: true })) last = state;
    chat.messages = [...chat.messages, asked, last];
  },
};
for (const [what, message] of steps) await does[what](message);
if (chat.status !== 'ready' || steps.at(-1)[0] !== 'stop') await Promise.all(streams.map((stream) => stream.read));
process.stdout.write(
  JSON.stringify({ messages: chat.messages, status: chat.status, error: chat.error?.message, finishes, streams }),
);
process.exit();
