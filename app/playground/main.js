import { App } from "./app.js";
import { start } from "./actions.js";
import { listen } from "./keyboard.js";
import { paintWith } from "./state.js";
import { html, render } from "./ui.js";

paintWith(() => render(html`<${App} />`, document.body));
listen();
start();
