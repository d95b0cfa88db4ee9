// A chat with an agent: words, thoughts, tools, images, and questions that it asks. Reloaded, it goes on where it was.
import { useChat } from '@ai-sdk/react';
import { DefaultChatTransport } from 'ai';
import { useEffect, useState } from 'react';
import { createRoot } from 'react-dom/client';

const options = new URLSearchParams(location.search);
const agent = `${options.get('waggle') ?? 'http://127.0.0.1:8000'}/agents/${options.get('agent') ?? 'assistant'}`;
const id = (location.hash ||= `#${crypto.randomUUID()}`).slice(1);

function Page() {
  const [draft, setDraft] = useState('');
  const { messages, status, error, sendMessage, regenerate, stop } = useChat({
    id,
    messages: JSON.parse(localStorage.getItem(id) ?? '[]'),
    resume: true,
    transport: new DefaultChatTransport({ api: `${agent}/ui` }),
  });
  useEffect(() => localStorage.setItem(id, JSON.stringify(messages)), [messages]);

  const send = (event) => {
    event.preventDefault();
    sendMessage({ text: draft, files: event.target.elements.images.files });
    event.target.reset();
    setDraft('');
  };
  return (
    <main>
      {messages.map((message) => (
        <section key={message.id} className={message.role}>
          {message.parts.map((part, index) => <Part key={index} part={part} say={sendMessage} />)}
        </section>
      ))}
      {error && <p role="alert">{error.message}</p>}
      <form onSubmit={send}>
        <input aria-label="Message" value={draft} onChange={(event) => setDraft(event.target.value)} />
        <input aria-label="Images" name="images" type="file" accept="image/*" multiple />
        <button disabled={status !== 'ready' && status !== 'error'}>Send</button>
        <button type="button" onClick={stop} disabled={status === 'ready'}>Stop</button>
        <button type="button" onClick={() => regenerate()} disabled={status !== 'ready'}>Again</button>
      </form>
    </main>
  );
}

function Part({ part, say }) {
  const answer = (text, data) => () => say({ parts: [{ type: 'text', text }, { type: 'data-answer', data }] });
  switch (part.type) {
    case 'text':
      return <p><b>{part.providerMetadata?.waggle.source}</b> {part.text}</p>;
    case 'reasoning':
      return <details><summary>A thought</summary>{part.text}</details>;
    case 'dynamic-tool':
      return <p><code>{part.toolName}({JSON.stringify(part.input)})</code> {part.output ?? part.errorText ?? '…'}</p>;
    case 'file':
      return <img src={part.url} alt="" />;
    case 'data-handoff':
      return <p>{part.data.source} hands over to {part.data.target}.</p>;
    case 'data-input-required':
      return (
        <p>
          {part.data.prompt}
          {part.data.schema?.properties?.decision && (
            <>
              <button onClick={answer('Yes.', { decision: 'approve' })}>Yes</button>
              <button onClick={answer('No.', { decision: 'deny' })}>No</button>
            </>
          )}
        </p>
      );
    default:
      return null;
  }
}

createRoot(document.body).render(<Page />);
