import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { beforeAll, describe, expect, it } from "vitest";
import { createTrainer, Model, type ModelSource, readLibfm } from "../../src/node.js";

const data = await readLibfm("1 0:1 2:1\n-1 1:1 2:1\n");
let bytes: Uint8Array<ArrayBuffer>;
let scores: Float32Array;

beforeAll(async () => {
  using trainer = await createTrainer({ model: { model: "fm" }, train: { epochs: 1 }, data: { train: data } });
  for await (const _event of trainer);
  using model = trainer.model();
  bytes = Uint8Array.from(model.toBytes());
  scores = model.predict(data);
});

describe("Model.load", () => {
  it.each<[string, () => ModelSource]>([
    ["bytes", () => bytes],
    ["an ArrayBuffer", () => bytes.buffer],
    ["a Blob", () => new Blob([bytes])],
    ["a Response", () => new Response(bytes)],
    ["a stream", () => new Blob([bytes]).stream()],
  ])("takes %s", async (_, source) => {
    using model = await Model.load(source());
    expect(model.predict(data)).toEqual(scores);
  });

  it("fetches by http", async () => {
    const server = createServer((request, response) => {
      const found = request.url === "/model";
      response.writeHead(found ? 200 : 404).end(found ? bytes : "no");
    });
    await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
    const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    try {
      using model = await Model.load(new URL(`${base}/model`));
      expect(model.predict(data)).toEqual(scores);
      await expect(Model.load(`${base}/other`)).rejects.toMatchObject({
        code: "IFM_MODEL",
        message: `${base}/other: expected a file, found HTTP status 404`,
      });
    } finally {
      server.close();
    }
  });

  it("names the file that is no model", async () => {
    const file = new File(["<!doctype html><title>no model</title>"], "page.safetensors");
    await expect(Model.load(file)).rejects.toMatchObject({
      code: "IFM_MODEL",
      message: expect.stringMatching(/^page\.safetensors: /),
    });
    await expect(Model.load(new Response("no", { status: 500 }))).rejects.toMatchObject({
      code: "IFM_MODEL",
      message: "response: expected a file, found HTTP status 500",
    });
  });
});
