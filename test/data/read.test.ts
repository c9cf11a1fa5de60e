import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { loadDataset as fetchDataset } from "../../src/data/load.js";
import { loadDataset } from "../../src/data/open.js";
import { type LibfmSource, readLibfm } from "../../src/data/read.js";

const text = Array.from({ length: 3000 }, (_, i) => `${i % 2} ${i * 7}:1 ${i}:0.5\n`).join("");
const plain = new TextEncoder().encode(text);
const zipped = new Uint8Array(gzipSync(text));

describe("readLibfm", () => {
  const forms: [string, (bytes: Uint8Array<ArrayBuffer>) => LibfmSource][] = [
    ["bytes", (bytes) => bytes],
    ["an ArrayBuffer", (bytes) => bytes.slice().buffer],
    ["a Blob", (bytes) => new Blob([bytes])],
    ["a File", (bytes) => new File([bytes], "rows.libfm")],
    ["a Response", (bytes) => new Response(bytes)],
    ["a stream", (bytes) => new Blob([bytes]).stream()],
    [
      "chunks",
      async function* (bytes) {
        for (let i = 0; i < bytes.length; i += 1000) yield bytes.subarray(i, i + 1000);
      },
    ],
  ];
  it.each(forms)("reads %s, plain and gzipped", async (_, form) => {
    const { name: _name, ...expected } = await readLibfm(text);
    for (const bytes of [plain, zipped]) expect(await readLibfm(form(bytes))).toMatchObject(expected);
  });

  it("names the data set as the file is named, or as it is told to", async () => {
    const file = new File([plain], "rows.libfm");
    expect((await readLibfm(file)).name).toBe("rows.libfm");
    expect((await readLibfm(file, { name: "mine" })).name).toBe("mine");
    const broken = new File([zipped.subarray(0, 1000)], "cut.libfm.gz");
    await expect(readLibfm(broken)).rejects.toThrow("cut.libfm.gz: gzip data ends in the middle");
  });

  it("refuses a response that is not of success, and an empty one", async () => {
    await expect(readLibfm(new Response("no", { status: 404 }))).rejects.toMatchObject({
      code: "IFM_DATA",
      message: "response: expected a file, found HTTP status 404",
    });
    await expect(readLibfm(new Response())).rejects.toMatchObject({ code: "IFM_DATA" });
  });
});

describe("loadDataset, by http", () => {
  let server: Server;
  let base: string;
  beforeAll(async () => {
    server = createServer((request, response) => {
      const found = request.url === "/rows.libfm.gz";
      response.writeHead(found ? 200 : 404).end(found ? zipped : "<!doctype html>");
    });
    await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
    base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  });
  afterAll(() => server.close());

  it.each([
    ["where files are fetched", fetchDataset],
    ["where there are files, too", loadDataset],
  ])("reads the file, %s", async (_, load) => {
    const { name: _name, ...expected } = await readLibfm(text);
    const url = `${base}/rows.libfm.gz`;
    expect(await load(url)).toMatchObject({ ...expected, name: url });
    expect(await load(new URL(url), { name: "mine" })).toMatchObject({ ...expected, name: "mine" });
    await expect(load(`${base}/none`)).rejects.toMatchObject({
      code: "IFM_DATA",
      message: `${base}/none: expected a file, found HTTP status 404`,
    });
  });

  it("says when nobody answers", async () => {
    await expect(fetchDataset("http://127.0.0.1:9/rows")).rejects.toMatchObject({
      code: "IFM_DATA",
      message: expect.stringContaining("http://127.0.0.1:9/rows: cannot be fetched"),
    });
  });
});
