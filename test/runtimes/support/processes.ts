import { type ExecFileOptions, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import type { Readable } from "node:stream";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

export const ROOT = fileURLToPath(new URL("../../../", import.meta.url));
const RUN_MILLISECONDS = 240_000;
const START_MILLISECONDS = 30_000;

const execute = promisify(execFile);

/** What a program prints on stdout. One that takes longer than four minutes is killed. */
export async function output(file: string, args: string[], options: ExecFileOptions = {}): Promise<string> {
  const { cwd = ROOT, env } = options;
  const all = { cwd, env: { ...process.env, ...env }, timeout: RUN_MILLISECONDS, maxBuffer: 2 ** 26 };
  return (await execute(file, args, all)).stdout.trim();
}

export interface Service extends AsyncDisposable {
  /** What it said when it was ready. */
  said: string[];
}

export interface ServiceOptions {
  /** What it says when it is ready; one that says nothing counts as ready at once. */
  ready?: RegExp;
  /** The file descriptor on which it says so: 1 or 2, or 3, which is opened for it. */
  channel?: 1 | 2 | 3;
  env?: NodeJS.ProcessEnv;
  cwd?: string;
}

/** Starts a program that serves until it is disposed of, together with all that it has started. */
export async function startService(file: string, args: string[], options: ServiceOptions): Promise<Service> {
  const { channel = 1, env = {}, cwd = ROOT } = options;
  const child = spawn(file, args, {
    cwd,
    env: { ...process.env, ...env },
    stdio: ["ignore", "pipe", "pipe", "pipe"],
    detached: true, // a group of its own, to be ended as one
  });
  const end = () => {
    if (child.pid !== undefined && child.exitCode === null && child.signalCode === null) {
      process.kill(-child.pid, "SIGKILL");
    }
  };
  process.once("exit", end);
  const service = {
    async [Symbol.asyncDispose]() {
      process.off("exit", end);
      if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
      end();
      await once(child, "exit");
    },
  };

  const said = ["", "", "", ""];
  try {
    const found = await new Promise<string[]>((resolve, reject) => {
      child.stdio.forEach((stream, number) => {
        stream?.on("error", reject);
        (stream as Readable | null)?.on("data", (bytes: Buffer) => {
          said[number] += bytes;
          const match = options.ready?.exec(said[channel]!);
          if (match) resolve([...match]);
        });
      });
      child.once("error", reject);
      if (!options.ready) child.once("spawn", () => resolve([]));
      child.once("exit", (code, signal) => reject(new Error(`ended with ${code ?? signal}`)));
      setTimeout(() => reject(new Error(`not ready after ${START_MILLISECONDS / 1000} s`)), START_MILLISECONDS).unref();
    });
    return { said: found, ...service };
  } catch (error) {
    await service[Symbol.asyncDispose]();
    throw new Error(`${file}: ${(error as Error).message}\n${said.join("")}`);
  }
}
