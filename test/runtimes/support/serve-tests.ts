import { mkdtemp, rm, stat } from "node:fs/promises";
import { request as httpRequest } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, inject, it } from "vitest";
import { createTrainer, type Model, readLibfm } from "../../../src/node.js";
import { createHandler } from "../../../src/serve.js";
import { startService } from "./processes.js";
import { startInProject } from "./project.js";
import type { Server } from "./server.js";

export interface ServingEngine {
  name: string;
  /** Whether all is there that it needs. */
  installed: boolean;
  /** Serves the model of a file, with the token `secret`. */
  start(modelFile: string): Promise<Server>;
}

const SLOTS = 10;
const FEATURES = 8000;

/** An untrained model of 2 MB: what is looked at is that all runtimes come to the same. */
async function largeModel(): Promise<Model> {
  const rows = Array.from({ length: 2 }, (_, r) => {
    const slots = Array.from({ length: SLOTS }, (_, i) => `${i * 800 + r}:1`);
    return `${r} ${slots.join(" ")}\n`;
  });
  const train = await readLibfm(rows.join(""));
  const shape = { features: FEATURES, factors: 64, attentionFactors: 8, fieldFactors: 8 };
  using trainer = await createTrainer({ model: { model: "ifm", ...shape }, train: { epochs: 0 }, data: { train } });
  return trainer.model();
}

const context = { features: [3, 801, 1602, 2403, 3204, 4005, 4806, 5607] };
const candidates = {
  count: 1000,
  features: Array.from({ length: 2000 }, (_, i) => (i % 2 === 0 ? 6400 + (i % 800) : 7200 + ((i * 7) % 900))),
};
const ROW = { features: [...context.features, 6400, 9000], values: [1, 0.5, 1, 1, -2, 1, 1, 1, 1, 1] };
const BODIES = {
  "/v1/rank": { context, candidates, topK: 20 },
  "/v1/predict": { rows: [ROW, ROW], link: "sigmoid" },
  "/v1/explain": { row: ROW },
};

function init(body: unknown, headers: Record<string, string> = {}): RequestInit {
  const text = typeof body === "string" ? body : JSON.stringify(body);
  const all = { "content-type": "application/json", authorization: "Bearer secret", ...headers };
  return { method: "POST", body: text, headers: all };
}

/** Sends a body that never ends, until there is a response, or the connection is closed: workerd does not linger. */
function endless(url: string): Promise<number | "closed"> {
  return new Promise((resolve) => {
    const headers = { "content-type": "application/json", authorization: "Bearer secret" };
    const request = httpRequest(url, { method: "POST", headers }, (response) => {
      clearInterval(timer);
      resolve(response.statusCode ?? 0);
      request.destroy();
    });
    const timer = setInterval(() => request.write(" ".repeat(100_000)), 1);
    request.on("error", () => {
      clearInterval(timer);
      resolve("closed");
    });
  });
}

/** The handler's tests in a runtime, over HTTP: the same answers as in Node, and the same refusals. */
export function testServing({ name, installed, start }: ServingEngine): void {
  const missing = installed ? undefined : [`${name} is not installed`, ...inject("notInstalled")].join("; ");
  if (missing !== undefined) console.error(`\nSKIPPED: ${missing}\n`);

  describe.skipIf(missing !== undefined)(`${name} serves`, () => {
    let folder: string;
    let model: Model;
    let listener: Server;
    beforeAll(async () => {
      folder = await mkdtemp(join(tmpdir(), "ifm-wasm-serve-"));
      const file = join(folder, "model.safetensors");
      model = await largeModel();
      await model.save(file);
      expect((await stat(file)).size).toBeGreaterThan(2e6);
      listener = await start(file);
    });
    afterAll(async () => {
      await listener?.[Symbol.asyncDispose]();
      model?.dispose();
      await rm(folder, { recursive: true, force: true });
    });

    it.each(Object.entries(BODIES))("%s: to the bit what Node answers", async (path, body) => {
      const response = await fetch(`${listener.origin}${path}`, init(body));
      const text = await response.text();
      expect(response.status, text).toBe(200);
      const expected = await createHandler(model)(new Request(`http://localhost${path}`, init(body)));
      expect(text).toBe(await expected.text());
    });

    it("health, the model, metrics and the OpenAPI document", async () => {
      const ask = (path: string) => fetch(`${listener.origin}${path}`, { headers: { authorization: "Bearer secret" } });
      expect(await (await ask("/healthz")).json()).toEqual({ status: "ok" });
      expect(await (await ask("/v1/model")).json()).toMatchObject({ config: { model: "ifm", features: FEATURES } });
      expect(await (await ask("/metrics")).text()).toContain('ifm_requests_total{route="rank",status="200"} 1');
      expect(await (await ask("/openapi.json")).json()).toMatchObject({ openapi: "3.1.0" });
      const head = await fetch(`${listener.origin}/healthz`, { method: "HEAD" });
      expect({ status: head.status, text: await head.text() }).toEqual({ status: 200, text: "" });
    });

    it.each([
      ["no token", "/v1/rank", init({}, { authorization: "" }), 401],
      ["a wrong token", "/v1/rank", init({}, { authorization: "Bearer secrets" }), 401],
      ["another path", "/../v1%2frank", init({}), 404],
      ["another method", "/v1/model", init({}), 405],
      ["no JSON", "/v1/rank", init("{"), 400],
      ["deep JSON", "/v1/rank", init("[".repeat(500_000)), 400],
      ["another type", "/v1/rank", init({}, { "content-type": "text/plain" }), 415],
      ["other JSON", "/v1/predict", init({ rows: [{ features: [1, 2] }] }), 422],
      ["much", "/v1/rank", init(" ".repeat(2_000_000)), 413],
    ])("refuses %s", async (_, path, request, status) => {
      const response = await fetch(`${listener.origin}${path}`, request);
      expect(response.status).toBe(status);
      expect(response.headers.get("content-type")).toBe("application/problem+json");
      expect(await response.json()).toMatchObject({ status, code: expect.stringMatching(/^IFM_/) });
    });

    it("refuses a body without end, and goes on", async () => {
      expect([413, "closed"]).toContain(await endless(`${listener.origin}/v1/rank`));
      expect((await fetch(`${listener.origin}/v1/predict`, init(BODIES["/v1/predict"]))).status).toBe(200);
    });
  });
}

/**
 * Serves by a program that prints where it listens, in a project of its own.
 *
 * @param program of test/runtimes, such as `deno/serve.mjs`
 * @param args in front of the program's own
 */
export function startProgram(
  program: string,
  binary: string,
  args: string[],
  modelFile: string,
  env: NodeJS.ProcessEnv = {},
): Promise<Server> {
  const ready = /listening on (\d+)/;
  return startInProject(program, [modelFile], ({ folder }) =>
    startService(binary, [...args, "serve.mjs"], { ready, env, cwd: folder }),
  );
}
