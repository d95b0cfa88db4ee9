import type { components } from "./openapi.js";

export type Problem = components["schemas"]["Problem"];

/** What the service refused or failed with: an RFC 9457 problem. Decide by `type`. */
export class WaggleError extends Error {
  override readonly name = "WaggleError";
  /** `urn:waggle:problem:…`, each explained in docs/errors.md; `about:blank` where it is no problem of the service's. */
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly detail: string;
  /** The whole problem: `run_id`, `trace_id` and `errors` too, where it has them. */
  readonly problem: Problem;
  /** When to try again, in seconds, where that helps. */
  readonly retryAfter: number | undefined;

  constructor(body: unknown, response: Response) {
    const problem = isProblem(body) ? body : unknown(response);
    super(`${problem.title}: ${problem.detail}`);
    this.problem = problem;
    ({ type: this.type, title: this.title, status: this.status, detail: this.detail } = problem);
    this.retryAfter = Number(response.headers.get("Retry-After")) || undefined;
  }
}

function isProblem(body: unknown): body is Problem {
  return typeof body === "object" && body !== null && "type" in body && "status" in body;
}

/** An answer of something between, such as a proxy. */
function unknown({ status, statusText, url }: Response): Problem {
  return { type: "about:blank", title: statusText || `Status ${status}`, status, detail: `${url} answered ${status}.` };
}
