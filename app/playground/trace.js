// A run's spans as a waterfall, and one of them from near.
import { cost, duration, totals } from "./figures.js";
import { toggleTrace } from "./header.js";
import { figuresOf, kindOf, rows, traceOf, watchTrace } from "./spans.js";
import { current, state } from "./state.js";
import { Copy, html, IconButton, useEffect, useState } from "./ui.js";
import { plain } from "./markdown.js";
import { curlOf } from "./code.js";
import { Value } from "./values.js";

export function Trace() {
  const turn = current();
  const [chosen, setChosen] = useState(null);
  useEffect(() => {
    watchTrace(turn);
  }, [turn?.key, turn?.runId, turn?.ended]);
  const trace = turn?.runId ? traceOf(turn.runId) : null;
  const found = rows(trace?.spans ?? []);
  const span = found.find((row) => row.span.span_id === chosen)?.span;
  return html`<aside class="trace" aria-label="Trace">
    <header><h2>Trace</h2>
      ${turn?.runId && html`<${Copy} text=${() => curlOf(`runs/${turn.runId}/trace`)} label="Copy as curl" />`}
      <${IconButton} icon="close" label="Close the trace" onClick=${toggleTrace} />
    </header>
    ${turn && html`<${Figures} turn=${turn} found=${found} />`}
    ${found.length > 0 && html`<${Waterfall} found=${found} chosen=${chosen} onChoose=${(id) => setChosen(id === chosen ? null : id)} />`}
    ${found.length === 0 && html`<p class="faint none">${trace?.problem ?? "The spans of a run are shown here, while it goes on."}</p>`}
    ${span && html`<${Span} span=${span} />`}
  </aside>`;
}

function Figures({ turn, found }) {
  const root = found[0]?.span;
  const first = found.map(({ span }) => figuresOf(span).firstMs).find((ms) => ms !== null);
  const seen = turn.firstTextAt && turn.firstTextAt - turn.startedAt; // by this page, while the spans do not say
  const usage = turn.usage?.input_tokens || turn.usage?.output_tokens ? turn.usage : null;
  const all = totals(state.turns);
  const session = root?.attributes["honeyhive.session_id"];
  return html`<dl class="figures" aria-label="Totals of the run">
      <div><dt>Duration</dt><dd>${turn.endedAt ? duration(turn.endedAt - turn.startedAt) : "…"}</dd></div>
      <div><dt>First token</dt><dd>${duration(root?.attributes["waggle.run.time_to_first_token_s"] * 1000 || first || seen)}</dd></div>
      <div><dt>Tokens</dt><dd>${usage ? html`${usage.input_tokens} <span class="faint">in</span> ${usage.output_tokens} <span class="faint">out</span>` : turn.ended ? "–" : "…"}</dd></div>
      <div><dt>Cost</dt><dd>${cost(usage?.cost_usd)}</dd></div>
    </dl>
    <p class="faint sum">Conversation: ${state.turns.length} ${state.turns.length === 1 ? "run" : "runs"}${all.tokens > 0 && ` · ${all.tokens.toLocaleString("en")} tokens · ${cost(all.cost)}`}
      ${state.links.trace && turn.traceId && html` · <a href=${state.links.trace.replace("{trace_id}", turn.traceId)} target="_blank" rel="noopener">Trace backend</a>`}
      ${state.links.honeyhive && session && html` · <a href=${state.links.honeyhive.replace("{session_id}", session)} target="_blank" rel="noopener">HoneyHive</a>`}
    </p>`;
}

function Waterfall({ found, chosen, onChoose }) {
  const begin = Math.min(...found.map(({ span }) => Date.parse(span.start)));
  const end = Math.max(begin + 1, ...found.map(({ span }) => (span.end ? Date.parse(span.end) : Date.now())));
  return html`<ol class="waterfall">${found.map(({ span, depth }) => {
    const left = Math.min((Date.parse(span.start) - begin) / (end - begin), 0.985);
    const width = ((span.end ? Date.parse(span.end) : end) - Date.parse(span.start)) / (end - begin);
    return html`<li key=${span.span_id}><button type="button" class=${kindOf(span)} data-depth=${Math.min(depth, 8)} aria-expanded=${chosen === span.span_id} onClick=${() => onChoose(span.span_id)}>
      <span class="name" title=${plain(span.name)}>${plain(span.name)}</span>
      <svg class="track" viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true"><rect x=${left * 100} width=${Math.max(width * 100, 1.5)} y="0" height="8" rx="1" /></svg>
      <span class="time">${span.end ? duration(span.duration_ms) : "…"}${span.status === "error" ? html`<span class="unseen"> failed</span>` : ""}</span>
    </button></li>`;
  })}</ol>`;
}

const CONTENT = /^((input|output)\.value|gen_ai\.(input|output)\.messages|gen_ai\.tool\.call\.(arguments|result))$/;

function Span({ span }) {
  const { tokens, cost: usd, firstMs } = figuresOf(span);
  const attributes = Object.entries(span.attributes);
  const content = attributes.filter(([name]) => CONTENT.test(name));
  const others = attributes.filter(([name]) => !CONTENT.test(name));
  return html`<section class="span" aria-label="Span">
    <h3>${plain(span.name)}</h3>
    <p class="faint">${duration(span.duration_ms)}${firstMs !== null && ` · first token ${duration(firstMs)}`}${tokens && ` · ${tokens[0]} in, ${tokens[1]} out`}${usd !== null && ` · ${cost(usd)}`}</p>
    ${span.events.map((event) => html`<div class="event"><b>${plain(event.name)}</b><${Pairs} pairs=${Object.entries(event.attributes)} /></div>`)}
    ${content.map(([name, value]) => html`<details key=${name} class="fold" open=${name === "input.value" || name === "output.value"}><summary>${plain(name)}</summary><${Value} text=${String(value)} /></details>`)}
    <details class="fold"><summary>Attributes (${others.length})</summary><${Pairs} pairs=${others} /></details>
  </section>`;
}

const isLong = (text) => text.length > 150 || text.includes("\n"); // it may be scrolled, by the keyboard too

const Pairs = ({ pairs }) => html`<dl class="pairs">${pairs.map(([name, value]) => html`<div key=${name}><dt>${plain(name)}</dt><dd dir="auto" tabindex=${isLong(String(value)) ? 0 : null}>${plain(String(value))}</dd></div>`)}</dl>`;
