import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Model } from "../../src/model/model.js";
import { served, smallModel } from "./support.js";

let model: Model;
beforeAll(async () => {
  model = await smallModel();
});
afterAll(() => model.dispose());

const bearer = (token: string) => ({ headers: { authorization: `Bearer ${token}` } });

describe("tokens", () => {
  it("let requests pass that have one of them", async () => {
    const longest = "x".repeat(256);
    const { get } = served(model, { token: ["first", "second", longest] });
    for (const token of ["first", "second", longest]) expect((await get("/v1/model", bearer(token))).status).toBe(200);
    const lower = { headers: { authorization: "bearer first" } };
    expect((await get("/v1/model", lower)).status).toBe(200);
  });

  it.each([
    "",
    "Bearer",
    "Bearer ",
    "Bearer firs",
    "Bearer firsT",
    "Bearer first2",
    "Bearer first second",
    "Basic first",
    "first",
    `Bearer first${"\u00e9".repeat(300)}`,
    `Bearer ${"x".repeat(300)}`,
  ])("let nothing else pass: %s", async (authorization) => {
    const { get } = served(model, { token: "first" });
    const { status, json, headers } = await get("/v1/model", { headers: { authorization } });
    expect({ status, code: json.code }).toEqual({ status: 401, code: "IFM_TOKEN" });
    expect(headers.get("www-authenticate")).toMatch(/^Bearer realm="ifm-wasm"/);
  });

  it("are wanted everywhere but where health is asked for", async () => {
    const { get, post } = served(model, { token: "first" });
    for (const path of ["/v1/model", "/metrics", "/openapi.json", "/nowhere"]) {
      expect((await get(path)).status, path).toBe(401);
    }
    for (const path of ["/v1/rank", "/v1/predict", "/v1/explain", "/invocations"]) {
      expect((await post(path, {})).status, path).toBe(401);
    }
    for (const path of ["/healthz", "/ping"]) expect((await get(path)).status, path).toBe(200);
  });

  it("are not compared by the end of the right one", async () => {
    // A buffer of bytes that wraps around would make 256 characters the same as none.
    const { get } = served(model, { token: "x".repeat(256) });
    expect((await get("/v1/model", bearer("x".repeat(255)))).status).toBe(401);
    expect((await get("/v1/model", bearer("x".repeat(257)))).status).toBe(401);
  });
});

describe("pages of other origins", () => {
  const origin = "https://shop.example";
  const preflight = {
    method: "OPTIONS",
    headers: { origin, "access-control-request-method": "POST", "access-control-request-headers": "content-type" },
  };
  const corsOf = (headers: Headers) => Array.from(headers).filter(([name]) => name.startsWith("access-control"));

  it("may read nothing unless told otherwise", async () => {
    const { get } = served(model);
    for (const init of [{ headers: { origin } }, preflight]) {
      expect(corsOf((await get("/v1/model", init)).headers)).toEqual([]);
    }
  });

  it("may read responses when they are named, errors included", async () => {
    const { get, post } = served(model, { cors: ["https://other.example", origin] });
    const { headers } = await get("/v1/model", { headers: { origin } });
    expect(Object.fromEntries(headers)).toMatchObject({ "access-control-allow-origin": origin, vary: "origin" });
    const wrong = await post("/v1/predict", {}, { origin });
    expect({ status: wrong.status, allow: wrong.headers.get("access-control-allow-origin") }).toEqual({
      status: 422,
      allow: origin,
    });
    for (const stranger of ["https://shop.example.evil", "null", "http://shop.example"]) {
      expect(corsOf((await get("/v1/model", { headers: { origin: stranger } })).headers), stranger).toEqual([]);
    }
  });

  it("may ask first, without a token", async () => {
    const { get } = served(model, { cors: [origin], token: "first" });
    const { status, headers } = await get("/v1/rank", preflight);
    expect(status).toBe(204);
    expect(Object.fromEntries(headers)).toMatchObject({
      "access-control-allow-origin": origin,
      "access-control-allow-methods": "POST, OPTIONS",
      "access-control-allow-headers": "authorization, content-type",
    });
  });

  it("are all meant by a star", async () => {
    const { get } = served(model, { cors: ["*"] });
    const { headers } = await get("/v1/model", { headers: { origin } });
    expect(headers.get("access-control-allow-origin")).toBe("*");
    expect(headers.get("access-control-allow-credentials")).toBeNull();
  });
});
