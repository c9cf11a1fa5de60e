import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Model } from "../../src/model/model.js";
import type { Limits } from "../../src/serve.js";
import { answered, ROW, served, smallModel } from "./support.js";

/** For what happens soon, but on a busy machine. */
const PATIENT = { timeout: 20_000 };

let model: Model;
beforeAll(async () => {
  model = await smallModel();
});
afterAll(() => model.dispose());

const GOOD = JSON.stringify({ rows: [{ features: ROW }] });

/** A body that comes in chunks; `gone` says whether it was cancelled. */
function streamed(chunks: Iterable<Uint8Array>, end = true) {
  const iterator = chunks[Symbol.iterator]();
  const state = { pulled: 0, cancelled: false };
  const body = new ReadableStream<Uint8Array>({
    pull(controller) {
      const { done, value } = iterator.next();
      if (!done) {
        state.pulled += value.length;
        controller.enqueue(value);
      } else if (end) controller.close();
      else return new Promise<void>(() => undefined);
      return undefined;
    },
    cancel() {
      state.cancelled = true;
    },
  });
  return { body, state };
}

function request(
  body: ReadableStream<Uint8Array>,
  headers: Record<string, string> = {},
  signal?: AbortSignal,
): Request {
  const init = { method: "POST", body, duplex: "half", headers: { "content-type": "application/json", ...headers } };
  return new Request("http://localhost/v1/predict", { ...init, ...(signal && { signal }) });
}

function* endless(size: number): Generator<Uint8Array> {
  for (;;) yield new Uint8Array(size).fill(0x20);
}

const bytes = (text: string) => new TextEncoder().encode(text);
const handlerWith = (limits: Partial<Limits>) => served(model, { limits });
const pendingBytes = (metrics: Record<string, { series: Record<string, number> }>) =>
  metrics.ifm_pending_body_bytes!.series[""];

describe("bodies", () => {
  it("come in chunks of any size", async () => {
    const { handler } = served(model);
    for (const size of [1, 3, 1000]) {
      const text = bytes(GOOD);
      const parts = Array.from({ length: Math.ceil(text.length / size) }, (_, i) =>
        text.slice(i * size, (i + 1) * size),
      );
      expect((await answered(handler(request(streamed(parts).body)))).status).toBe(200);
    }
  });

  it("may be as long as the limit, not a byte longer", async () => {
    const { handler, post } = handlerWith({ maxBodyBytes: 1000 });
    expect((await post("/v1/predict", GOOD.padEnd(1000))).status).toBe(200);
    const tooLong = await post("/v1/predict", GOOD.padEnd(1001));
    expect(tooLong.json).toMatchObject({ status: 413, code: "IFM_TOO_LARGE" });
    expect(tooLong.json.detail).toContain("1000 bytes");
    expect(pendingBytes(handler.metrics())).toBe(0);
  });

  it("that never end are read to the limit and cancelled", async () => {
    const { handler } = handlerWith({ maxBodyBytes: 100_000 });
    const { body, state } = streamed(endless(1000));
    expect((await answered(handler(request(body)))).status).toBe(413);
    expect(state.pulled).toBeLessThan(105_000);
    await expect.poll(() => state.cancelled, PATIENT).toBe(true);
    expect(pendingBytes(handler.metrics())).toBe(0);
  });

  it("are not read at all when they say that they are too large, and not believed when they say less", async () => {
    const { handler } = handlerWith({ maxBodyBytes: 100_000 });
    const announced = streamed(endless(1000));
    expect((await answered(handler(request(announced.body, { "content-length": "100001" })))).status).toBe(413);
    expect(announced.state.pulled).toBeLessThanOrEqual(1000);
    for (const length of ["5", "-5", "x", "1e3", ""]) {
      const lying = streamed(endless(1000));
      expect((await answered(handler(request(lying.body, { "content-length": length })))).status, length).toBe(413);
    }
  });

  it("that do not come in time are 408, and cancelled", async () => {
    const { handler } = handlerWith({ timeoutMilliseconds: 50 });
    const { body, state } = streamed([bytes(GOOD.slice(0, 5))], false);
    const { status, json } = await answered(handler(request(body)));
    expect({ status, code: json.code }).toEqual({ status: 408, code: "IFM_TIMEOUT" });
    await expect.poll(() => state.cancelled, PATIENT).toBe(true);
    expect(pendingBytes(handler.metrics())).toBe(0);
  });

  it("are not waited for when the client has gone", async () => {
    const { handler } = served(model);
    const gone = new AbortController();
    const { body } = streamed([bytes(GOOD.slice(0, 5))], false);
    const response = answered(handler(request(body, {}, gone.signal)));
    gone.abort();
    expect((await response).status).toBe(408);
    expect((await answered(handler(request(streamed([]).body, {}, AbortSignal.abort())))).status).toBe(408);
  });

  it("that break are no error of the server", async () => {
    const { handler, errors } = served(model);
    const broken = new ReadableStream<Uint8Array>({ pull: (controller) => controller.error(new Error("reset")) });
    expect((await answered(handler(request(broken)))).status).toBe(408);
    expect(errors).toEqual([]);
  });

  it("are read a limited number at once; then 503 with Retry-After", async () => {
    const { handler, post } = handlerWith({ maxConcurrent: 2, timeoutMilliseconds: 2000 });
    const slow = [1, 2].map(() => answered(handler(request(streamed([], false).body))));
    const { status, headers, json } = await post("/v1/predict", GOOD);
    expect({ status, code: json.code, after: headers.get("retry-after") }).toEqual({
      status: 503,
      code: "IFM_BUSY",
      after: "1",
    });
    expect((await Promise.all(slow)).map((response) => response.status)).toEqual([408, 408]);
    expect((await post("/v1/predict", GOOD)).status).toBe(200);
  });

  it("take a limited number of bytes together, whatever they announce", async () => {
    const { handler, post } = handlerWith({ maxPendingBytes: 100_000, timeoutMilliseconds: 2000 });
    const part = new Uint8Array(40_000).fill(0x20);
    const slow = [1, 2].map(() =>
      answered(handler(request(streamed([part], false).body, { "content-length": "1000000" }))),
    );
    await expect.poll(() => pendingBytes(handler.metrics()), PATIENT).toBe(80_000);
    expect((await post("/v1/predict", GOOD.padEnd(30_000))).status).toBe(503);
    expect((await post("/v1/predict", GOOD)).status).toBe(200);
    await Promise.all(slow);
    expect(pendingBytes(handler.metrics())).toBe(0);
  });
});
