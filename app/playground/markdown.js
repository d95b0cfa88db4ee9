// A model's words as a page's. HTML in them is shown as the text that it is; what markdown makes is sanitised all the
// same, and the page's policy would execute nothing of it: three walls, each of which is enough.
import { html, memo, useLayoutEffect, useRef } from "./ui.js";
import { highlight } from "./highlight.js";
import { Marked } from "./vendor/marked.js";
import "./vendor/purify.js";

const purify = globalThis.DOMPurify;
const LONGEST = 200_000; // characters of one text, and of one line: beyond, parsing it would stop the page
const LONGEST_LINE = 20_000;
const DEEP = /^(?:[ \t]*[>*+-]){40}|^[ \t]{120}|[[(*_~`]{200}/m;
const OVERRIDES = /[\u202A-\u202E\u2066-\u2069]/g; // they make text read otherwise than it is (CVE-2021-42574)
const ALLOWED = {
  ALLOWED_TAGS: [
    "a", "blockquote", "br", "code", "del", "em", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "img", "input", "li", "ol",
    "p", "pre", "strong", "table", "tbody", "td", "th", "thead", "tr", "ul",
  ],
  ALLOWED_ATTR: ["href", "title", "alt", "src", "class", "start", "align", "type", "checked", "disabled"],
  ALLOWED_URI_REGEXP: /^(?:https?:|mailto:)/i,
  ALLOW_DATA_ATTR: false,
  ALLOW_ARIA_ATTR: false,
  RETURN_DOM_FRAGMENT: true,
};

const escaped = (text) => text.replace(/[&<>"']/g, (sign) => `&#${sign.codePointAt(0)};`);

const marked = new Marked({
  gfm: true,
  breaks: true,
  renderer: {
    html: ({ raw }) => (/^<br\s*\/?>$/i.test(raw.trim()) ? "<br>" : escaped(raw)),
    // The page shows no picture from elsewhere: to fetch one would tell that address what was said here.
    image({ href, text }) {
      if (/^data:image\/(png|jpeg|gif|webp);base64,/.test(href)) return `<img src="${escaped(href)}" alt="${escaped(text)}">`;
      return `<a href="${escaped(href)}">${escaped(text || "image")}</a>`;
    },
  },
});

purify.addHook("afterSanitizeAttributes", (node) => {
  if (node.tagName === "A") {
    node.setAttribute("target", "_blank");
    node.setAttribute("rel", "noopener noreferrer nofollow");
  }
  if (node.tagName === "INPUT") {
    if (node.getAttribute("type") !== "checkbox") node.remove();
    else node.setAttribute("aria-label", node.hasAttribute("checked") ? "done" : "to do");
  }
});

export const plain = (text) => text.replace(OVERRIDES, (sign) => `⟨U+${sign.codePointAt(0).toString(16).toUpperCase()}⟩`);

// A fragment; text as it is where it would take too long, or markdown's parser gives up.
export function rendered(source) {
  const text = plain(source);
  if (text.length <= LONGEST && !DEEP.test(text) && !hasLongLine(text)) {
    try {
      return purify.sanitize(marked.parse(text), ALLOWED);
    } catch (error) {
      if (!(error instanceof RangeError)) throw error; // nested too deeply for the stack
    }
  }
  const raw = document.createElement("div");
  raw.className = "raw";
  raw.textContent = text;
  return raw;
}

function hasLongLine(text) {
  for (let at = 0; at < text.length; ) {
    const end = text.indexOf("\n", at);
    if ((end < 0 ? text.length : end) - at > LONGEST_LINE) return true;
    if (end < 0) return false;
    at = end + 1;
  }
  return false;
}

const Block = memo(({ text, whole }) => {
  const ref = useRef(null);
  useLayoutEffect(() => {
    ref.current.replaceChildren(rendered(text));
    for (const table of ref.current.querySelectorAll("table")) wrap(table);
    if (whole) for (const code of ref.current.querySelectorAll("pre > code")) dress(code);
  }, [text, whole]);
  return html`<div class="block" dir="auto" ref=${ref}></div>`;
});

function wrap(table) {
  const around = document.createElement("div");
  Object.assign(around, { className: "scroll", tabIndex: 0, role: "region", ariaLabel: "Table" });
  table.replaceWith(around);
  around.append(table);
}

function dress(code) {
  const language = /language-([\w+#-]+)/.exec(code.className)?.[1] ?? "";
  code.parentElement.tabIndex = 0;
  const head = Object.assign(document.createElement("div"), { className: "code-head", textContent: language });
  const button = document.createElement("button");
  Object.assign(button, { type: "button", className: "copy-code", textContent: "Copy", ariaLabel: "Copy the code" });
  head.append(button);
  code.parentElement.before(head);
  highlight(code, language);
}

// While it streams, what is before the last empty line is rendered once; when it has ended, all of it as one.
export const Markdown = memo(({ text, streaming }) => {
  const blocks = streaming ? pieces(text) : [text];
  return html`<div class="markdown">
    ${blocks.map((block, at) => html`<${Block} key=${streaming ? at : "all"} text=${block} whole=${!streaming || at < blocks.length - 1} />`)}
  </div>`;
});

const FEW = 400; // characters that a piece has at least, so that a list stays one while it is short
function pieces(text) {
  const found = [];
  let begin = 0;
  let fenced = false;
  for (let at = 0; at < text.length; ) {
    const end = text.indexOf("\n", at);
    if (end < 0) break;
    const line = text.slice(at, Math.min(end, at + 8)).trimStart();
    if (line.startsWith("```") || line.startsWith("~~~")) fenced = !fenced;
    if (!fenced && end === at && at - begin > FEW) {
      found.push(text.slice(begin, at));
      begin = at;
    }
    at = end + 1;
  }
  return [...found, text.slice(begin)];
}
