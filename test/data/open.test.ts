import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { gzipSync } from "node:zlib";
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import { loadDataset, openData } from "../../src/data/open.js";
import { IfmError } from "../../src/errors.js";

const text = Array.from({ length: 5000 }, (_, i) => `${i % 2} ${i * 7}:1 ${i}:0.5\n`).join("");
const zipped = gzipSync(text);
let folder = "";

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "ifm-open-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));
afterEach(() => vi.restoreAllMocks());

function write(name: string, content: Uint8Array | string): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

async function collect(source: AsyncIterable<Uint8Array>): Promise<string> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of source) chunks.push(chunk);
  return Buffer.concat(chunks).toString("latin1");
}

async function errorOf(path: string): Promise<IfmError> {
  const error = await collect(openData(path)).catch((error: unknown) => error);
  if (error instanceof IfmError) return error;
  throw new Error("no IfmError was thrown", { cause: error });
}

/** Puts a pipe in the place of standard input. */
function pipeStdin(): PassThrough {
  const pipe = new PassThrough();
  vi.spyOn(process, "stdin", "get").mockReturnValue(pipe as unknown as typeof process.stdin);
  return pipe;
}

describe("openData", () => {
  it("gives the bytes of a file", async () => {
    expect(await collect(openData(write("plain.libfm", text)))).toBe(text);
    expect(await collect(openData(write("empty.libfm", "")))).toBe("");
  });

  it("decompresses gzip data, whatever the name", async () => {
    expect(await collect(openData(write("a.libfm.gz", zipped)))).toBe(text);
    expect(await collect(openData(write("a.libfm", zipped)))).toBe(text);
    expect(await collect(openData(write("plain.gz", text)))).toBe(text);
    expect(await collect(openData(write("two.gz", Buffer.concat([zipped, zipped]))))).toBe(text + text);
  });

  it.each([
    ["ends early", zipped.subarray(0, -20), "gzip data ends in the middle"],
    ["ends in the trailer", zipped.subarray(0, -2), "gzip data ends in the middle"],
    ["ends in the header", zipped.subarray(0, 5), "gzip data ends in the middle"],
    ["is followed by text", Buffer.concat([zipped, Buffer.from("text")]), "gzip data is damaged or followed"],
    ["is followed by zeros", Buffer.concat([zipped, Buffer.alloc(200_000)]), "gzip data is damaged or followed"],
    ["is damaged", Buffer.concat([zipped.subarray(0, 5000), zipped.subarray(5100)]), "gzip data is damaged"],
  ])("says when gzip data %s", async (_, bytes, message) => {
    const path = write("broken.gz", bytes);
    const error = await errorOf(path);
    expect(error).toMatchObject({ code: "IFM_DATA", file: path, hint: "copy or download the file again" });
    expect(error.message).toContain(`${path}: ${message}`);
  });

  it("says that there is no such file", async () => {
    for (const name of ["nothing", "nowhere/nothing", "train.libfm.gz/x"]) {
      const path = join(folder, name);
      expect(await errorOf(path)).toMatchObject({ code: "IFM_DATA", file: path, message: `${path}: no such file` });
    }
  });

  it("says what is wrong with a directory", async () => {
    mkdirSync(join(folder, "dir"), { recursive: true });
    const error = await errorOf(join(folder, "dir"));
    expect(error).toMatchObject({ code: "IFM_DATA", message: `${join(folder, "dir")}: this is a directory` });
    expect(error.hint).toContain("pass a file");
  });

  // Nothing is forbidden to root, and Windows knows no such modes.
  it.skipIf(process.getuid?.() === 0 || process.platform === "win32")("says when a file may not be read", async () => {
    const path = write("secret.libfm", text);
    chmodSync(path, 0);
    expect(await errorOf(path)).toMatchObject({ code: "IFM_DATA", file: path, message: `${path}: permission denied` });
  });

  it("reads standard input", async () => {
    for (const bytes of [text, zipped]) {
      pipeStdin().end(bytes);
      expect(await collect(openData("-"))).toBe(text);
    }
    pipeStdin().end(zipped.subarray(0, 100));
    expect((await errorOf("-")).message).toBe("-: gzip data ends in the middle");
  });

  it("names standard input when it fails", async () => {
    const pipe = pipeStdin();
    const reading = errorOf("-");
    pipe.destroy(new Error("EIO: i/o error"));
    expect(await reading).toMatchObject({ code: "IFM_DATA", message: "-: cannot be read (EIO: i/o error)" });
  });

  it("says the same when gzip data cannot be read any further", async () => {
    const pipe = pipeStdin();
    pipe.write(zipped.subarray(0, 1000));
    const reading = errorOf("-");
    setTimeout(() => pipe.destroy(Object.assign(new Error("EIO: i/o error"), { code: "EIO" })), 20);
    expect(await reading).toMatchObject({ code: "IFM_DATA", message: "-: cannot be read (EIO: i/o error)" });
  });

  it.each(["plain", "gzip"])("closes its %s input when the loop is left, without waiting for more", async (kind) => {
    const pipe = pipeStdin();
    // More than decompression buffers, so that some of it comes out before the end.
    const long = text.repeat(20);
    pipe.write(kind === "plain" ? long : gzipSync(long).subarray(0, -8));
    for await (const chunk of openData("-")) {
      expect(chunk.length).toBeGreaterThan(0);
      break;
    }
    await vi.waitFor(() => expect(pipe.destroyed).toBe(true));
  });
});

describe("loadDataset", () => {
  it("reads rows, plain or gzipped", async () => {
    const path = write("load.libfm.gz", zipped);
    const dataset = await loadDataset(path);
    expect(dataset).toMatchObject({ name: path, rows: 5000, featureCount: 34_994, minSlots: 2, maxSlots: 2 });
    expect(await loadDataset(write("load.libfm", text), { name: path })).toEqual(dataset);
  });

  it("takes the options of the parser", async () => {
    const path = write("nine.libfm", "1 1:1\n");
    await expect(loadDataset(path, { slots: 10 })).rejects.toThrow(`${path}:1: row has 1 slot, expected 10`);
  });

  it("names the place of a broken row in a gzipped file", async () => {
    const path = write("broken.libfm.gz", gzipSync(`${text}1 17\n${text}`));
    await expect(loadDataset(path)).rejects.toThrow(`${path}:5001:3: expected "id:value", found "17"`);
  });
});
