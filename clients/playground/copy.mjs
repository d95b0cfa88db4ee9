// Copies what the playground uses of its components, with their licences: `npm ci && npm run vendor`.
import { copyFileSync, mkdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const target = process.argv[2] ?? join(here, "../../app/playground/vendor");
const languages = ["bash", "css", "diff", "go", "java", "javascript", "json", "markdown", "python", "rust", "sql", "typescript", "xml", "yaml"];
const highlight = "@highlightjs/cdn-assets";
const files = {
  "preact.js": "htm/preact/standalone.module.js",
  "preact.LICENSE": "preact/LICENSE",
  "htm.LICENSE": "htm/LICENSE",
  "marked.js": "marked/lib/marked.esm.js",
  "marked.LICENSE": "marked/LICENSE.md",
  "purify.js": "dompurify/dist/purify.min.js",
  "purify.LICENSE": "dompurify/LICENSE",
  "highlight/core.js": `${highlight}/es/core.min.js`,
  "highlight/LICENSE": `${highlight}/LICENSE`,
  ...Object.fromEntries(languages.map((name) => [`highlight/${name}.js`, `${highlight}/es/languages/${name}.min.js`])),
};

for (const [name, source] of Object.entries(files)) {
  mkdirSync(dirname(join(target, name)), { recursive: true });
  copyFileSync(join(here, "node_modules", source), join(target, name));
}
