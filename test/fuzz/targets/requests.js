import { Model } from "../../../src/model/model.js";
import { createHandler } from "../../../src/serve.js";
import { modelBytes } from "./model.js";

const KINDS = ["fm", "ifm", "inn", "deepifm", "afm"];
const ROUTES = ["/v1/predict", "/v1/rank", "/v1/explain", "/invocations"];
/** Small limits are reached sooner. */
const LIMITS = { maxBodyBytes: 4096, maxRows: 8, maxCandidates: 32, maxSlots: 8, maxDepth: 8, maxExplainedPairs: 100 };
const ROW = JSON.stringify({ rows: [{ features: [0, 3, 5] }, { features: [1, 2, 900], values: [1, 0.5, 1] }] });

const handlers = [];
for (const kind of KINDS) {
  const errors = [];
  const handler = createHandler(await Model.load(modelBytes(kind)), {
    limits: LIMITS,
    onError: (error) => errors.push(error),
  });
  const before = await (await handler(post("/v1/predict", ROW))).text();
  handlers.push({ kind, handler, errors, before });
}

function post(path, body) {
  const headers = { "content-type": "application/json" };
  return new Request(`http://localhost${path}`, { method: "POST", headers, body });
}

/** Which model and route, then the JSON. */
const request = (kind, route, body) => {
  const text = typeof body === "string" ? body : JSON.stringify(body);
  return new TextEncoder().encode(String.fromCharCode(16 * ROUTES.indexOf(route) + KINDS.indexOf(kind)) + text);
};

const context = { features: [0, 3], slots: [0, 2] };

/** What a client sends, to a handler: every answer is a valid one, and changes no other. */
export default {
  seeds: () => [
    request("fm", "/v1/predict", { rows: [{ features: [0, 1, 4] }, { features: [] }], link: "sigmoid" }),
    request("ifm", "/v1/predict", { rows: [{ features: [0, 1, 4], values: [1, -0.5, 1e38] }] }),
    request("ifm", "/v1/rank", { context, candidates: [{ features: [1] }, { features: [2] }], topK: 1, explain: true }),
    request("fm", "/v1/rank", { context: { features: [0] }, candidates: { count: 2, features: [1, 2, 3, 4] } }),
    request("afm", "/v1/rank", { context, candidates: { count: 3, features: [1, 2, 99], slots: [1] }, clip: true }),
    request("inn", "/v1/explain", { row: { features: [0, 1, 5] } }),
    request("deepifm", "/v1/explain", { row: { features: [0, 1, 5], values: [0, 1, 2] } }),
    request("fm", "/invocations", {
      instances: [{ data: { features: { keys: [0, 5], shape: [6], values: [1, 2] } } }],
    }),
  ],
  words: [
    '"features":[',
    '"values":[',
    '"slots":[',
    '"count":',
    '"topK":',
    '"explain":true',
    '"clip":true',
    '"__proto__":{',
    "1e309",
    "-0",
    "0.5",
    "9007199254740991",
    "4294967296",
    "3.5e38",
    "null",
    "[[[[[[[[[",
    "\\ud800",
    "{}",
  ],
  maxBytes: 2048,
  memory: { base: 4e6, factor: 1024 },
  async run(bytes) {
    const choice = bytes[0] ?? 0;
    const { kind, handler, errors, before } = handlers[(choice & 15) % KINDS.length];
    const route = ROUTES[(choice >> 4) % ROUTES.length];
    const response = await handler(post(route, bytes.subarray(1)));
    const answer = JSON.parse(await response.text());
    const wrong = (what) => {
      throw new Error(`${kind} ${route}: ${what}: ${errors.splice(0).map((error) => error?.stack ?? error)}`);
    };
    if (response.status >= 500 || errors.length > 0) wrong(`status ${response.status}`);
    if (response.status === 200) checkAnswer(answer, wrong);
    else if (!/^IFM_/.test(answer.code) || typeof answer.detail !== "string") wrong("a problem without a code");
    if ({}.polluted !== undefined) wrong("a prototype has been changed");
    const after = await (await handler(post("/v1/predict", ROW))).text();
    if (after !== before) wrong(`another row was scored ${before} before and ${after} after`);
  },
};

/** What every answer promises. */
function checkAnswer({ scores, indices, predictions, score, linear, explanations = [] }, wrong) {
  // A score that overflows is null: JSON has no word for it.
  const isScore = (value) => value === null || Number.isFinite(value);
  const list = scores ?? predictions?.map((prediction) => prediction.score) ?? [score];
  if (!Array.isArray(list) || !list.every(isScore)) wrong("scores");
  if (indices !== undefined) {
    const isOrdered = list.every((value, i) => i === 0 || value === null || !(value > (list[i - 1] ?? Infinity)));
    if (new Set(indices).size !== indices.length || indices.length !== list.length || !isOrdered) wrong("a ranking");
  }
  if (linear !== undefined && !linear.every(isScore)) wrong("an explanation");
  for (const explanation of explanations) checkAnswer(explanation, wrong);
}
