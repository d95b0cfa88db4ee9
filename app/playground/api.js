// The service, as any client of it has it: JSON, problems (RFC 9457), a key where one is asked for.
import { changed } from "./state.js";

const KEY = "waggle.key";
export const key = () => sessionStorage.getItem(KEY);
export const setKey = (value) => (value ? sessionStorage.setItem(KEY, value) : sessionStorage.removeItem(KEY));

export class Problem extends Error {
  constructor(status, body) {
    super(body.detail ?? body.title ?? `The service answered ${status}.`);
    Object.assign(this, { status, body });
  }
}

// Below the page's own address, so that a proxy may serve it under a path.
export async function ask(path, { method = "GET", body, headers = {}, signal } = {}) {
  const sent = { Accept: "application/json", ...headers };
  if (key()) sent.Authorization = `Bearer ${key()}`;
  if (body !== undefined) sent["Content-Type"] = "application/json";
  const content = body === undefined ? undefined : JSON.stringify(body);
  const response = await fetch(path, { method, headers: sent, body: content, signal, cache: "no-cache" });
  if (response.ok) return response;
  const problem = new Problem(response.status, await response.json().catch(() => ({})));
  if (response.status === 401) {
    changed({ keyAsked: key() ? problem.message : "This service asks for a key." });
  }
  throw problem;
}

export const json = async (path, options) => (await ask(path, options)).json();

export const agents = () => json("agents").then((page) => page.items);
export const links = () => json("playground.json");
export const sessions = (cursor) => json(`sessions?limit=30${cursor ? `&cursor=${encodeURIComponent(cursor)}` : ""}`);
export const session = (id) => json(`sessions/${encodeURIComponent(id)}`);
export const firstMessage = (id) => json(`sessions/${encodeURIComponent(id)}/messages?limit=1`).then((page) => page.items[0]);
export const lastTask = async (id) => {
  const [latest] = (await json(`sessions/${encodeURIComponent(id)}/runs?limit=1`)).items;
  return latest ? (await run(latest.run_id)).messages[0]?.content : null;
};
export const runs = (id, cursor) =>
  json(`sessions/${encodeURIComponent(id)}/runs?limit=20${cursor ? `&cursor=${encodeURIComponent(cursor)}` : ""}`);
export const removeSession = (id) => ask(`sessions/${encodeURIComponent(id)}`, { method: "DELETE" });
export const run = (id) => json(`runs/${id}`);
export const cancel = (id) => json(`runs/${id}/cancel`, { method: "POST" });
export const answer = (id, inputId, input) => json(`runs/${id}/input`, { method: "POST", body: { input, input_id: inputId } });
export const feedbackOf = (id) => json(`runs/${id}/feedback?limit=1`).then((page) => page.items);
export const feedback = (id, body) => ask(`runs/${id}/feedback`, { method: "POST", body });
export const trace = (id) => json(`runs/${id}/trace`);
