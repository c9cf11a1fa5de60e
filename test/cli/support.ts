import { type ChildProcessWithoutNullStreams, execFileSync, spawn } from "node:child_process";
import { EventEmitter } from "node:events";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Writable } from "node:stream";
import { fileURLToPath } from "node:url";
import { type Io, Sink } from "../../src/cli/io.js";

/** A folder of the repository. */
export function inRepository(path: string): string {
  return fileURLToPath(new URL(`../../${path}`, import.meta.url));
}

/** Bundles the command if a source is newer than what is there: a test of an old bundle proves nothing. */
export function buildCommand(): void {
  const timeOf = (file: string) => statSync(inRepository(file), { throwIfNoEntry: false })?.mtimeMs ?? 0;
  const sources = readdirSync(inRepository("src"), { recursive: true, encoding: "utf8" });
  const newest = Math.max(timeOf("rolldown.config.js"), ...sources.map((file) => timeOf(`src/${file}`)));
  if (timeOf("dist/cli.js") >= newest) return;
  const rolldown = inRepository("node_modules/rolldown/bin/cli.mjs");
  execFileSync(process.execPath, [rolldown, "-c", "rolldown.config.js"], { cwd: inRepository(".") });
}

/** A folder for the files of one test, removed at the end of the process at the latest. */
export function temporaryFolder(): { path: string; [Symbol.dispose](): void; remove(): void } {
  const path = mkdtempSync(join(tmpdir(), "ifm-wasm-cli-"));
  const remove = () => rmSync(path, { recursive: true, force: true });
  return { path, remove, [Symbol.dispose]: remove };
}

/** A stream that remembers what was written to it. */
class Memory extends Writable {
  text = "";

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    this.text += chunk.toString();
    done();
  }
}

/** A world for commands that run in this process. */
export interface TestIo extends Io {
  readonly stdout: () => string;
  readonly stderr: () => string;
  /** Presses Ctrl-C. */
  interrupt(): void;
  /** Codes given to `exit`. */
  readonly exits: number[];
}

export function testIo(env: Record<string, string> = {}): TestIo {
  const out = new Memory();
  const err = new Memory();
  const signals = new EventEmitter();
  const exits: number[] = [];
  return {
    out: new Sink(out),
    err: new Sink(err),
    env,
    sample: { train: "sample.train.libfm", validation: "sample.validation.libfm" },
    onInterrupt(listener) {
      signals.on("interrupt", listener);
      return () => signals.off("interrupt", listener);
    },
    exit: (code) => exits.push(code),
    stdout: () => out.text,
    stderr: () => err.text,
    interrupt: () => signals.emit("interrupt", "SIGINT"),
    exits,
  };
}

/** How a process ended, and what it wrote. */
export interface Ended {
  code: number | null;
  signal: NodeJS.Signals | null;
  stdout: string;
  stderr: string;
}

export interface RunOptions {
  cwd?: string;
  env?: Record<string, string>;
  input?: string | Uint8Array;
}

/** Starts the command as users do. Colours are left to the test's `env`. */
export function start(args: readonly string[], options: RunOptions = {}): ChildProcessWithoutNullStreams {
  return spawn(process.execPath, [inRepository("bin/ifm-wasm.js"), ...args], {
    cwd: options.cwd ?? tmpdir(),
    env: { PATH: process.env.PATH ?? "", ...options.env },
  });
}

/** Waits for a process. */
export function ended(child: ChildProcessWithoutNullStreams): Promise<Ended> {
  let stdout = "";
  let stderr = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    stderr += text;
  });
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code, signal) => resolve({ code, signal, stdout, stderr }));
  });
}

/** Runs the command to its end. */
export function run(args: readonly string[], options: RunOptions = {}): Promise<Ended> {
  const child = start(args, options);
  // The command may be done before it has read all its input.
  child.stdin.on("error", () => undefined);
  child.stdin.end(options.input);
  return ended(child);
}

/** The objects of JSON lines. */
export function jsonLines(text: string): Record<string, unknown>[] {
  return text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}

/** A libFM text of rows with one feature in each field, and labels that two of the fields decide together. */
export function rowsText(rows: number, fields = 4, perField = 5): string {
  let state = 1;
  const draw = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * perField);
  };
  return Array.from({ length: rows }, () => {
    const picks = Array.from({ length: fields }, draw);
    const label = (picks[0] + picks[1]) % 2 === 0 ? 1 : -1;
    return `${label} ${picks.map((pick, field) => `${field * perField + pick}:1`).join(" ")}\n`;
  }).join("");
}

/** The numbers of a safetensors file by tensor; its own reader, so that it can disagree with the package's. */
export function readTensors(file: string): Map<string, Float32Array> {
  const bytes = readFileSync(file);
  const headerBytes = Number(bytes.readBigUInt64LE(0));
  const header = JSON.parse(bytes.toString("utf8", 8, 8 + headerBytes)) as Record<
    string,
    { data_offsets: [number, number] }
  >;
  const tensors = new Map<string, Float32Array>();
  for (const [name, entry] of Object.entries(header)) {
    if (name === "__metadata__") continue;
    const [begin, end] = entry.data_offsets;
    const data = bytes.subarray(8 + headerBytes + begin, 8 + headerBytes + end);
    tensors.set(
      name,
      Float32Array.from({ length: data.length / 4 }, (_, i) => data.readFloatLE(4 * i)),
    );
  }
  return tensors;
}
