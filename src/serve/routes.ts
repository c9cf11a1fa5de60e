import { type Answer, explain, invocations, predict, rank, type ServedModel } from "./answers.js";
import type { Limits } from "./limits.js";

/** What answers a request with a body. */
type AnswerJson = (body: unknown, model: ServedModel, limits: Limits) => Answer;

/** Documents that a handler makes. */
export type Document = "health" | "metrics" | "model" | "openapi";

/** What is at a path. */
export type Route = {
  /** Name in metrics. */
  name: string;
  /** Methods, as the header Allow lists them. */
  allow: string;
  /** Whether it wants no token. */
  open?: boolean;
} & ({ post: AnswerJson } | { get: Document });

const GET = "GET, HEAD, OPTIONS";
const POST = "POST, OPTIONS";

export const ROUTES: ReadonlyMap<string, Route> = new Map<string, Route>([
  ["/v1/rank", { name: "rank", allow: POST, post: rank }],
  ["/v1/predict", { name: "predict", allow: POST, post: predict }],
  ["/v1/explain", { name: "explain", allow: POST, post: explain }],
  ["/v1/model", { name: "model", allow: GET, get: "model" }],
  ["/healthz", { name: "health", allow: GET, get: "health", open: true }],
  ["/metrics", { name: "metrics", allow: GET, get: "metrics" }],
  ["/openapi.json", { name: "openapi", allow: GET, get: "openapi" }],
  // The two paths of a SageMaker container.
  ["/invocations", { name: "invocations", allow: POST, post: invocations }],
  ["/ping", { name: "health", allow: GET, get: "health", open: true }],
]);
