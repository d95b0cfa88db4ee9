// The page: conversations at the left, the one that goes on in the middle, its trace at the right.
import { enter } from "./actions.js";
import { Composer } from "./composer.js";
import { Conversation } from "./conversation.js";
import { AgentDialog, CopyDialog, KeysDialog } from "./dialogs.js";
import { Header } from "./header.js";
import { Sidebar } from "./sidebar.js";
import { plain } from "./markdown.js";
import { closePanel, state } from "./state.js";
import { Trace } from "./trace.js";
import { html } from "./ui.js";

export function App() {
  if (state.keyAsked !== null) return html`<${KeyAsked} />`;
  return html`
    <a class="skip" href="#message" onClick=${skip}>Skip to the message</a>
    <div class="page ${state.traceOpen ? "with-trace" : ""}" data-panel=${state.panel ?? ""}>
      <${Sidebar} />
      <main>
        <${Header} />
        <${Conversation} />
        <${Composer} />
      </main>
      ${state.traceOpen && html`<${Trace} />`}
      ${state.panel && html`<button class="shade" aria-label="Close" onClick=${closePanel}></button>`}
    </div>
    ${state.notice && html`<div class="notice" role="alert">${plain(state.notice)}</div>`}
    <div class="unseen" role="status" aria-live="polite">${plain(state.announcement)}</div>
    ${state.dialog === "copy" && html`<${CopyDialog} />`}
    ${state.dialog === "agent" && html`<${AgentDialog} />`}
    ${state.dialog === "keys" && html`<${KeysDialog} />`}
  `;
}

function skip(event) {
  event.preventDefault();
  document.querySelector("#message").focus();
}

function KeyAsked() {
  const submit = (event) => {
    event.preventDefault();
    enter(new FormData(event.target).get("key").trim());
  };
  return html`<main class="gate">
    <form onSubmit=${submit}>
      <img src="static/icon.svg" alt="" width="40" height="40" />
      <h1>Waggle</h1>
      <p role="status">${state.keyAsked}</p>
      <label><span>API key or token</span><input name="key" type="password" required autocomplete="off" autofocus /></label>
      <button class="primary">Go on</button>
      <p class="faint">It is kept in this tab, until that is closed.</p>
    </form>
  </main>`;
}
