import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Model } from "../../src/model/model.js";
import { datasetOf, tableOfRows } from "../../src/model/slots.js";
import { DEFAULT_LIMITS, type ServedModel } from "../../src/serve.js";
import { FEATURES, ROW, served, smallModel } from "./support.js";

let model: Model;
let fm: Model;
beforeAll(async () => {
  model = await smallModel();
  fm = await smallModel("fm", "logistic");
});
afterAll(() => {
  model.dispose();
  fm.dispose();
});

const scoresOf = (of: Model, rows: { features: number[]; values?: number[] }[]) =>
  Array.from(of.predict(datasetOf(tableOfRows("rows", rows))));

describe("POST /v1/predict", () => {
  it("scores rows as the model does", async () => {
    const rows = [{ features: ROW }, { features: [0, 6, 12], values: [0.5, -1, 2] }, { features: [5, 11, 17] }];
    const { status, json, type, headers } = await served(model).post("/v1/predict", { rows });
    expect({ status, type }).toEqual({ status: 200, type: "application/json" });
    expect(json).toEqual({ scores: scoresOf(model, rows), unknownFeatures: 0 });
    expect(headers.get("x-content-type-options")).toBe("nosniff");
    expect(headers.get("cache-control")).toBe("no-store");
  });

  it("counts features that the model does not know, however large their ids", async () => {
    const rows = [{ features: [1, FEATURES, 2 ** 53 - 1] }, { features: [1, 2 ** 32, 2 ** 32 + 1] }];
    const { status, json } = await served(model).post("/v1/predict", { rows });
    expect({ status, unknown: json.unknownFeatures }).toEqual({ status: 200, unknown: 4 });
    expect(json.scores).toEqual(
      scoresOf(
        model,
        [1, 2].map(() => ({ features: [1, FEATURES, FEATURES] })),
      ),
    );
  });

  it("gives probabilities, and scores within the labels' range", async () => {
    const rows = [{ features: ROW, values: [1, 40, 40] }];
    const { json } = await served(fm).post("/v1/predict", { rows, link: "sigmoid" });
    const data = datasetOf(tableOfRows("rows", rows));
    expect(json.scores).toEqual(Array.from(fm.predict(data, { link: "sigmoid" })));
    const clipped = await served(model).post("/v1/predict", { rows, clip: true });
    expect(clipped.json.scores).toEqual(Array.from(model.predict(data, { clip: true })));
  });

  it("answers no rows with no scores", async () => {
    const { status, json } = await served(model).post("/v1/predict", { rows: [] });
    expect({ status, json }).toEqual({ status: 200, json: { scores: [], unknownFeatures: 0 } });
  });

  it("has null where a score is no finite number", async () => {
    const rows = [{ features: ROW, values: [3e38, 3e38, 3e38] }];
    const { status, text } = await served(fm).post("/v1/predict", { rows });
    expect({ status, text }).toEqual({ status: 200, text: '{"scores":[null],"unknownFeatures":0}' });
  });
});

describe("POST /v1/rank", () => {
  const context = { features: [1, 7] };
  const candidates = [12, 13, 14, 15, 99].map((id) => ({ features: [id] }));

  it("ranks candidates as the model does", async () => {
    const { status, json } = await served(model).post("/v1/rank", { context, candidates });
    const { indices, scores } = model.rank(context, candidates);
    expect(status).toBe(200);
    expect(json).toEqual({ indices: Array.from(indices), scores: Array.from(scores), unknownFeatures: 1 });
  });

  it("takes a table, and gives the best few", async () => {
    const table = { count: 5, features: [12, 13, 14, 15, 99], slots: [2] };
    const { json } = await served(model).post("/v1/rank", { context, candidates: table, topK: 2 });
    const { indices, scores } = model.rank(context, candidates, { topK: 2 });
    expect(json).toEqual({ indices: Array.from(indices), scores: Array.from(scores), unknownFeatures: 1 });
  });

  it("says where the slots stand in the row", async () => {
    const body = { context: { features: [13], slots: [2] }, candidates: { count: 2, features: [1, 7, 2, 8] } };
    const { json } = await served(model).post("/v1/rank", body);
    const scores = scoresOf(model, [{ features: [1, 7, 13] }, { features: [2, 8, 13] }]).sort((a, b) => b - a);
    expect((json.scores as number[]).map((score) => score.toFixed(5))).toEqual(scores.map((score) => score.toFixed(5)));
  });

  it("says what does not make a row", async () => {
    const wrongs = [
      { context, candidates: [{ features: [1, 2] }] },
      { context: { features: [1, 7, 13, 14] }, candidates: [{ features: [] }] },
      { context: { features: [1, 7], slots: [0, 0] }, candidates },
      { context: { features: [1, 7], slots: [0, 3] }, candidates },
    ];
    for (const body of wrongs) {
      const { status, json } = await served(model).post("/v1/rank", body);
      expect(status, JSON.stringify(json)).toBe(422);
      expect(json.code).toBe("IFM_REQUEST");
    }
  });

  it("answers no candidates with none", async () => {
    const { status, json } = await served(model).post("/v1/rank", { context, candidates: [] });
    expect({ status, json }).toEqual({ status: 200, json: { indices: [], scores: [], unknownFeatures: 0 } });
  });

  it("explains a few, no more", async () => {
    const own = served(model, { limits: { maxExplained: 2 } });
    const { status, json } = await own.post("/v1/rank", { context, candidates, topK: 2, explain: true });
    expect(status).toBe(200);
    expect(json.explanations).toHaveLength(2);
    const tooMany = await own.post("/v1/rank", { context, candidates, explain: true });
    expect(tooMany.json).toMatchObject({ status: 422, pointer: "#/topK", expected: "at most 2 candidates to explain" });
    const long = { context: { features: Array(200).fill(1) }, candidates, explain: true };
    const tooLarge = await served(fm, { limits: { maxExplainedPairs: 50_000 } }).post("/v1/rank", long);
    expect(tooLarge.json).toMatchObject({ status: 422, pointer: "#/explain" });
  });
});

describe("POST /v1/explain", () => {
  it("explains a row as the model does", async () => {
    const row = { features: [1, 7, 99] };
    const { status, json } = await served(model).post("/v1/explain", { row });
    expect(status).toBe(200);
    expect(json).toEqual(JSON.parse(JSON.stringify(model.explain(row))));
    expect(json.unknownFeatures).toBe(1);
  });
});

describe("POST /invocations", () => {
  const instance = (keys: number[]) => ({ data: { features: { keys, shape: [FEATURES], values: keys.map(() => 1) } } });

  it("answers as a factorization machine of SageMaker: numbers", async () => {
    const { json } = await served(model).post("/invocations", { instances: [instance(ROW), instance([0, 6, 12])] });
    const [a, b] = scoresOf(model, [{ features: ROW }, { features: [0, 6, 12] }]);
    expect(json).toEqual({ predictions: [{ score: a }, { score: b }] });
  });

  it("… and classes, with the probability of the second", async () => {
    const { json } = await served(fm).post("/invocations", { instances: [instance([0, 6]), instance([0, 7])] });
    const data = datasetOf(tableOfRows("rows", [{ features: [0, 6] }, { features: [0, 7] }]));
    const expected = Array.from(fm.predict(data, { link: "sigmoid" }), (score) => ({
      score,
      predicted_label: score > 0.5 ? 1 : 0,
    }));
    expect(json).toEqual({ predictions: expected });
  });
});

describe("GET", () => {
  it("/healthz and /ping say that all is well", async () => {
    for (const path of ["/healthz", "/ping"]) {
      expect(await served(model).get(path)).toMatchObject({ status: 200, json: { status: "ok" } });
    }
  });

  it("/v1/model says what is served, with what limits, and what the caller adds", async () => {
    const about = () => ({ file: { name: "ifm.safetensors" } });
    const { json } = await served(model, { limits: { maxRows: 5 }, about }).get("/v1/model");
    expect(json).toEqual({
      config: model.config,
      record: JSON.parse(JSON.stringify(model.record)),
      parameters: model.tensors.reduce((sum, tensor) => sum + tensor.parameters, 0),
      bytes: model.tensors.reduce((sum, tensor) => sum + tensor.bytes, 0),
      limits: { ...DEFAULT_LIMITS, maxRows: 5 },
      file: { name: "ifm.safetensors" },
    });
  });

  it("has a model that may change between requests", async () => {
    let now: ServedModel = model;
    const { get: ask } = served(() => now);
    expect((await ask("/v1/model")).json.config).toEqual(model.config);
    now = fm;
    expect((await ask("/v1/model")).json.config).toEqual(fm.config);
  });

  it("answers HEAD as GET, without the body", async () => {
    for (const path of ["/healthz", "/v1/model", "/metrics", "/openapi.json"]) {
      const { status, text, type } = await served(model).get(path, { method: "HEAD" });
      expect({ status, text }).toEqual({ status: 200, text: "" });
      expect(type).not.toBe("");
    }
  });
});

describe("what is refused", () => {
  it("404: all other paths", async () => {
    const paths = ["/", "/v1", "/v1/rank/", "/V1/rank", "//v1/rank", "/v1%2frank", "/v1//rank", "/x/../../etc/passwd"];
    for (const path of paths) {
      const { status, json, type } = await served(model).get(path);
      expect({ status, type, code: json.code }, path).toEqual({
        status: 404,
        type: "application/problem+json",
        code: "IFM_NOT_FOUND",
      });
    }
  });

  it("405 with Allow: other methods; OPTIONS says which", async () => {
    const cases = [
      ["/v1/rank", "GET", "POST, OPTIONS"],
      ["/v1/rank", "HEAD", "POST, OPTIONS"],
      ["/v1/predict", "DELETE", "POST, OPTIONS"],
      ["/v1/model", "POST", "GET, HEAD, OPTIONS"],
      ["/healthz", "PUT", "GET, HEAD, OPTIONS"],
    ] as const;
    for (const [path, method, allow] of cases) {
      const { status, headers } = await served(model).get(path, { method });
      expect({ status, allow: headers.get("allow") }, `${method} ${path}`).toEqual({ status: 405, allow });
      const options = await served(model).get(path, { method: "OPTIONS" });
      expect({ status: options.status, allow: options.headers.get("allow") }).toEqual({ status: 204, allow });
    }
  });

  it("415: what is not said to be JSON, or is compressed", async () => {
    const body = { rows: [] };
    for (const type of ["text/plain", "application/x-www-form-urlencoded", "application/json; charset=latin1", "x"]) {
      const { status, json } = await served(model).post("/v1/predict", body, { "content-type": type });
      expect({ status, code: json.code }, type).toEqual({ status: 415, code: "IFM_MEDIA_TYPE" });
    }
    for (const type of ["application/json; charset=utf-8", 'APPLICATION/JSON;charset="UTF-8"']) {
      expect((await served(model).post("/v1/predict", body, { "content-type": type })).status, type).toBe(200);
    }
    const zipped = await served(model).post("/v1/predict", body, { "content-encoding": "gzip" });
    expect({ status: zipped.status, accept: zipped.headers.get("accept-encoding") }).toEqual({
      status: 415,
      accept: "identity",
    });
  });

  it("400: what is no JSON, or too deep", async () => {
    const bodies = [
      "",
      "{",
      "{'rows':[]}",
      '{"rows":[NaN]}',
      "[".repeat(100_000),
      '{"a":'.repeat(17),
      `${"[".repeat(17)}${"]".repeat(17)}`,
      new Uint8Array([0x22, 0xff, 0x22]),
      new Uint8Array([0]),
    ];
    for (const body of bodies) {
      const { status, json } = await served(model).post("/v1/predict", body);
      expect({ status, code: json.code }, String(body).slice(0, 20)).toEqual({ status: 400, code: "IFM_JSON" });
    }
    // Brackets within a text are no depth.
    const text = await served(model).post("/v1/predict", JSON.stringify({ '[[[[[[[[[[[[[[[[[[\\"[[': 1 }));
    expect(text.status).toBe(422);
  });

  it.each([
    ["/v1/predict", [], "#", "an object", "an array of 0"],
    ["/v1/predict", null, "#", "an object", "null"],
    ["/v1/predict", "7", "#", "an object", "7"],
    ["/v1/predict", {}, "#/rows", "an array", "nothing"],
    ["/v1/predict", { rows: {} }, "#/rows", "an array", "an object"],
    ["/v1/predict", { rows: [ROW] }, "#/rows/0", "an object", "an array of 3"],
    ["/v1/predict", { rows: [{ features: [1, 2] }] }, "#/rows/0/features", "an array of 3", "an array of 2"],
    ["/v1/predict", { rows: [{ features: [1, 2, "3"] }] }, "#/rows/0/features/2", /^a feature's id/, '"3"'],
    ["/v1/predict", { rows: [{ features: [1, 2, 0.5] }] }, "#/rows/0/features/2", /^a feature's id/, "0.5"],
    ["/v1/predict", { rows: [{ features: [1, 2, -1] }] }, "#/rows/0/features/2", /^a feature's id/, "-1"],
    ["/v1/predict", { rows: [{ features: [1, 2, null] }] }, "#/rows/0/features/2", /^a feature's id/, "null"],
    ["/v1/predict", { rows: [{ features: ROW, values: [1] }] }, "#/rows/0/values", /an array of 3/, "an array of 1"],
    ["/v1/predict", { rows: [{ features: ROW, values: null }] }, "#/rows/0/values", "an array", "null"],
    ["/v1/predict", { rows: [], link: "logit" }, "#/link", "one of identity, sigmoid", '"logit"'],
    ["/v1/predict", { rows: [], clip: 1 }, "#/clip", "true or false", "1"],
    ["/v1/predict", { row: [] }, "#", "an object of rows, link, clip", "the member row"],
    ["/v1/rank", { candidates: [] }, "#/context", "an object", "nothing"],
    ["/v1/rank", { context: { features: [] } }, "#/candidates", "an object", "nothing"],
    ["/v1/rank", { context: { features: [] }, candidates: [], topK: 0 }, "#/topK", /^a whole number from 1/, "0"],
    [
      "/v1/rank",
      { context: { features: [] }, candidates: { count: 2, features: [1, 2, 3] } },
      "#/candidates/features",
      "as many features for each of 2 candidates",
      "an array of 3",
    ],
    [
      "/v1/explain",
      { row: { features: ROW, slots: [0] } },
      "#/row",
      "an object of features, values",
      "the member slots",
    ],
    ["/invocations", { instances: [{ features: ROW }] }, "#/instances/0", "an object of data", "the member features"],
  ])("422: %s %j", async (path, body, pointer, expected, found) => {
    const { status, json, type } = await served(model).post(path, body);
    expect({ status, type, code: json.code }).toEqual({
      status: 422,
      type: "application/problem+json",
      code: "IFM_REQUEST",
    });
    expect(json.pointer).toBe(pointer);
    expect(json.expected).toMatch(expected);
    expect(json.found).toBe(found);
    expect(json.detail).toContain(`expected ${json.expected}, found ${found}`);
  });

  it("422: numbers that are no 32-bit floats", async () => {
    for (const value of ["1e39", "-1e39", "1e999"]) {
      const body = `{"rows":[{"features":[1,7,13],"values":[1,${value},1]}]}`;
      const { json } = await served(model).post("/v1/predict", body);
      expect(json).toMatchObject({ status: 422, pointer: "#/rows/0/values/1" });
    }
  });

  it("422: more than the limits", async () => {
    const limits = { maxRows: 2, maxCandidates: 2, maxSlots: 4 };
    const { post: ask } = served(fm, { limits });
    const features = [1, 2, 3, 4, 5];
    const bodies: [string, unknown, string][] = [
      ["/v1/predict", { rows: [1, 2, 3].map(() => ({ features: [] })) }, "#/rows"],
      ["/v1/predict", { rows: [{ features }] }, "#/rows/0/features"],
      ["/v1/rank", { context: { features }, candidates: [] }, "#/context/features"],
      ["/v1/rank", { context: { features: [] }, candidates: [{}, {}, {}] }, "#/candidates"],
      ["/v1/rank", { context: { features: [] }, candidates: [{ features }] }, "#/candidates/0/features"],
      ["/v1/rank", { context: { features: [] }, candidates: { count: 3, features: [] } }, "#/candidates/count"],
      ["/v1/rank", { context: { features: [] }, candidates: { count: 1, features } }, "#/candidates/features"],
      ["/v1/explain", { row: { features } }, "#/row/features"],
    ];
    for (const [path, body, pointer] of bodies) {
      const { status, json } = await ask(path, body);
      expect({ status, pointer: json.pointer }, JSON.stringify(body)).toEqual({ status: 422, pointer });
    }
  });

  it("422: members of other objects, which change nothing elsewhere", async () => {
    for (const key of ["__proto__", "constructor", "prototype", "toString"]) {
      const body = `{"rows":[],"${key}":{"link":"sigmoid","polluted":true}}`;
      const { status } = await served(model).post("/v1/predict", body);
      expect(status, key).toBe(422);
    }
    const nested = '{"rows":[{"features":[1,7,13],"__proto__":{"values":[9,9,9]}}]}';
    expect((await served(model).post("/v1/predict", nested)).status).toBe(422);
    expect(({} as { polluted?: boolean }).polluted).toBeUndefined();
  });

  it("repeats little of what was sent, and no half characters", async () => {
    const { text } = await served(model).post("/v1/predict", { rows: [], link: "😀".repeat(1000) });
    expect(text.length).toBeLessThan(600);
    const lone = await served(model).post("/v1/predict", '{"rows":[],"link":"\\ud800"}');
    expect(lone.status).toBe(422);
  });
});

describe("errors that nobody expects", () => {
  it("are 500 without a word about them, and are told to whoever runs the server", async () => {
    const broken = { ...model, config: model.config, record: model.record, tensors: model.tensors } as ServedModel;
    broken.predict = () => {
      throw new Error("secret");
    };
    const { post: ask, errors } = served(broken);
    const { status, text, json } = await ask("/v1/predict", { rows: [{ features: ROW }] });
    expect({ status, code: json.code }).toEqual({ status: 500, code: "IFM_INTERNAL" });
    expect(text).not.toMatch(/secret|\n|\.[jt]s/);
    expect(errors).toHaveLength(1);
  });
});

describe("options", () => {
  it.each([
    [{ limits: { maxRows: 0 } }, "limits: maxRows"],
    [{ limits: { maxRows: 1.5 } }, "limits: maxRows"],
    [{ limits: { rows: 5 } }, 'limits: unknown "rows"'],
    [{ token: "" }, "token: expected"],
    [{ token: ["ok", "with space"] }, "token: expected"],
    [{ token: "x".repeat(257) }, "token: expected"],
    [{ cors: ["https://a.example/"] }, "cors: expected an origin"],
    [{ cors: ["a.example"] }, "cors: expected an origin"],
  ])("are checked: %j", (options, message) => {
    expect(() => served(model, options as object)).toThrow(message);
  });
});
