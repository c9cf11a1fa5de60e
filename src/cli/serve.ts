import { readFile } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { IfmError } from "../errors.js";
import { DEFAULT_LIMITS, type Limits } from "../serve/limits.js";
import { EXIT } from "./exit.js";
import { SAME_INTERRUPT_MS } from "./interrupts.js";
import type { Io, Signal } from "./io.js";
import { warn } from "./report.js";
import { freePort } from "./serve/http.js";
import type { ReloadStatus, WorkerConfig } from "./serve/messages.js";
import { SERVE_DEFAULTS, type ServeValues } from "./serve/options.js";
import { Pool } from "./serve/pool.js";
import { watchFile } from "./serve/watch.js";

/** `ifm-wasm serve MODEL`: answers requests until it is told to end. Returns the exit code. */
export async function serve(modelFile: string, options: ServeValues, io: Io): Promise<number> {
  if (modelFile === "-") {
    throw new IfmError("IFM_USAGE", "MODEL: expected a file, got standard input", {
      hint: "every process reads the model, and reads it again when it changes",
    });
  }
  const config = await workerConfig(modelFile, options, io);
  const say = (text: string) => {
    if (!options.quiet) io.err.write(`${text}\n`);
  };
  const pool = new Pool(config, (text) => warn(io, text));
  const ending = new Ending(io);
  try {
    const workers = options.workers ?? "auto";
    const { url, served } = await pool.start(workers === "auto" ? availableParallelism() : workers);
    const ended = ending.first();
    if (config.tokens.length === 0 && !isLoopback(config.host)) {
      warn(io, `whoever reaches ${config.host} may ask: there is no --token-env and no --token-file`);
    }
    say(`serving ${modelFile} (${served.digest})`);
    io.out.write(`${url}\n`);
    const stopWatching =
      options.reload === false ? () => undefined : await watchFile(modelFile, () => reload(pool, say, io));
    const signal = await ended;
    stopWatching();
    say(`${signal}: answering what has been asked`);
    await pool.stop(1000 * (options.grace ?? SERVE_DEFAULTS.grace));
    return signal === "SIGTERM" ? EXIT.done : EXIT.interrupted;
  } finally {
    ending.dispose();
  }
}

/** Ctrl-C and requests to terminate: the first one ends the service in order, the second one, or one while it starts, at once. */
class Ending {
  readonly #stopListening: () => void;
  #order: ((signal: Signal) => void) | undefined;
  /** When the first one came, in milliseconds. */
  #first: number | undefined;

  constructor(io: Io) {
    this.#stopListening = io.onInterrupt((signal) => {
      const now = performance.now();
      if (this.#order === undefined) io.exit(EXIT.interrupted);
      else if (this.#first !== undefined && now - this.#first > SAME_INTERRUPT_MS) io.exit(EXIT.interrupted);
      this.#first ??= now;
      this.#order?.(signal);
    });
  }

  /** The first one from now on. */
  first(): Promise<Signal> {
    return new Promise((resolve) => {
      this.#order = resolve;
    });
  }

  dispose(): void {
    this.#stopListening();
  }
}

/** Takes a model file that has changed; a bad one changes nothing. */
async function reload(pool: Pool, say: (text: string) => void, io: Io): Promise<void> {
  const status: ReloadStatus = { status: "ok", at: new Date().toISOString() };
  try {
    const served = await pool.reload();
    if (served === undefined) return;
    say(`the model file has changed: serving ${served.digest}`);
  } catch (error) {
    if (!(error instanceof IfmError)) throw error;
    status.status = "failed";
    status.message = error.message;
    warn(io, `the model file has changed, and the old model stays: ${error.message}`);
  }
  pool.tell(status);
}

async function workerConfig(modelFile: string, options: ServeValues, io: Io): Promise<WorkerConfig> {
  const { host = SERVE_DEFAULTS.host, port = SERVE_DEFAULTS.port } = options;
  return {
    modelFile,
    host,
    // Chosen once: a process that is replaced would choose another.
    port: port === 0 ? await freePort(host) : port,
    limits: limitsOf(options),
    tokens: await tokensOf(options, io),
    cors: options.cors ?? [],
    maxConnections: options.maxConnections ?? SERVE_DEFAULTS.maxConnections,
    log: options.quiet ? "none" : (options.log ?? "line"),
  };
}

function limitsOf({
  maxBody,
  maxRows,
  maxCandidates,
  maxSlots,
  maxExplained,
  maxConcurrent,
  timeout,
}: ServeValues): Limits {
  return {
    ...DEFAULT_LIMITS,
    ...(maxBody !== undefined && { maxBodyBytes: maxBody }),
    ...(maxRows !== undefined && { maxRows }),
    ...(maxCandidates !== undefined && { maxCandidates }),
    ...(maxSlots !== undefined && { maxSlots }),
    ...(maxExplained !== undefined && { maxExplained }),
    ...(maxConcurrent !== undefined && { maxConcurrent }),
    ...(timeout !== undefined && { timeoutMilliseconds: Math.ceil(1000 * timeout) }),
  };
}

/** Tokens are in no argument: everybody on a machine can see those. */
async function tokensOf({ tokenEnv, tokenFile }: ServeValues, io: Io): Promise<string[]> {
  const tokens: string[] = [];
  if (tokenEnv !== undefined) {
    const token = io.env[tokenEnv];
    if (!token) throw new IfmError("IFM_USAGE", `--token-env: the environment has no ${tokenEnv}`);
    tokens.push(token);
  }
  if (tokenFile !== undefined) {
    const text = await readFile(tokenFile, "utf8").catch((cause: NodeJS.ErrnoException) => {
      throw new IfmError("IFM_USAGE", `--token-file: ${tokenFile} cannot be read (${cause.code})`, { cause });
    });
    const found = text.split(/\r?\n/).filter((line) => line.trim() !== "");
    if (found.length === 0) throw new IfmError("IFM_USAGE", `--token-file: ${tokenFile} has no token`);
    tokens.push(...found);
  }
  return tokens;
}

function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || host.startsWith("127.");
}
