import createFetchClient, { type Client } from "openapi-fetch";

import type { paths } from "./openapi.js";
import { WaggleError } from "./problem.js";

/** Each operation by its method and path: https://openapi-ts.dev/openapi-fetch. */
export type WaggleClient = Client<paths>;

export interface ClientOptions {
  /** Where the service is. */
  baseUrl: string;
  /** An API key or an OpenID Connect token, or what gets one: it is asked before each request. */
  token?: string | (() => string | Promise<string>);
  /** The end user whose sessions and runs are meant, for credentials that stand for many. */
  user?: string;
  fetch?: typeof fetch;
}

export function createClient({ baseUrl, token, user, fetch }: ClientOptions): WaggleClient {
  const client = createFetchClient<paths>({ baseUrl, ...(fetch && { fetch }) });
  client.use({
    async onRequest({ request }) {
      if (token) request.headers.set("Authorization", `Bearer ${typeof token === "string" ? token : await token()}`);
      if (user) request.headers.set("X-User-ID", user);
    },
  });
  return client;
}

/** What was answered; throws a `WaggleError` where it is an error. */
export async function dataOf<Data>(
  answer: Promise<{ data?: Data; error?: unknown; response: Response }>,
): Promise<Exclude<Data, undefined>> {
  const { data, error, response } = await answer;
  if (!response.ok) throw new WaggleError(error, response);
  return data as Exclude<Data, undefined>;
}
