import type { Loss, ModelKind } from "../../src/config.js";
import type { Model } from "../../src/model/model.js";
import { createHandler, type Handler, type HandlerOptions, type ServedModel } from "../../src/serve.js";
import { parse, plantedRows } from "../support/data.js";
import { train } from "../support/train.js";

/** Features of the models; ids from here on are unknown to them. */
export const FEATURES = 18;

/** A small model that has learnt something: three fields of six features. */
export async function smallModel(model: ModelKind = "ifm", loss: Loss = "squared"): Promise<Model> {
  const data = { train: await parse(plantedRows(60, 1)) };
  const shape = { factors: 4, attentionFactors: 4, fieldFactors: 4, features: FEATURES };
  const run = await train({ model: { model, loss, ...shape }, train: { epochs: 2 }, data });
  return run.model;
}

export const ROW = [1, 7, 13];

/** JSON for a route. */
export function post(path: string, body: unknown, headers: Record<string, string> = {}): Request {
  return new Request(`http://localhost${path}`, {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body: typeof body === "string" || body instanceof Uint8Array ? (body as BodyInit) : JSON.stringify(body),
  });
}

export function get(path: string, init: RequestInit = {}): Request {
  return new Request(`http://localhost${path}`, init);
}

/** What a test looks at of a response; its text must be JSON if it says so. */
export interface Answered {
  status: number;
  type: string;
  json: Record<string, unknown>;
  text: string;
  headers: Headers;
}

export async function answered(response: Promise<Response>): Promise<Answered> {
  const {
    status,
    headers,
    text: read,
  } = await response.then(async (found) => ({
    status: found.status,
    headers: found.headers,
    text: await found.text(),
  }));
  const type = headers.get("content-type") ?? "";
  return { status, type, headers, text: read, json: type.includes("json") && read !== "" ? JSON.parse(read) : {} };
}

/** A handler of a model, and what asks it. */
export function served(model: ServedModel | (() => ServedModel), options: HandlerOptions = {}) {
  const errors: unknown[] = [];
  const handler: Handler = createHandler(model, { onError: (error) => errors.push(error), ...options });
  return {
    handler,
    errors,
    post: (path: string, body: unknown, headers?: Record<string, string>) =>
      answered(handler(post(path, body, headers))),
    get: (path: string, init?: RequestInit) => answered(handler(get(path, init))),
  };
}
