import { Validator } from "@seriousme/openapi-schema-validator";
import { Ajv2020 } from "ajv/dist/2020.js";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Model } from "../../src/model/model.js";
import { FEATURES, served, smallModel } from "./support.js";

// The document says what the handler does: it is valid, its examples work, and its schemas take the same requests.

const LIMITS = { maxRows: 3, maxCandidates: 4, maxSlots: 5, maxExplained: 3, maxExplainedPairs: 20 };

interface Operation {
  requestBody: { content: { "application/json": { schema: { $ref: string }; example: unknown } } };
  responses: Record<string, { content: Record<string, { schema: object }> }>;
}
interface Document {
  paths: Record<string, { post?: Operation; get?: Operation }>;
  security?: unknown;
  components: { schemas: Record<string, object>; securitySchemes?: object };
}

const models = new Map<string, Model>();
beforeAll(async () => {
  models.set("ifm", await smallModel("ifm"));
  models.set("fm", await smallModel("fm", "logistic"));
  models.set("deepifm", await smallModel("deepifm", "logistic"));
});
afterAll(() => {
  for (const model of models.values()) model.dispose();
});

/** A handler, its document, and validators of the document's schemas. */
async function documented(kind: string, token?: string) {
  const asked = served(models.get(kind)!, { limits: LIMITS, ...(token !== undefined && { token }) });
  const authorization = { authorization: `Bearer ${token}` };
  const { json } = await asked.get("/openapi.json", { headers: authorization });
  const document = json as unknown as Document;
  const ajv = new Ajv2020({ strict: false, allErrors: false });
  ajv.addSchema(document, "api");
  const validator = (pointer: string) => ajv.compile({ $ref: `api${pointer}` });
  return { ...asked, authorization, document, validator };
}

const operations = ({ paths }: Document) =>
  Object.entries(paths).flatMap(([path, { post }]) => (post === undefined ? [] : [{ path, post }]));

describe.each(["ifm", "fm", "deepifm"])("/openapi.json of %s", (kind) => {
  it("is a valid document", async () => {
    const { document } = await documented(kind);
    const result = await new Validator().validate({ ...document });
    expect(result).toEqual({ valid: true });
    expect(Object.keys(document.paths).sort()).toEqual([
      "/healthz",
      "/invocations",
      "/metrics",
      "/openapi.json",
      "/ping",
      "/v1/explain",
      "/v1/model",
      "/v1/predict",
      "/v1/rank",
    ]);
  });

  it("has examples that work, and answers as it says", async () => {
    const { document, post, get, validator } = await documented(kind);
    expect(operations(document)).toHaveLength(4);
    for (const { path, post: operation } of operations(document)) {
      const { example, schema } = operation.requestBody.content["application/json"];
      expect(validator(schema.$ref)(example), path).toBe(true);
      const { status, json, text } = await post(path, example);
      expect(status, text).toBe(200);
      const pointer = `#/paths/${path.replaceAll("/", "~1")}/post/responses/200/content/application~1json/schema`;
      const validate = validator(pointer);
      expect(validate(json), `${path}: ${JSON.stringify(validate.errors)}`).toBe(true);
      const problem = await post(path, {});
      expect(validator("#/components/schemas/Problem")(problem.json)).toBe(true);
      expect(Object.keys(operation.responses)).toContain(String(problem.status));
    }
    expect(validator("#/components/schemas/Model")((await get("/v1/model")).json)).toBe(true);
    expect(validator("#/components/schemas/Health")((await get("/healthz")).json)).toBe(true);
  });

  it("says whether a token is wanted", async () => {
    expect((await documented(kind)).document.security).toBeUndefined();
    const { document } = await documented(kind, "secret");
    expect(document.security).toEqual([{ token: [] }]);
    expect(await new Validator().validate({ ...document })).toEqual({ valid: true });
  });
});

/** Ids, values and things that are neither. */
const id = fc.oneof({ weight: 40, arbitrary: fc.integer({ min: 0, max: FEATURES + 5 }) }, odd());
const value = fc.oneof({ weight: 40, arbitrary: fc.double({ noNaN: true, noDefaultInfinity: true }) }, odd());

function odd(): fc.Arbitrary<unknown> {
  return fc.oneof(
    fc.constantFrom<unknown>(null, true, "1", [], {}, -1, 0.5, 2 ** 53, 1e300, -1e39, [1]),
    fc.jsonValue({ maxDepth: 2 }) as fc.Arbitrary<unknown>,
  );
}

/** Now and then something else. */
const mostly = (arbitrary: fc.Arbitrary<unknown>, weight = 40) =>
  fc.oneof({ weight, arbitrary }, { weight: 1, arbitrary: odd() });

/** An object that may have a member too many, or one too few. */
const record = (members: Record<string, fc.Arbitrary<unknown>>, required: string[]) =>
  mostly(
    fc
      .tuple(
        fc.record(members, { requiredKeys: required }),
        fc.oneof(
          { weight: 15, arbitrary: fc.constant({}) },
          { weight: 1, arbitrary: fc.dictionary(fc.string(), odd()) },
        ),
        fc.oneof(
          { weight: 15, arbitrary: fc.constant(undefined) },
          { weight: 1, arbitrary: fc.constantFrom(...required) },
        ),
      )
      .map(([object, more, without]) => {
        const all: Record<string, unknown> = { ...object, ...more };
        if (without !== undefined) delete all[without];
        return all;
      }),
  );

const features = mostly(fc.array(id, { minLength: 2, maxLength: 4 }));
const exactly = (length: number) => mostly(fc.array(id, { minLength: length, maxLength: length }));
const values = mostly(fc.array(value, { minLength: 3, maxLength: 3 }));
const finish = {
  link: mostly(fc.constantFrom("identity", "sigmoid")),
  clip: mostly(fc.boolean()),
};
const row = (length: fc.Arbitrary<unknown>) => record({ features: length, values }, ["features"]);
const slots = (good: number[]) =>
  fc.oneof(fc.constant(good), mostly(fc.array(mostly(fc.integer({ min: 0, max: 3 })), { maxLength: 3 })));
const rows = (item: fc.Arbitrary<unknown>) => mostly(fc.array(item, { maxLength: 4 }));

const BODIES: Record<string, fc.Arbitrary<unknown>> = {
  "/v1/predict": record({ rows: rows(row(fc.oneof(features, exactly(3)))), ...finish }, ["rows"]),
  "/v1/explain": record({ row: row(fc.oneof(features, exactly(3))) }, ["row"]),
  "/v1/rank": record(
    {
      context: record(
        { features: exactly(2), values: mostly(fc.array(value, { minLength: 2, maxLength: 2 })), slots: slots([0, 1]) },
        ["features"],
      ),
      candidates: fc.oneof(
        rows(row(exactly(1))),
        record({ count: mostly(fc.integer({ min: 0, max: 4 })), features, slots: slots([2]) }, ["count", "features"]),
      ),
      topK: mostly(fc.integer({ min: 0, max: 5 })),
      explain: mostly(fc.boolean()),
      ...finish,
    },
    ["context", "candidates"],
  ),
  "/invocations": record(
    {
      instances: rows(
        record(
          {
            data: record({ features: record({ keys: exactly(3), shape: odd(), values }, ["keys", "values"]) }, [
              "features",
            ]),
          },
          ["data"],
        ),
      ),
    },
    ["instances"],
  ),
};

/** What a schema cannot say: numbers that depend on each other, and what makes a row of the model. */
const BEYOND_SCHEMA =
  /one value a feature, found|as many features for each|at most 5 features a candidate|to explain, found|pairs in all explanations|^rank: found|slots: expected/;

describe.each(["ifm", "fm"])("the schemas of %s", (kind) => {
  it.each(Object.keys(BODIES))("take the requests that %s takes, and no others", async (path) => {
    const { document, post, validator, errors } = await documented(kind);
    const schema = document.paths[path]!.post!.requestBody.content["application/json"].schema.$ref;
    const validate = validator(schema);
    const seen = { taken: 0, refused: 0 };
    await fc.assert(
      fc.asyncProperty(BODIES[path]!, async (body) => {
        const sent = JSON.stringify(body);
        const { status, json, text } = await post(path, sent);
        expect([200, 422], text).toContain(status);
        const fits = validate(JSON.parse(sent)) as boolean;
        if (status === 200) {
          seen.taken++;
          expect(fits, `${sent}: ${JSON.stringify(validate.errors)}`).toBe(true);
        } else if (!BEYOND_SCHEMA.test(String(json.detail))) {
          seen.refused++;
          expect(fits, `${sent}: ${json.detail}`).toBe(false);
        }
      }),
      { numRuns: 600 },
    );
    expect(errors).toEqual([]);
    expect(Math.min(seen.taken, seen.refused), JSON.stringify(seen)).toBeGreaterThan(0);
  });
});

describe("any bytes", () => {
  it("get an answer that is JSON, never a 5xx", async () => {
    const { handler, errors } = served(models.get("ifm")!);
    const bodies = fc.oneof(
      fc.uint8Array({ maxLength: 200 }),
      fc.json().map((text) => new TextEncoder().encode(text)),
    );
    const headers = { "content-type": "application/json" };
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...Object.keys(BODIES)), bodies, async (path, body) => {
        const response = await handler(
          new Request(`http://localhost${path}`, { method: "POST", headers, body: body as Uint8Array<ArrayBuffer> }),
        );
        expect(response.status).toBeLessThan(500);
        JSON.parse(await response.text());
      }),
      { numRuns: 500 },
    );
    expect(errors).toEqual([]);
  });

  it("… and so does any URL and method", async () => {
    const { handler, errors } = served(models.get("ifm")!);
    const methods = fc.constantFrom("GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH", "PROPFIND");
    await fc.assert(
      fc.asyncProperty(fc.webPath(), fc.webQueryParameters(), methods, async (path, query, method) => {
        const response = await handler(new Request(`http://localhost${path}?${query}`, { method }));
        expect(response.status).toBeLessThan(500);
      }),
      { numRuns: 300 },
    );
    expect(errors).toEqual([]);
  });
});
