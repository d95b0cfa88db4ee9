// Colours for code, loaded when the first code is there: the core, and each language by itself.
import { announce } from "./state.js";
import { writeToClipboard } from "./ui.js";

const NAMES = {
  sh: "bash", shell: "bash", zsh: "bash", console: "bash", js: "javascript", jsx: "javascript", mjs: "javascript",
  ts: "typescript", tsx: "typescript", py: "python", yml: "yaml", html: "xml", svg: "xml", md: "markdown",
  golang: "go", rs: "rust", jsonc: "json", patch: "diff",
};
const LANGUAGES = new Set([
  "bash", "css", "diff", "go", "java", "javascript", "json", "markdown", "python", "rust", "sql", "typescript", "xml", "yaml",
]);
const LONGEST = 50_000;
const loaded = new Map();

export async function highlight(code, wanted) {
  const name = NAMES[wanted.toLowerCase()] ?? wanted.toLowerCase();
  const text = code.textContent;
  if (!LANGUAGES.has(name) || text.length > LONGEST) return;
  const hljs = await core();
  if (!loaded.has(name)) loaded.set(name, import(`./vendor/highlight/${name}.js`));
  hljs.registerLanguage(name, (await loaded.get(name)).default);
  code.replaceChildren(globalThis.DOMPurify.sanitize(hljs.highlight(text, { language: name }).value, {
    ALLOWED_TAGS: ["span"], ALLOWED_ATTR: ["class"], RETURN_DOM_FRAGMENT: true,
  }));
}

let importing;
const core = () => (importing ??= import("./vendor/highlight/core.js").then((module) => module.default));

document.addEventListener("click", async (event) => {
  const button = event.target.closest?.(".copy-code");
  if (!button) return;
  await writeToClipboard(button.parentElement.nextElementSibling.textContent);
  announce("Copied.");
  button.textContent = "Copied";
  setTimeout(() => (button.textContent = "Copy"), 1500);
});
