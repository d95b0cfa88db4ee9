// Below a turn: what it took, what can be done with it, and what a person thinks of it.
import { rate, send, showTrace, words } from "./actions.js";
import { cost, duration } from "./figures.js";
import { plain } from "./markdown.js";
import { busy } from "./state.js";
import { Copy, html, Icon, IconButton, useEffect, useRef, useState } from "./ui.js";

export function Foot({ turn }) {
  const [voted, setVoted] = useState(null); // the score that a comment is asked for, which may come before the vote is taken
  const asking = voted !== null;
  const why = useRef(null);
  useEffect(() => {
    if (asking && matchMedia("(hover: hover)").matches) why.current.focus(); // on a phone it would bring up the keyboard
  }, [asking]);
  const vote = (score) => {
    rate(turn, score);
    setVoted(score);
  };
  const comment = (event) => {
    event.preventDefault();
    rate(turn, voted, new FormData(event.target).get("comment").trim());
    leave();
  };
  const leave = () => {
    setVoted(null);
    document.querySelector("#message").focus({ preventScroll: true });
  };
  const onKeyDown = (event) => event.key === "Escape" && (event.stopPropagation(), leave());
  const { usage } = turn;
  return html`<footer class="foot">
    <div class="bar">
      ${turn.runId && html`<${IconButton} icon="up" label="Good answer" aria-pressed=${turn.feedback?.score === 1} onClick=${() => vote(1)} />
        <${IconButton} icon="down" label="Bad answer" aria-pressed=${turn.feedback?.score === 0} onClick=${() => vote(0)} />`}
      <${Copy} text=${() => words(turn.output ?? turn.items.at(-1)?.message.content ?? "")} />
      ${turn.task !== null && html`<button type="button" class="quiet" disabled=${Boolean(busy())} onClick=${() => send(turn.task)}><${Icon} name="retry" />Retry</button>`}
      ${turn.runId && html`<button type="button" class="quiet figures" onClick=${() => showTrace(turn)}>
        ${turn.endedAt && duration(turn.endedAt - turn.startedAt)}${usage && usage.input_tokens + usage.output_tokens > 0 && ` · ${(usage.input_tokens + usage.output_tokens).toLocaleString("en")} tokens`}${usage?.cost_usd ? ` · ${cost(usage.cost_usd)}` : ""}<${Icon} name="trace" />
      </button>`}
    </div>
    ${asking && html`<form class="comment" onSubmit=${comment} onKeyDown=${onKeyDown}>
      <label><span class="unseen">Comment</span><input name="comment" ref=${why} maxlength="4096" placeholder="Tell why, if you like" autocomplete="off" /></label>
      <button class="primary">Send</button>
    </form>`}
    ${turn.feedback && !asking && html`<p class="faint said" role="status">${turn.feedback.comment ? html`You said: <q dir="auto">${plain(turn.feedback.comment)}</q>` : "Thank you."}</p>`}
  </footer>`;
}
