// One message to an agent, and its answer as it comes: node chat.mjs http://127.0.0.1:8000/agents/assistant/ui 'Hello!'
import { DefaultChatTransport, readUIMessageStream } from 'ai';

const [api, text] = process.argv.slice(2);
const transport = new DefaultChatTransport({ api });
const stream = await transport.sendMessages({
  chatId: crypto.randomUUID(),
  trigger: 'submit-message',
  messages: [{ id: 'first', role: 'user', parts: [{ type: 'text', text }] }],
});

let told = 0;
for await (const message of readUIMessageStream({ stream, terminateOnError: true })) {
  const words = message.parts.filter((part) => part.type === 'text').map((part) => part.text).join('\n');
  process.stdout.write(words.slice(told));
  told = words.length;
}
process.stdout.write('\n');
