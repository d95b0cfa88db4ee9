// What opens over the page: the conversation as code, an agent's tools and schema, the shortcuts.
import { LANGUAGES } from "./code.js";
import { SHORTCUTS } from "./keyboard.js";
import { changed, state } from "./state.js";
import { Copy, Dialog, html, useState } from "./ui.js";
import { Tree } from "./values.js";

const close = () => changed({ dialog: null });

export function CopyDialog() {
  const [language, setLanguage] = useState("curl");
  const text = LANGUAGES[language]();
  return html`<${Dialog} title="Copy as" onClose=${close}>
    <div class="tabs" role="group" aria-label="Language">${Object.keys(LANGUAGES).map((name) => html`<button type="button" key=${name} aria-pressed=${name === language} onClick=${() => setLanguage(name)}>${name}</button>`)}</div>
    <pre class="plain code" tabindex="0">${text}</pre>
    <${Copy} key=${language} text=${text} />
  </${Dialog}>`;
}

export function AgentDialog() {
  const { agent } = state;
  return html`<${Dialog} title=${agent.name} onClose=${close}>
    <p>${agent.description}</p>
    <p class="faint">${[agent.kind, agent.model].filter(Boolean).join(" · ")}</p>
    ${agent.participants.length > 0 && html`<h3>Members</h3><ul class="list">${agent.participants.map((member) => html`<li><b>${member.name}</b> ${member.description}</li>`)}</ul>`}
    ${agent.tools.length > 0 && html`<h3>Tools</h3>`}
    ${agent.tools.map((tool) => html`<details class="fold" key=${tool.name}><summary><b>${tool.name}</b> ${tool.description}${tool.needs_approval ? " (asks a person first)" : ""}</summary><${Tree} value=${tool.parameters} name="schema" /></details>`)}
    ${agent.output_schema && html`<h3>Answers</h3><${Tree} value=${agent.output_schema} name="schema" />`}
  </${Dialog}>`;
}

export function KeysDialog() {
  return html`<${Dialog} title="Keyboard" onClose=${close}>
    <dl class="keys">${SHORTCUTS.map(([keys, what]) => html`<div><dt>${keys.split(" ").map((key) => html`<kbd>${key}</kbd>`)}</dt><dd>${what}</dd></div>`)}</dl>
  </${Dialog}>`;
}
