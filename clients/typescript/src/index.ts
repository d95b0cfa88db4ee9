export { createClient, dataOf, type ClientOptions, type WaggleClient } from "./client.js";
export { WaggleError } from "./problem.js";
export { stream, watch, type StreamOptions } from "./stream.js";
export type { components, operations, paths } from "./openapi.js";

import type { components } from "./openapi.js";

type Schemas = components["schemas"];
export type AgentCard = Schemas["AgentCard"];
export type Feedback = Schemas["Feedback"];
export type InputRequest = Schemas["InputRequest"];
export type Message = Schemas["Message"];
export type Outcome = Schemas["Outcome"];
export type Problem = Schemas["Problem"];
export type Run = Schemas["Run"];
export type RunEvent = Schemas["RunEvent"];
export type RunRequest = Schemas["RunIn"];
export type Session = Schemas["Session"];
export type Trace = Schemas["Trace"];
