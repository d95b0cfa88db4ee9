// Which agent is talked to, and what there is to do with the conversation.
import { changed, state, wide } from "./state.js";
import { html, IconButton } from "./ui.js";
import { cost, totals } from "./figures.js";

export function Header() {
  const { agent } = state;
  const sum = totals(state.turns);
  return html`<header class="top">
    <${IconButton} icon="menu" label="Conversations" class="icon-button only-small" onClick=${() => changed({ panel: "sidebar" })} />
    <div class="who">
      <h1>${agent?.name ?? "Waggle"}</h1>
      ${agent?.kind && html`<span class="tag">${agent.kind}</span>`}
      ${agent?.model && html`<span class="faint model">${agent.model}</span>`}
    </div>
    ${sum.tokens > 0 && html`<dl class="totals" aria-label="This conversation">
      <div><dt>tokens</dt><dd>${sum.tokens.toLocaleString("en")}</dd></div>
      <div><dt class="unseen">cost</dt><dd>${cost(sum.cost)}</dd></div>
    </dl>`}
    ${agent && html`<${IconButton} icon="info" label="About this agent" onClick=${() => changed({ dialog: "agent" })} />`}
    ${agent && html`<${IconButton} icon="code" label="Copy as code" onClick=${() => changed({ dialog: "copy" })} />`}
    <${IconButton} icon="theme" label="Dark or light" onClick=${toggleTheme} />
    <${IconButton} icon="trace" label="Trace" aria-pressed=${state.traceOpen} onClick=${toggleTrace} />
  </header>`;
}

export function toggleTrace() {
  const open = wide() ? !state.traceOpen : state.panel !== "trace";
  changed({ traceOpen: open, panel: open ? "trace" : null });
}

export function toggleTheme() {
  const root = document.documentElement;
  const dark = (root.dataset.theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
  root.dataset.theme = dark ? "light" : "dark";
  localStorage.setItem("waggle.theme", root.dataset.theme);
}

