// JSON as a tree to look at, and a JSON schema as a form to fill in.
import { html, useState } from "./ui.js";
import { plain } from "./markdown.js";

const MOST = 200; // entries that are shown of one list at first

export function Tree({ value, name, depth = 0 }) {
  if (value === null || typeof value !== "object") return html`<div class="leaf"><${Name} name=${name} /><${Leaf} value=${value} /></div>`;
  const entries = Object.entries(value);
  const size = Array.isArray(value) ? `[${entries.length}]` : `{${entries.length}}`;
  return html`<details class="tree" open=${depth < 2}>
    <summary><${Name} name=${name ?? (Array.isArray(value) ? "list" : "object")} /><span class="faint">${size}</span></summary>
    <${Entries} entries=${entries} depth=${depth} />
  </details>`;
}

function Entries({ entries, depth }) {
  const [most, setMost] = useState(MOST);
  return html`<div class="entries">
    ${entries.slice(0, most).map(([key, inner]) => html`<${Tree} key=${key} name=${key} value=${inner} depth=${depth + 1} />`)}
    ${entries.length > most && html`<button class="quiet" onClick=${() => setMost(most * 5)}>${entries.length - most} more</button>`}
  </div>`;
}

const Name = ({ name }) => name !== undefined && html`<span class="name">${plain(String(name))}</span>`;

function Leaf({ value }) {
  const text = typeof value === "string" ? plain(value.slice(0, 20_000)) : String(value);
  return html`<span class="value ${value === null ? "null" : typeof value}" dir="auto">${text}</span>`;
}

// The text as the JSON that it is, or as text.
export function Value({ text }) {
  const parsed = parsedJson(text);
  if (parsed !== undefined) return html`<${Tree} value=${parsed} />`;
  return html`<pre class="plain" tabindex="0" dir="auto">${plain(text.slice(0, 100_000))}${text.length > 100_000 ? " …" : ""}</pre>`;
}

function parsedJson(text) {
  if (!/^\s*[[{]/.test(text) || text.length > 500_000) return undefined;
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

const typeOf = (schema) => (Array.isArray(schema.type) ? schema.type.find((type) => type !== "null") : schema.type);

// Fields of plain types are fields; what is nested is JSON in a text area.
export function Form({ schema, onSubmit, label = "Answer" }) {
  const object = typeOf(schema) === "object" && schema.properties;
  const [problem, setProblem] = useState(null);
  const submit = (event) => {
    event.preventDefault();
    const fields = new FormData(event.target);
    try {
      const read = (name, inner) => readField(fields, name, inner, !object || schema.required?.includes(name));
      onSubmit(object ? Object.fromEntries(entriesOf(schema, read)) : read("value", schema));
    } catch (error) {
      setProblem(`${error.field}: this is no JSON.`);
    }
  };
  const shown = object ? Object.entries(schema.properties) : [["value", { title: "Answer", ...schema }]];
  return html`<form class="form" onSubmit=${submit}>
    ${shown.map(([name, inner]) => html`<${Field} key=${name} name=${name} schema=${inner} required=${!object || schema.required?.includes(name)} />`)}
    ${problem && html`<p class="error" role="alert">${problem}</p>`}
    <button class="primary">${label}</button>
  </form>`;
}

function entriesOf(schema, read) {
  return Object.entries(schema.properties).map(([name, inner]) => [name, read(name, inner)]).filter(([, value]) => value !== undefined);
}

function Field({ name, schema, required }) {
  const type = typeOf(schema);
  const title = schema.title ?? name;
  const hint = schema.description && schema.description !== name ? html`<small>${schema.description}</small>` : null;
  const shared = { name, required, defaultValue: schema.default };
  if (type === "boolean") {
    return html`<label class="check"><input type="checkbox" name=${name} defaultChecked=${schema.default} /> <span>${title}</span>${hint}</label>`;
  }
  const input = schema.enum
    ? html`<select ...${shared}>${schema.enum.map((option) => html`<option value=${String(option)} selected=${option === schema.default}>${String(option)}</option>`)}</select>`
    : type === "number" || type === "integer"
      ? html`<input type="number" step=${type === "integer" ? 1 : "any"} min=${schema.minimum} max=${schema.maximum} ...${shared} />`
      : html`<textarea rows=${type === "string" ? 1 : 3} maxlength=${schema.maxLength} ...${shared}></textarea>`;
  return html`<label><span>${title}</span>${hint}${input}</label>`;
}

function readField(fields, name, schema, required) {
  const value = fields.get(name);
  const type = typeOf(schema);
  if (type === "boolean") return value !== null;
  if (value === "" && !(required && type === "string")) return undefined;
  if (schema.enum) return schema.enum.find((option) => String(option) === value);
  if (type === "number" || type === "integer") return Number(value);
  if (type === "string") return value;
  try {
    return JSON.parse(value);
  } catch (error) {
    throw Object.assign(error, { field: name });
  }
}
