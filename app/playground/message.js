// One thing that was said or done.
import { Markdown, plain } from "./markdown.js";
import { html, Icon, memo } from "./ui.js";
import { Tree, Value } from "./values.js";

export const Item = memo(({ item, named, team, asked }) => {
  const { message } = item;
  const aside = message.type === "handoff" || message.type === "speaker";
  return html`<div class="item ${message.type}">
    ${named && team && !aside && html`<div class="speaker"><span class="avatar" data-hue=${hue(message.source)} aria-hidden="true">${message.source[0]?.toUpperCase()}</span>${plain(message.source)}</div>`}
    <${Content} item=${item} asked=${asked} />
  </div>`;
});

const hue = (name) => [...name].reduce((sum, letter) => (sum * 31 + letter.codePointAt(0)) >>> 0, 7) % 6;

function Content({ item, asked }) {
  const { message, streaming } = item;
  switch (message.type) {
    case "text":
      return html`<${Markdown} text=${message.content} streaming=${streaming} />`;
    case "thought":
      return html`<div class="thought"><${Markdown} text=${message.content} streaming=${streaming} /></div>`;
    case "tool_call":
      return html`<${ToolCall} call=${message} result=${item.result} asked=${asked} />`;
    case "tool_result":
      return html`<${ToolCall} call=${{ name: message.name }} result=${message} />`;
    case "structured":
      return html`<div class="card"><${Tree} value=${message.content} name="answer" /></div>`;
    case "image":
      return html`<${Parts} content=${message.content} />`;
    case "handoff":
      return html`<p class="aside"><span>${plain(message.source)} <${Icon} name="chevron" /> ${plain(message.target)}</span></p>`;
    case "speaker":
      return html`<p class="aside"><span>${message.selected.map(plain).join(", ")} speaks</span></p>`;
    case "memory":
      return html`<details class="fold"><summary>Remembered ${message.content.length}</summary>${message.content.map((text) => html`<pre class="plain">${plain(text)}</pre>`)}</details>`;
    default:
      return html`<details class="fold"><summary>${message.name ?? message.type}</summary><${Value} text=${String(message.content)} /></details>`;
  }
}

function ToolCall({ call, result, asked }) {
  const state = !result ? (asked ? "waiting" : "running") : result.is_error ? "failed" : "done";
  const shown = typeof call.arguments === "object" && call.arguments ? short(call.arguments) : (call.arguments ?? "");
  return html`<details class="call ${state}">
    <summary><${Icon} name="tool" /><b>${plain(call.name)}</b><span class="brief">${plain(String(shown).slice(0, 120))}</span><span class="state">${state}</span></summary>
    ${call.arguments !== undefined && html`<h3>Arguments</h3>
      ${typeof call.arguments === "object" ? html`<${Tree} value=${call.arguments} name="arguments" />` : html`<${Value} text=${String(call.arguments)} />`}`}
    ${result && html`<h3>${result.is_error ? "Error" : "Result"}</h3><${Value} text=${result.content} />`}
  </details>`;
}

const short = (value) => Object.entries(value).map(([name, inner]) => `${name}: ${typeof inner === "string" ? inner : JSON.stringify(inner)}`).join(", ");

// A task's or an answer's text and pictures.
export function Parts({ content }) {
  if (typeof content === "string") return html`<div class="words" dir="auto">${plain(content)}</div>`;
  return html`<div class="parts">${content.map((part) =>
    part.type === "text"
      ? html`<div class="words" dir="auto">${plain(part.text)}</div>`
      : /^data:image\//.test(part.image_url.url)
        ? html`<img src=${part.image_url.url} alt="Image of the conversation" />`
        : html`<span class="faint">${plain(part.image_url.url)}</span>`)}</div>`;
}
