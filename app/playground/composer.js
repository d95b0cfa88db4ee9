// What is asked: words, and pictures that are attached, pasted or dropped.
import { notify, send, stop } from "./actions.js";
import { busy, state } from "./state.js";
import { html, Icon, IconButton, useEffect, useRef, useState } from "./ui.js";

const TYPES = ["image/png", "image/jpeg", "image/gif", "image/webp"];
const LARGEST = 3_000_000; // bytes: MAX_BODY_BYTES is 4 MiB by default, and base64 takes a third more

export function Composer() {
  const [text, setText] = useState("");
  const [images, setImages] = useState([]);
  const area = useRef(null);
  const files = useRef(null);
  const running = busy();
  useEffect(() => {
    if (matchMedia("(hover: hover)").matches) area.current?.focus();
  }, [state.agent?.name, state.sessionId === null]);
  useEffect(() => grow(area.current), [text]);

  const attach = async (list) => {
    const found = [...list].filter((file) => TYPES.includes(file.type));
    if (found.length < list.length) notify("Only PNG, JPEG, GIF and WebP images can be attached.");
    if (found.some((file) => file.size > LARGEST)) return notify("An image may have 3 MB at most.");
    const urls = await Promise.all(found.map(dataUrl));
    setImages((images) => [...images, ...urls]);
  };
  const submit = (event) => {
    event?.preventDefault();
    if (running || !state.agent || (!text.trim() && !images.length)) return;
    const parts = images.map((url) => ({ type: "image_url", image_url: { url } }));
    send(parts.length ? [...(text.trim() ? [{ type: "text", text }] : []), ...parts] : text);
    setText("");
    setImages([]);
  };
  const onKeyDown = (event) => event.key === "Enter" && !event.shiftKey && !event.isComposing && submit(event);
  const onPaste = (event) => event.clipboardData.files.length && (event.preventDefault(), attach(event.clipboardData.files));
  const onDrop = (event) => (event.preventDefault(), attach(event.dataTransfer.files));

  return html`<form class="composer" onSubmit=${submit} onDrop=${onDrop} onDragOver=${(event) => event.preventDefault()}>
    ${images.length > 0 && html`<ul class="attached">${images.map((url, at) => html`<li key=${url}>
      <img src=${url} alt=${`Attached image ${at + 1}`} />
      <${IconButton} icon="close" label=${`Remove image ${at + 1}`} onClick=${() => setImages(images.filter((_, other) => other !== at))} />
    </li>`)}</ul>`}
    <label class="unseen" for="message">Message</label>
    <textarea id="message" ref=${area} rows="1" dir="auto" value=${text} placeholder=${state.agent ? `Ask ${state.agent.name}` : "Choose an agent"}
      onInput=${(event) => setText(event.target.value)} onKeyDown=${onKeyDown} onPaste=${onPaste}></textarea>
    <div class="bar">
      <input ref=${files} id="files" type="file" accept=${TYPES.join()} multiple hidden aria-label="Images"
        onChange=${(event) => (attach(event.target.files), (event.target.value = ""))} />
      <${IconButton} icon="attach" label="Attach images" onClick=${() => files.current.click()} />
      <span class="faint hint">${state.offline ? html`<span class="offline">Reconnecting…</span>` : "Enter to send · Shift Enter for a new line"}</span>
      ${running
        ? html`<button type="button" class="send stop" aria-label="Stop" title="Stop (Escape)" onClick=${stop}><${Icon} name="stop" /></button>`
        : html`<button class="send" aria-label="Send" title="Send (Enter)" disabled=${!text.trim() && !images.length}><${Icon} name="send" /></button>`}
    </div>
  </form>`;
}

// As high as what is written, up to a limit.
function grow(area) {
  if (!area) return;
  area.style.height = "auto";
  area.style.height = `${Math.min(area.scrollHeight, 240)}px`;
}

function dataUrl(file) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result);
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(file);
  });
}
