// The agents, and the conversations to go back to.
import { anew, choose, loadSessions, openSession, removeSession, search } from "./actions.js";
import { ago } from "./figures.js";
import { plain } from "./markdown.js";
import { changed, state } from "./state.js";
import { html, Icon, IconButton } from "./ui.js";

export function Sidebar() {
  return html`<nav class="sidebar" aria-label="Agents and conversations">
    <div class="brand"><img src="static/icon.svg" alt="" width="22" height="22" /><b>Waggle</b>
      <${IconButton} icon="help" label="Keyboard shortcuts" onClick=${() => changed({ dialog: "keys" })} />
    </div>
    <button type="button" class="new" onClick=${anew}><${Icon} name="add" />New conversation</button>
    <h2 id="agents">Agents</h2>
    <ul class="agents" aria-labelledby="agents">${state.agents?.map((agent) => html`<${Agent} key=${agent.name} agent=${agent} />`)}</ul>
    <h2 id="sessions">Conversations</h2>
    <label class="search"><${Icon} name="search" /><span class="unseen">Search conversations</span>
      <input id="search" type="search" placeholder="Search" value=${state.search} onInput=${(event) => search(event.target.value)} /></label>
    <${Sessions} />
  </nav>`;
}

function Agent({ agent }) {
  const current = agent.name === state.agent?.name;
  const broken = agent.status === "invalid";
  return html`<li><button type="button" aria-current=${current ? "true" : null} disabled=${broken} title=${broken ? agent.reason : agent.description} onClick=${() => choose(agent.name)}>
    <span class="first"><span class="dot ${broken ? "bad" : agent.kind}"></span>${agent.name}<span class="kind">${broken ? "broken" : agent.kind === "team" ? "team" : ""}</span></span>
    <span class="second">${broken ? agent.reason : agent.description}</span>
  </button></li>`;
}

function Sessions() {
  const wanted = state.search.trim().toLowerCase();
  const fits = (session) => `${session.title ?? ""} ${session.agent} ${session.session_id}`.toLowerCase().includes(wanted);
  const found = state.sessions.filter(fits);
  if (!found.length) return html`<p class="faint none">${wanted ? "Nothing is found." : "They will be here."}</p>`;
  return html`<ul class="sessions" aria-labelledby="sessions">
    ${found.map((session) => html`<${Session} key=${session.session_id} session=${session} />`)}
    ${state.moreSessions && !wanted && html`<li><button type="button" class="quiet" onClick=${() => loadSessions(true)}>More</button></li>`}
  </ul>`;
}

function Session({ session }) {
  const title = plain(session.title ?? "…") || (session.active_run_id ? "Still running" : "No answer yet");
  const remove = () => confirm(`Remove “${title}” with all its runs?`) && removeSession(session.session_id);
  return html`<li class="session"><button type="button" aria-current=${session.session_id === state.sessionId ? "true" : null} onClick=${() => openSession(session.session_id)}>
      <span class="first" dir="auto">${title}</span><span class="second">${session.agent} · ${ago(session.updated_at)}</span>
    </button>
    <${IconButton} icon="trash" label=${`Remove “${title}”`} onClick=${remove} /></li>`;
}
