import type { ChildProcessWithoutNullStreams } from "node:child_process";
import { copyFileSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { buildCommand, ended, rowsText, run, start, temporaryFolder } from "./support.js";

/** For what happens soon, but on a busy machine. */
const PATIENT = { timeout: 20_000 };

// `ifm-wasm serve` as users start it: processes, signals, a model file that changes.

const folder = temporaryFolder();
const at = (name: string) => join(folder.path, name);
const inFolder = { cwd: folder.path };

beforeAll(async () => {
  buildCommand();
  writeFileSync(at("rows.libfm"), rowsText(200));
  for (const seed of [1, 2]) {
    const shape = ["--epochs", "1", "--factors", "4", "--attention-factors", "4", "--field-factors", "4"];
    const args = ["train", "rows.libfm", ...shape, "--seed", String(seed), "--output", `model-${seed}.safetensors`];
    expect(await run(args, inFolder)).toMatchObject({ code: 0 });
  }
});
afterAll(folder.remove);

/** A service that is ready. */
interface Service {
  url: string;
  child: ChildProcessWithoutNullStreams;
  stderr(): string;
  end(signal: NodeJS.Signals): Promise<{ code: number | null; signal: NodeJS.Signals | null; stderr: string }>;
}

const running = new Set<ChildProcessWithoutNullStreams>();
afterEach(() => {
  for (const child of running) child.kill("SIGKILL");
  running.clear();
});

async function serve(args: string[], env: Record<string, string> = {}): Promise<Service> {
  const child = start(["serve", ...args, "--port", "0"], { ...inFolder, env });
  running.add(child);
  let stderr = "";
  child.stderr.on("data", (chunk) => {
    stderr += chunk;
  });
  const end = ended(child);
  const url = await new Promise<string>((resolve, reject) => {
    child.stdout.on("data", (text) => resolve(String(text).trim()));
    void end.then(({ code }) => reject(new Error(`ended with ${code}: ${stderr}`)));
  });
  return {
    url,
    child,
    stderr: () => stderr,
    end: async (signal) => {
      child.kill(signal);
      const { code, signal: by } = await end;
      return { code, signal: by, stderr };
    },
  };
}

const ROW = [0, 5, 10, 15];

async function predict(url: string, headers: Record<string, string> = {}): Promise<number> {
  const response = await fetch(`${url}/v1/predict`, {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body: JSON.stringify({ rows: [{ features: ROW }] }),
  });
  expect(response.status).toBe(200);
  return ((await response.json()) as { scores: [number] }).scores[0];
}

async function modelFile(url: string): Promise<{ digest: string; reload?: { status: string; message?: string } }> {
  const { file } = (await (await fetch(`${url}/v1/model`)).json()) as { file: { digest: string } };
  return file;
}

async function scoreOf(model: string): Promise<number> {
  writeFileSync(at("one.libfm"), `0 ${ROW.map((id) => `${id}:1`).join(" ")}\n`);
  const { stdout } = await run(["predict", model, "one.libfm"], inFolder);
  return Number(stdout);
}

/** As programs write files: whole, under their name at once. */
function replaceModel(name: string, content: Uint8Array | string): void {
  writeFileSync(at(`${name}.part`), content);
  renameSync(at(`${name}.part`), at(name));
}

describe("ifm-wasm serve", () => {
  it("prints its URL on stdout and answers as predict does, from several processes", async () => {
    const service = await serve(["model-1.safetensors", "--workers", "2"]);
    expect(service.url).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/);
    const expected = await scoreOf("model-1.safetensors");
    for (let i = 0; i < 5; i++) expect(await predict(service.url)).toBeCloseTo(expected, 6);
    const metrics = await (await fetch(`${service.url}/metrics`)).text();
    expect(metrics).toContain("\nifm_workers 2\n");
    expect(metrics).toContain('\nifm_requests_total{route="predict",status="200"} 5\n');
    const { code, stderr } = await service.end("SIGTERM");
    expect(code).toBe(0);
    expect(stderr).toMatch(/^serving model-1\.safetensors \(sha256:[0-9a-f]{64}\)$/m);
    expect(stderr.match(/ 127\.0\.0\.1 POST \/v1\/predict 200 [\d.]+ ms \d+ B$/gm)).toHaveLength(5);
    expect(stderr).toMatch(/^SIGTERM: answering what has been asked$/m);
  });

  it("ends with 130 on Ctrl-C, and says nothing when quiet", async () => {
    const service = await serve(["model-1.safetensors", "--workers", "1", "--quiet"]);
    await predict(service.url);
    expect(await service.end("SIGINT")).toEqual({ code: 130, signal: null, stderr: "" });
  });

  it("answers what it is asked while it ends", async () => {
    const service = await serve(["model-1.safetensors", "--workers", "1"]);
    const body = new TransformStream<Uint8Array, Uint8Array>();
    const writer = body.writable.getWriter();
    const response = fetch(`${service.url}/v1/predict`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: body.readable,
      duplex: "half",
    } as RequestInit);
    await writer.write(new TextEncoder().encode('{"rows":'));
    await expect
      .poll(async () => (await fetch(`${service.url}/metrics`)).text(), PATIENT)
      .toContain("ifm_requests_in_flight 2");
    const end = service.end("SIGTERM");
    await expect.poll(service.stderr, PATIENT).toContain("SIGTERM");
    await writer.write(new TextEncoder().encode("[]}"));
    await writer.close();
    expect((await response).status).toBe(200);
    expect(await end).toMatchObject({ code: 0 });
  });

  it("takes a model file that has changed, and keeps the old model when the new one is bad", async () => {
    copyFileSync(at("model-1.safetensors"), at("changing.safetensors"));
    const service = await serve(["changing.safetensors", "--workers", "2", "--log", "none"]);
    const [first, second] = [await scoreOf("model-1.safetensors"), await scoreOf("model-2.safetensors")];
    expect(first).not.toBeCloseTo(second, 4);
    const before = await modelFile(service.url);

    const whole = readFileSync(at("model-2.safetensors"));
    replaceModel("changing.safetensors", whole.subarray(0, whole.length - 10));
    await expect.poll(service.stderr, PATIENT).toContain("the old model stays");
    // Every process says so.
    for (let i = 0; i < 4; i++) {
      const file = await modelFile(service.url);
      expect(file).toMatchObject({ digest: before.digest, reload: { status: "failed" } });
      expect(file.reload?.message).toContain("changing.safetensors: ");
      expect(await predict(service.url)).toBeCloseTo(first, 6);
    }

    replaceModel("changing.safetensors", whole);
    await expect.poll(service.stderr, PATIENT).toContain("the model file has changed: serving sha256:");
    for (let i = 0; i < 4; i++) {
      expect(await predict(service.url)).toBeCloseTo(second, 6);
      expect(await modelFile(service.url)).toMatchObject({ reload: { status: "ok" } });
    }
    expect((await modelFile(service.url)).digest).not.toBe(before.digest);
    expect(await service.end("SIGTERM")).toMatchObject({ code: 0 });
  });

  it("replaces a process that has ended", async () => {
    const service = await serve(["model-1.safetensors", "--workers", "1", "--log", "none"]);
    const children = readFileSync(`/proc/${service.child.pid}/task/${service.child.pid}/children`, "utf8");
    process.kill(Number(children.trim().split(" ")[0]), "SIGKILL");
    await expect.poll(service.stderr, PATIENT).toContain("is replaced");
    await expect.poll(() => predict(service.url).catch(() => "not yet"), PATIENT).toEqual(expect.any(Number));
    expect(await service.end("SIGTERM")).toMatchObject({ code: 0 });
  });

  it("wants a token from the environment, or from a file", async () => {
    writeFileSync(at("tokens"), "one\n\ntwo\n");
    const args = ["model-1.safetensors", "--workers", "1", "--token-env", "SECRET", "--token-file", "tokens"];
    const service = await serve(args, { SECRET: "zero" });
    for (const token of ["zero", "one", "two"]) await predict(service.url, { authorization: `Bearer ${token}` });
    expect((await fetch(`${service.url}/v1/model`)).status).toBe(401);
    expect((await fetch(`${service.url}/healthz`)).status).toBe(200);
    const { stderr } = await service.end("SIGTERM");
    expect(stderr).not.toMatch(/zero|one\b|two/);
  });

  it("logs JSON", async () => {
    const service = await serve(["model-1.safetensors", "--workers", "1", "--log", "json"]);
    await fetch(`${service.url}/healthz?secret=1`);
    const { stderr } = await service.end("SIGTERM");
    const line = stderr.split("\n").find((text) => text.startsWith("{"));
    expect(JSON.parse(line ?? "")).toMatchObject({ method: "GET", path: "/healthz", status: 200, bytes: 15 });
  });

  it("warns when everybody may ask", async () => {
    const service = await serve(["model-1.safetensors", "--workers", "1", "--host", "0.0.0.0"]);
    const { stderr } = await service.end("SIGTERM");
    expect(stderr).toContain("warning: whoever reaches 0.0.0.0 may ask");
  });

  it("ends when its first process is killed", async () => {
    const service = await serve(["model-1.safetensors", "--workers", "1", "--log", "none"]);
    await service.end("SIGKILL");
    await expect.poll(() => fetch(`${service.url}/healthz`).catch(() => "gone"), PATIENT).toBe("gone");
  });
});

describe("exit codes of serve", () => {
  it("2: wrong usage", async () => {
    for (const args of [
      ["serve"],
      ["serve", "-"],
      ["serve", "model-1.safetensors", "--port", "65536"],
      ["serve", "model-1.safetensors", "--workers", "0"],
      ["serve", "model-1.safetensors", "--token-env", "NOT_SET"],
      ["serve", "model-1.safetensors", "--token-file", "nowhere"],
      ["serve", "model-1.safetensors", "--cors", "shop.example", "--workers", "1", "--port", "0"],
      ["serve", "model-1.safetensors", "--host", "no.such.host.invalid", "--workers", "1", "--port", "0"],
    ]) {
      const { code, stdout, stderr } = await run(args, inFolder);
      expect({ code, stdout }, `${args}: ${stderr}`).toEqual({ code: 2, stdout: "" });
      expect(stderr).not.toMatch(/unexpected|\n {4}at /);
    }
  });

  it("2: a port that is taken", async () => {
    const other = createServer();
    await new Promise<void>((resolve) => other.listen(0, "127.0.0.1", resolve));
    const { port } = other.address() as { port: number };
    const { code, stderr } = await run(["serve", "model-1.safetensors", "--port", String(port)], inFolder);
    other.close();
    expect(code).toBe(2);
    expect(stderr).toContain(`cannot listen on port ${port} of 127.0.0.1: EADDRINUSE`);
  });

  it("5: a model file that is none", async () => {
    for (const file of ["nowhere.safetensors", "rows.libfm"]) {
      const { code, stderr } = await run(["serve", file, "--port", "0", "--workers", "2"], inFolder);
      expect(code, stderr).toBe(5);
      expect(stderr).toContain(`error: ${file}: `);
    }
  });
});
