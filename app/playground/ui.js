// Preact without a build step, and the few parts that every view uses.
import { Component, h, html, render, useEffect, useLayoutEffect, useRef, useState } from "./vendor/preact.js";

export { Component, h, html, render, useEffect, useLayoutEffect, useRef, useState };

// A component that is rendered again only where one of its properties has become another.
export function memo(view) {
  return class extends Component {
    shouldComponentUpdate(next) {
      const names = new Set([...Object.keys(next), ...Object.keys(this.props)]);
      return [...names].some((name) => name !== "children" && next[name] !== this.props[name]);
    }

    render(props) {
      return h(view, props);
    }
  };
}

const PATHS = {
  add: "M8 3v10M3 8h10",
  agent: "M8 1.5 13.6 4.7v6.6L8 14.5 2.4 11.3V4.7z",
  attach: "M13 7.5 8 12.5a3 3 0 0 1-4.3-4.3l5.4-5.3a2 2 0 0 1 2.8 2.8L6.7 11a.9.9 0 0 1-1.3-1.3L10 5.2",
  check: "M3 8.5 6.5 12 13 4.5",
  chevron: "M6 4l4 4-4 4",
  close: "M4 4l8 8M12 4l-8 8",
  code: "M5.5 4.5 2 8l3.5 3.5M10.5 4.5 14 8l-3.5 3.5",
  copy: "M5.5 5.5h8v8h-8zM10.5 5.5v-3h-8v8h3",
  down: "M5 2.5H2.5v6.5H5zM5 9l2.5 4.5c1.5 0 1.8-1 1.8-2V9.5h3a1.4 1.4 0 0 0 1.3-1.8l-1.2-4A1.6 1.6 0 0 0 10.9 2.500H5",
  help: "M6 6a2 2 0 1 1 2.7 1.900c-.5.2-.7.6-.7 1.100M8 11.700v.1M8 1.500a6.5 6.5 0 1 1 0 13 6.5 6.5 0 0 1 0-13",
  info: "M8 7.300V11.500M8 4.700v.1M8 1.500a6.5 6.5 0 1 1 0 13 6.5 6.5 0 0 1 0-13",
  menu: "M2.5 4.500h11M2.5 8h11M2.5 11.500h11",
  retry: "M13 8a5 5 0 1 1-1.5-3.600M13 2v3h-3",
  search: "M7 2.500a4.5 4.5 0 1 1 0 9 4.5 4.5 0 0 1 0-9M10.5 10.500l3 3",
  send: "M8 13V3M3.5 7.5 8 3l4.5 4.5",
  stop: "M4.5 4.500h7v7h-7z",
  theme: "M8 2.500a5.5 5.5 0 1 0 0 11zM8 2.500a5.5 5.5 0 0 1 0 11",
  tool: "M10 2.500a3.5 3.5 0 0 0-3.3 4.700L2.5 11.400l2.1 2.1 4.2-4.200A3.5 3.5 0 0 0 13.3 5L11 7.2 8.8 5 11 2.700a3.5 3.5 0 0 0-1-.2",
  trace: "M2 3.500h7M4.5 8H12M7.5 12.500H14",
  trash: "M3 4.500h10M6.5 4.500v-2h3v2M4.5 4.500l.5 9h6l.5-9",
  up: "M5 13.500H2.500V7H5zM5 7l2.5-4.500c1.5 0 1.8 1 1.8 2v2h3a1.4 1.4 0 0 1 1.3 1.800l-1.2 4a1.6 1.6 0 0 1-1.5 1.200H5",
};

export const Icon = ({ name }) =>
  html`<svg class="icon" viewBox="0 0 16 16" aria-hidden="true"><path d=${PATHS[name]} /></svg>`;

export const IconButton = ({ icon, label, ...rest }) =>
  html`<button type="button" class="icon-button" aria-label=${label} title=${label} ...${rest}><${Icon} name=${icon} /></button>`;

export function Copy({ text, label = "Copy" }) {
  const [done, setDone] = useState(false);
  const copy = async () => {
    await writeToClipboard(typeof text === "function" ? text() : text);
    setDone(true);
    setTimeout(() => setDone(false), 1500);
  };
  return html`<button type="button" class="quiet" onClick=${copy}>
    <${Icon} name=${done ? "check" : "copy"} />${done ? "Copied" : label}
  </button>`;
}

// `navigator.clipboard` is there for https and localhost alone.
export async function writeToClipboard(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const area = document.createElement("textarea");
  area.value = text;
  document.body.append(area);
  area.select();
  document.execCommand("copy");
  area.remove();
}

export function Dialog({ title, onClose, children }) {
  const ref = useRef(null);
  useLayoutEffect(() => {
    const dialog = ref.current;
    dialog.showModal();
    return () => dialog.close();
  }, []);
  const outside = (event) => event.target === ref.current && onClose();
  return html`<dialog ref=${ref} aria-label=${title} onCancel=${onClose} onClick=${outside}>
    <div class="dialog">
      <header><h2>${title}</h2><${IconButton} icon="close" label="Close" onClick=${onClose} /></header>
      ${children}
    </div>
  </dialog>`;
}
