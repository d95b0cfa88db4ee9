// One message to an agent, and its answer as it comes: node chat.mjs http://127.0.0.1:8000/agents/assistant/ag-ui Hello!
import { HttpAgent } from '@ag-ui/client';

const [url, content] = process.argv.slice(2);
const agent = new HttpAgent({ url, threadId: crypto.randomUUID() });
agent.addMessage({ id: crypto.randomUUID(), role: 'user', content });

await agent.runAgent({}, {
  onTextMessageStartEvent: ({ event }) => { process.stdout.write(`${event.name}: `); },
  onTextMessageContentEvent: ({ event }) => { process.stdout.write(event.delta); },
  onTextMessageEndEvent: () => { process.stdout.write('\n'); },
  onToolCallEndEvent: ({ toolCallName, toolCallArgs }) => { console.log(toolCallName, toolCallArgs); },
  onRunErrorEvent: ({ event }) => { console.error(event.message); },
});
for (const { message } of agent.pendingInterrupts) console.log(`It asks: ${message}`);
