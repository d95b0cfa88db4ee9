// Shortcuts. Escape stops the run where nothing is open that it would close; the others want a modifier, so that they
// never stand in the way of what is typed or of a screen reader.
import { anew, stop } from "./actions.js";
import { toggleTheme, toggleTrace } from "./header.js";
import { busy, changed, closePanel, state, wide } from "./state.js";

export const SHORTCUTS = [
  ["Enter", "Send the message"],
  ["Shift Enter", "A new line"],
  ["Escape", "Close what is open, else stop the run"],
  ["Ctrl K", "Search conversations"],
  ["Alt N", "New conversation"],
  ["Alt T", "Show or hide the trace"],
  ["Alt D", "Dark or light"],
  ["Alt C", "Copy as code"],
  ["Alt /", "These shortcuts"],
];

const WITH_ALT = {
  KeyN: () => (anew(), document.querySelector("#message")?.focus()),
  KeyT: toggleTrace,
  KeyD: toggleTheme,
  KeyC: () => changed({ dialog: "copy" }),
  Slash: () => changed({ dialog: "keys" }),
};

export function listen() {
  addEventListener("keydown", (event) => {
    if (state.keyAsked !== null) return;
    if (event.key === "Escape" && !state.dialog) {
      if (state.panel && !(state.panel === "trace" && wide())) closePanel();
      else if (busy()) stop();
    } else if ((event.ctrlKey || event.metaKey) && event.code === "KeyK") {
      event.preventDefault();
      changed({ panel: matchMedia("(max-width: 800px)").matches ? "sidebar" : null });
      requestAnimationFrame(() => document.querySelector("#search").focus()); // once it is shown
    } else if (event.altKey && !event.ctrlKey && WITH_ALT[event.code]) {
      event.preventDefault();
      WITH_ALT[event.code]();
    }
  });
}
