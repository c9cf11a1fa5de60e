import { VERSION } from "../version.js";
import { type ServedModel, widthOf } from "./answers.js";
import type { Limits } from "./limits.js";
import { LARGEST_ID, LARGEST_VALUE } from "./rows.js";

type Json = Record<string, unknown>;

const ref = (name: string): Json => ({ $ref: `#/components/schemas/${name}` });
const object = (properties: Json, required: readonly string[]): Json => ({
  type: "object",
  properties,
  required,
  additionalProperties: false,
});
const list = (items: Json, maxItems: number, minItems = 0): Json => ({ type: "array", items, minItems, maxItems });
const whole = (minimum: number, maximum: number): Json => ({ type: "integer", minimum, maximum });
const content = (schema: Json, example: unknown): Json => ({ "application/json": { schema, example } });

const COUNT = { type: "integer", minimum: 0 };
const SCORE = { type: ["number", "null"], description: "null when it is no finite number" };

/** The OpenAPI document of a handler: what it accepts depends on its model and its limits. */
export function openapi(model: ServedModel, limits: Limits, hasToken: boolean): Json {
  const examples = examplesOf(model, limits);
  const post = (operationId: string, summary: string, schema: string, answer: string, example: unknown): Json => ({
    post: {
      operationId,
      summary,
      requestBody: { required: true, content: content(ref(schema), example) },
      responses: {
        200: { description: "The answer.", content: { "application/json": { schema: ref(answer) } } },
        ...problems([400, ...(hasToken ? [401] : []), 408, 413, 415, 422, 503]),
      },
    },
  });
  const get = (operationId: string, summary: string, type: string, schema: Json, open = false): Json => ({
    get: {
      operationId,
      summary,
      ...(open && { security: [] }),
      responses: { 200: { description: summary, content: { [type]: { schema } } } },
    },
  });
  const health = (id: string) => get(id, "Whether the server answers.", "application/json", ref("Health"), true);
  return {
    openapi: "3.1.0",
    info: {
      title: "ifm-wasm",
      version: VERSION,
      summary: "Ranks candidates, scores rows and explains scores with a factorization machine.",
      license: { name: "MIT", identifier: "MIT" },
    },
    servers: [{ url: "/" }],
    ...(hasToken && { security: [{ token: [] }] }),
    paths: {
      "/v1/rank": post("rank", "Candidates of one context, by score.", "RankRequest", "Ranking", examples.rank),
      "/v1/predict": post("predict", "Scores of rows.", "PredictRequest", "Scores", examples.predict),
      "/v1/explain": post("explain", "Why a row has its score.", "ExplainRequest", "Explanation", examples.explain),
      "/v1/model": get("model", "What is served.", "application/json", ref("Model")),
      "/healthz": health("health"),
      "/metrics": get("metrics", "Counters for Prometheus.", "text/plain", { type: "string" }),
      "/openapi.json": get("openapi", "This document.", "application/json", { type: "object" }),
      "/invocations": post(
        "invocations",
        "Scores in the format of SageMaker's factorization machines.",
        "Invocation",
        "Predictions",
        examples.invocations,
      ),
      "/ping": health("ping"),
    },
    components: {
      schemas: { ...requests(model, limits), ...ANSWERS },
      ...(hasToken && { securitySchemes: { token: { type: "http", scheme: "bearer" } } }),
    },
  };
}

/** Requests that work with the model, whatever its width. */
function examplesOf(model: ServedModel, limits: Limits) {
  const { exactly = 3 } = widthOf(model, limits);
  const features = Array.from({ length: exactly }, (_, slot) => Math.min(slot, model.config.features - 1));
  const context = features.slice(0, -1);
  const candidates = [0, 1, model.config.features].map((id) => ({ features: exactly === 0 ? [] : [id] }));
  return {
    rank: { context: { features: context }, candidates, topK: 2 },
    predict: { rows: [{ features }, { features, values: features.map((_, slot) => (slot === 0 ? 0.5 : 1)) }] },
    explain: { row: { features } },
    invocations: {
      instances: [
        { data: { features: { keys: features, shape: [model.config.features], values: features.map(() => 1) } } },
      ],
    },
  };
}

function requests(model: ServedModel, limits: Limits): Json {
  const { maxRows, maxCandidates, maxSlots } = limits;
  const { most, exactly } = widthOf(model, limits);
  const id = {
    ...whole(0, LARGEST_ID),
    description: "row of the model's tables; unknown to the model from its end on",
  };
  const value = { type: "number", minimum: -LARGEST_VALUE, maximum: LARGEST_VALUE };
  const inRow = (items: Json) => list(items, exactly ?? most, exactly ?? 0);
  const positions = {
    ...list(whole(0, 2 * maxSlots - 1), maxSlots),
    description: "position in the row of each slot; FM does not look at them",
  };
  const inPart = (items: Json) => list(items, maxSlots);
  const inTable = (items: Json) => list(items, maxCandidates * maxSlots);
  const link = { enum: ["identity", "sigmoid"], default: "identity", description: "sigmoid: probabilities" };
  const clip = { type: "boolean", default: false, description: "clip scores to the range of the training labels" };
  const values = "one for each feature; 1 when missing";
  return {
    Row: object({ features: inRow(id), values: { ...inRow(value), description: values } }, ["features"]),
    Candidate: object({ features: inPart(id), values: { ...inPart(value), description: values } }, ["features"]),
    Context: object({ features: inPart(id), values: { ...inPart(value), description: values }, slots: positions }, [
      "features",
    ]),
    CandidateTable: {
      ...object(
        {
          count: whole(0, maxCandidates),
          features: inTable(id),
          values: { ...inTable(value), description: values },
          slots: positions,
        },
        ["count", "features"],
      ),
      description: "as many features for each of count candidates, one candidate after the other",
    },
    RankRequest: object(
      {
        context: ref("Context"),
        candidates: { oneOf: [list(ref("Candidate"), maxCandidates), ref("CandidateTable")] },
        topK: { ...whole(1, Number.MAX_SAFE_INTEGER), description: "how many to return; all when missing" },
        explain: { type: "boolean", default: false },
        link,
        clip,
      },
      ["context", "candidates"],
    ),
    PredictRequest: object({ rows: list(ref("Row"), maxRows), link, clip }, ["rows"]),
    ExplainRequest: object({ row: ref("Row") }, ["row"]),
    Invocation: object(
      {
        instances: list(object({ data: object({ features: ref("SparseFeatures") }, ["features"]) }, ["data"]), maxRows),
      },
      ["instances"],
    ),
    SparseFeatures: object({ keys: inRow(id), shape: {}, values: inRow(value) }, ["keys", "values"]),
  };
}

/** Answers have no `additionalProperties`: clients should not mind new members. */
const answer = (properties: Json, required = Object.keys(properties)): Json => ({
  type: "object",
  properties,
  required,
});

const UNKNOWN = { ...COUNT, description: "slots whose feature the model does not know" };
const numbers = { type: "array", items: SCORE };

const ANSWERS: Json = {
  Ranking: answer(
    {
      indices: { type: "array", items: COUNT, description: "places among the candidates, best first" },
      scores: { ...numbers, description: "scores of these" },
      unknownFeatures: UNKNOWN,
      explanations: { type: "array", items: ref("Explanation") },
    },
    ["indices", "scores", "unknownFeatures"],
  ),
  Scores: answer({ scores: numbers, unknownFeatures: UNKNOWN }),
  Explanation: answer(
    {
      score: SCORE,
      bias: SCORE,
      constant: SCORE,
      linear: numbers,
      pairs: { type: "array", items: answer({ s: COUNT, t: COUNT, weight: SCORE, contribution: SCORE }) },
      network: answer({
        method: { const: "integrated gradients" },
        of: { enum: ["slots", "pairs"] },
        baseline: SCORE,
        contributions: numbers,
      }),
      unknownFeatures: UNKNOWN,
    },
    ["score", "bias", "constant", "linear", "pairs", "unknownFeatures"],
  ),
  Predictions: answer({
    predictions: { type: "array", items: answer({ score: SCORE, predicted_label: { enum: [0, 1] } }, ["score"]) },
  }),
  Model: answer({
    config: { type: "object" },
    record: { type: "object" },
    parameters: COUNT,
    bytes: COUNT,
    limits: { type: "object", additionalProperties: { type: "integer" } },
  }),
  Health: answer({ status: { const: "ok" } }),
  Problem: answer(
    {
      type: { type: "string" },
      title: { type: "string" },
      status: { type: "integer" },
      detail: { type: "string" },
      code: { type: "string", description: "stable, for programs" },
      pointer: { type: "string", description: "JSON Pointer to what is not as expected" },
      expected: { type: "string" },
      found: { type: "string" },
    },
    ["type", "title", "status", "detail", "code"],
  ),
};

const PROBLEM = { "application/problem+json": { schema: ref("Problem") } };

function problems(statuses: readonly number[]): Json {
  const description = "RFC 9457 problem details";
  return Object.fromEntries(statuses.map((status) => [status, { description, content: PROBLEM }]));
}
