// The turns of the conversation. It stays at its end while it grows, unless somebody has scrolled up to read.
import { answer, loadEarlier } from "./actions.js";
import { Foot } from "./feedback.js";
import { plain } from "./markdown.js";
import { Item, Parts } from "./message.js";
import { changed, state } from "./state.js";
import { html, memo, useLayoutEffect, useRef, useState } from "./ui.js";
import { Form } from "./values.js";

const NEAR = 80; // pixels from the end that count as its end

export function Conversation() {
  const ref = useRef(null);
  const atEnd = useRef(true);
  useLayoutEffect(() => {
    if (atEnd.current) ref.current.scrollTop = ref.current.scrollHeight;
  });
  const onScroll = ({ target }) => (atEnd.current = target.scrollHeight - target.scrollTop - target.clientHeight < NEAR);
  return html`<section class="conversation" ref=${ref} onScroll=${onScroll} tabindex="0" aria-label="Conversation" aria-busy=${state.loading}>
    <div class="column">
      ${state.moreTurns && html`<button type="button" class="quiet earlier" onClick=${loadEarlier}>Earlier turns</button>`}
      ${!state.turns.length && !state.loading && html`<${Welcome} agent=${state.agent} />`}
      ${state.turns.map((turn) => html`<${Turn} key=${turn.key} turn=${turn} version=${versionOf(turn)} traced=${turn === state.traced} />`)}
    </div>
  </section>`;
}

// What a turn looks like depends on this alone: a conversation of hundreds is not gone through for each token.
const versionOf = (turn) => (turn.ended ? `${turn.status}${turn.feedback ? `${turn.feedback.score} ${turn.feedback.comment ?? ""}` : ""}` : `${turn.events}${turn.status}`);

const Turn = memo(({ turn }) => {
  let speaker = null;
  const items = turn.items.filter((item) => !isTransfer(turn, item));
  return html`<article class="turn" aria-label="Turn">
    ${turn.task !== null && html`<div class="task"><span class="unseen">You:</span><${Parts} content=${turn.task} /></div>`}
    ${items.map((item) => {
      const named = item.message.source !== speaker;
      speaker = item.message.source;
      return html`<${Item} key=${item.key} item=${item} named=${named} team=${state.agent?.kind === "team"} asked=${Boolean(turn.question)} />`;
    })}
    ${!turn.ended && turn.status !== "input_required" && !items.at(-1)?.streaming && html`<${Working} turn=${turn} />`}
    ${turn.question && html`<${Question} turn=${turn} question=${turn.question} />`}
    ${turn.status === "failed" && html`<${Failure} error=${turn.error} />`}
    ${turn.status === "cancelled" && html`<p class="stopped">Stopped.</p>`}
    ${turn.ended && html`<${Foot} turn=${turn} />`}
  </article>`;
});

// A handoff is a call of a tool too; it is told once.
function isTransfer(turn, { message, result }) {
  if (message.type !== "tool_call" || !result) return false;
  return turn.items.some((item) => item.message.type === "handoff" && item.message.content === result.content);
}

const Working = ({ turn }) => html`<p class="working"><span class="pulse"></span>${turn.status === "queued" ? "Waiting for its turn" : "Working"}</p>`;

function Failure({ error }) {
  return html`<div class="failure" role="alert"><b>${error?.title ?? "It failed"}</b><p>${error?.detail}</p></div>`;
}

function Question({ turn, question }) {
  const text = { type: "string", title: "Answer", minLength: 1 };
  const approval = isApproval(question.schema);
  return html`<div class="question">
    <p class="asks">${plain(question.source)} asks</p>
    <pre class="prompt" dir="auto">${plain(question.prompt)}</pre>
    ${approval
      ? html`<${Approval} turn=${turn} />`
      : html`<${Form} schema=${question.schema ?? text} onSubmit=${(value) => answer(turn, value)} />`}
  </div>`;
}

const isApproval = (schema) => ["approve", "deny"].every((word) => schema?.properties?.decision?.enum?.includes(word));

// What a call's person is asked: the reason is told to the model where it is denied.
function Approval({ turn }) {
  const reason = useRef(null);
  const [given, setGiven] = useState(() => waitingArguments(turn));
  const [touched, setTouched] = useState(false);
  const others = touched ? jsonObject(given) : undefined;
  const say = (decision, more) => answer(turn, { decision, ...(reason.current.value && { reason: reason.current.value }), ...more });
  return html`<div class="form">
    <details class="fold"><summary>Change the arguments</summary>
      <textarea aria-label="Arguments" rows="4" spellcheck="false" value=${given}
        onInput=${({ target }) => { setGiven(target.value); setTouched(true); }}></textarea>
      ${others === null && html`<p class="error" role="alert">The arguments have to be a JSON object.</p>`}
    </details>
    <label><span>Reason, if you like</span><input ref=${reason} /></label>
    <div class="choices">
      <button type="button" class="primary" disabled=${others === null} onClick=${() => say("approve", others && { arguments: others })}>Approve</button>
      <button type="button" class="danger" onClick=${() => say("deny")}>Deny</button>
    </div>
  </div>`;
}

// Those of the one call that has no result yet; which of several is asked about is not told.
function waitingArguments(turn) {
  const waiting = turn.items.filter(({ message, result }) => message?.type === "tool_call" && !result);
  return waiting.length === 1 ? JSON.stringify(waiting[0].message.arguments, null, 2) : "{}";
}

function jsonObject(text) {
  try {
    const value = JSON.parse(text);
    return value && typeof value === "object" && !Array.isArray(value) ? value : null;
  } catch {
    return null;
  }
}

function Welcome({ agent }) {
  if (!agent) return html`<div class="welcome"><p class="faint">No agent is served: put one into AGENTS_DIR.</p></div>`;
  return html`<div class="welcome">
    <img src="static/icon.svg" alt="" width="44" height="44" />
    <h2>${agent.name}</h2>
    <p>${agent.description}</p>
    <div class="chips">
      ${agent.participants.map((member) => html`<span class="chip" title=${member.description}>${member.name}</span>`)}
      ${agent.tools.map((tool) => html`<button type="button" class="chip tool" title=${tool.description} onClick=${() => changed({ dialog: "agent" })}>${tool.name}${tool.needs_approval ? " · asks first" : ""}</button>`)}
      ${agent.output_schema && html`<button type="button" class="chip" onClick=${() => changed({ dialog: "agent" })}>answers in a schema</button>`}
    </div>
  </div>`;
}
