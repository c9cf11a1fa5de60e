import type { ErrorCode } from "../errors.js";
import type { Answer, ServedModel } from "./answers.js";
import { type Pending, readBody } from "./body.js";
import { corsHeaders } from "./cors.js";
import { parseJson } from "./json.js";
import { type Limits, limitsOf } from "./limits.js";
import { Metrics, type MetricsSnapshot, metricsText, type Observed } from "./metrics.js";
import { openapi } from "./openapi.js";
import { Problem, shortened } from "./problem.js";
import { type Document, ROUTES, type Route } from "./routes.js";
import { tokenCheck } from "./token.js";

/** How requests are answered. */
export interface HandlerOptions {
  /** What is accepted; see `Limits` for what each bounds. */
  limits?: Partial<Limits>;
  /** Tokens, one of which a request must have as `Authorization: Bearer TOKEN`; `/healthz` wants none. */
  token?: string | readonly string[];
  /** Origins whose pages may read the responses, `*` for all. None by default. */
  cors?: readonly string[];
  /** More members for `/v1/model`, such as where the model came from. */
  about?: () => Readonly<Record<string, unknown>>;
  /** Makes of what this handler has counted what `/metrics` shows; for several processes that are one to the outside. */
  collect?: (own: MetricsSnapshot) => Promise<MetricsSnapshot>;
  /** Told of errors that nobody expects; the client only learns that there was one. */
  onError?: (error: unknown) => void;
}

/** Answers requests; never rejects. */
export interface Handler {
  (request: Request): Promise<Response>;
  /** What it has counted so far. */
  metrics(): MetricsSnapshot;
}

/** On every response: it is what it says it is, and of this moment. */
const HEADERS = { "x-content-type-options": "nosniff", "cache-control": "no-store" };

/**
 * What answers requests with a model, wherever there are `Request` and `Response`.
 *
 * @param model the model, or what gives the one to use now, so that it can be exchanged: no request keeps one
 * @throws IfmError IFM_USAGE when an option is not what it should be
 */
export function createHandler(model: ServedModel | (() => ServedModel), options: HandlerOptions = {}): Handler {
  const { token = [], about = () => ({}), collect = async (own) => own, onError = () => undefined } = options;
  const limits = limitsOf(options.limits ?? {});
  const authorize = tokenCheck(typeof token === "string" ? [token] : token);
  const cors = corsHeaders(options.cors ?? []);
  const current = typeof model === "function" ? model : () => model;
  const metrics = new Metrics();
  const pending: Pending = { requests: 0, bytes: 0 };
  const counted = () => metrics.snapshot(pending.bytes);

  const documents: Record<Document, () => Promise<Response>> = {
    health: async () => json({ status: "ok" }),
    model: async () => json({ ...describe(current()), limits, ...about() }),
    openapi: async () => json(openapi(current(), limits, options.token !== undefined)),
    metrics: async () => {
      const headers = { "content-type": "text/plain; version=0.0.4; charset=utf-8" };
      return new Response(metricsText(await collect(counted())), { headers });
    },
  };

  const answer = async (request: Request, route: Route | undefined, observed: Observed): Promise<Response> => {
    const { method, headers } = request;
    if (method === "OPTIONS" && route) return new Response(null, { status: 204, headers: { allow: route.allow } });
    if (!route?.open) authorize(headers.get("authorization"));
    if (!route) throw new Problem("IFM_NOT_FOUND", `nothing is at ${shortened(new URL(request.url).pathname)}`);
    if (!route.allow.split(", ").includes(method)) {
      throw new Problem("IFM_METHOD", `expected ${route.allow}, found ${method}`, { headers: { allow: route.allow } });
    }
    if ("get" in route) {
      const response = await documents[route.get]();
      return method === "HEAD" ? new Response(null, response) : response;
    }
    checkMediaType(headers);
    const bytes = await readBody(request, limits, pending);
    observed.bodyBytes = bytes.length;
    // From here on nothing waits: the model stays the same, and requests are answered one after the other.
    const result: Answer = route.post(parseJson(bytes, limits.maxDepth), current(), limits);
    observed.rows = result.rows;
    observed.unknownFeatures = result.unknownFeatures;
    return json(result.json);
  };

  const handle = async (request: Request): Promise<Response> => {
    const start = performance.now();
    metrics.begin();
    const route = ROUTES.get(new URL(request.url).pathname);
    const name = route?.name ?? "none";
    const observed: Observed = { route: name, status: 0, seconds: 0, bodyBytes: 0, rows: 0, unknownFeatures: 0 };
    let response: Response;
    try {
      response = await answer(request, route, observed);
    } catch (error) {
      const problem = problemOf(error);
      if (problem.code === "IFM_INTERNAL") onError(error);
      response = problem.toResponse();
    }
    for (const [key, value] of Object.entries(HEADERS)) response.headers.set(key, value);
    for (const [key, value] of cors(request, route?.allow ?? "")) response.headers.set(key, value);
    metrics.end({ ...observed, status: response.status, seconds: (performance.now() - start) / 1000 });
    return response;
  };
  return Object.assign(handle, { metrics: counted });
}

/** JSON; what is no finite number becomes null, for JSON has no word for it. */
function json(value: unknown): Response {
  return new Response(JSON.stringify(value), { headers: { "content-type": "application/json" } });
}

/** A page of another origin can send the other kinds of bodies without asking first. */
function checkMediaType(headers: Headers): void {
  const found = headers.get("content-type");
  if (!/^application\/json\s*(;\s*charset="?utf-8"?\s*)?$/i.test(found ?? "")) {
    const what = found === null ? "none" : shortened(found);
    throw new Problem("IFM_MEDIA_TYPE", `expected Content-Type: application/json, found ${what}`);
  }
  const encoding = headers.get("content-encoding");
  if (encoding === null || encoding.toLowerCase() === "identity") return;
  throw new Problem("IFM_MEDIA_TYPE", "expected a body without Content-Encoding", {
    headers: { "accept-encoding": "identity" },
  });
}

/** What a client is told of an error. */
function problemOf(error: unknown): Problem {
  if (error instanceof Problem) return error;
  // The model may come from another entry of the package, which has a class of its own.
  if (error instanceof Error && error.name === "IfmError") {
    const { code, hint, message } = error as Error & { code: ErrorCode; hint?: string };
    if (code === "IFM_DATA") return new Problem("IFM_REQUEST", hint === undefined ? message : `${message}; ${hint}`);
    if (code === "IFM_MEMORY") return new Problem("IFM_BUSY", "not enough memory for this request");
  }
  return new Problem("IFM_INTERNAL", "an error that nobody expected; it is not the request's fault");
}

function describe({ config, record, tensors }: ServedModel): Record<string, unknown> {
  return {
    config,
    record,
    parameters: tensors.reduce((sum, tensor) => sum + tensor.parameters, 0),
    bytes: tensors.reduce((sum, tensor) => sum + tensor.bytes, 0),
  };
}
