// The conversation as code that goes on with it: no key is ever in it, but where one belongs.
import { key } from "./api.js";
import { state } from "./state.js";

const base = () => new URL(".", document.baseURI).href.replace(/\/$/, "");
const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;
const asked = () => state.turns.at(-1)?.task ?? "Hello";

function body() {
  const task = asked();
  const shown = typeof task === "string" ? task : task.map((part) => (part.type === "text" ? part : { type: "image_url", image_url: { url: "data:image/png;base64,…" } }));
  return { task: shown, ...(state.sessionId && { session_id: state.sessionId }) };
}

export function curlOf(path) {
  return [`curl ${quoted(`${base()}/${path}`)}`, ...(key() ? ['  -H "Authorization: Bearer $WAGGLE_KEY"'] : [])].join(" \\\n");
}

const url = () => `${base()}/agents/${encodeURIComponent(state.agent.name)}/stream`;

export const LANGUAGES = {
  curl: () =>
    [`curl -N ${quoted(url())}`, ...(key() ? ['  -H "Authorization: Bearer $WAGGLE_KEY"'] : []), "  -H 'Content-Type: application/json'", `  -d ${quoted(JSON.stringify(body()))}`].join(" \\\n"),
  Python: () => `import json
${key() ? "import os\n" : ""}
import httpx

body = json.loads(${JSON.stringify(JSON.stringify(body()))})
${key() ? 'headers = {"Authorization": f"Bearer {os.environ[\'WAGGLE_KEY\']}"}' : "headers = {}"}
with httpx.stream("POST", ${JSON.stringify(url())}, json=body, headers=headers, timeout=None) as response:
    response.raise_for_status()
    for line in response.iter_lines():
        if line.startswith("data: "):
            event = json.loads(line.removeprefix("data: "))
            if event["type"] == "text.delta":
                print(event["delta"], end="", flush=True)
`,
  JavaScript: () => `const response = await fetch(${JSON.stringify(url())}, {
  method: "POST",
  headers: { "Content-Type": "application/json"${key() ? ', Authorization: `Bearer ${process.env.WAGGLE_KEY}`' : ""} },
  body: JSON.stringify(${JSON.stringify(body(), null, 2).replaceAll("\n", "\n  ")}),
});
if (!response.ok) throw new Error(await response.text());
let rest = "";
for await (const piece of response.body.pipeThrough(new TextDecoderStream())) {
  const lines = (rest + piece).split("\\n");
  rest = lines.pop();
  for (const line of lines.filter((line) => line.startsWith("data: "))) {
    const event = JSON.parse(line.slice(6));
    if (event.type === "text.delta") console.log(event.delta);
  }
}
`,
};
