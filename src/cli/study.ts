import { createHash } from "node:crypto";
import { type FileHandle, open, readFile, truncate } from "node:fs/promises";
import type { ModelKind } from "../config.js";
import { IfmError } from "../errors.js";
import type { Rung, TrialResult } from "../tune/halving.js";
import type { Space, Trial } from "../tune/space.js";
import { jsonLine } from "./json.js";
import type { TrainValues } from "./options.js";

/** A file's content, whatever its name. */
export interface Fingerprint {
  readonly bytes: number;
  readonly sha256: string;
}

/** Everything that the results of a study depend on: its first line. */
export interface StudyHeader {
  /** Version of the format. */
  readonly study: 1;
  /** Version of the program: another one may draw or train otherwise. */
  readonly version: string;
  readonly model: ModelKind;
  readonly space: Space;
  /** What all trials have alike. */
  readonly options: TrainValues;
  readonly seed: number;
  readonly trials: number;
  readonly epochs: number;
  readonly reduce: number;
  readonly data: { readonly train: Fingerprint; readonly validation: Fingerprint; readonly init?: Fingerprint };
}

/** `tune-ifm-0f3c9a12.jsonl`: another study has another file. */
export function studyName(header: StudyHeader): string {
  const hash = createHash("sha256").update(jsonLine(header)).digest("hex");
  return `tune-${header.model}-${hash.slice(0, 8)}.jsonl`;
}

/**
 * The results of a study, in a file that is only ever appended to: a header, then a line for each trial at each rung. What
 * an interrupt leaves of a line is overwritten, so a study goes on from its last whole line.
 */
export class Study {
  readonly file: string;
  readonly #header: StudyHeader;
  readonly #results: Map<string, TrialResult>;
  /** Bytes of the file that are whole lines. */
  readonly #whole: number;
  #handle: FileHandle | undefined;

  private constructor(file: string, header: StudyHeader, results: Map<string, TrialResult>, whole: number) {
    this.file = file;
    this.#header = header;
    this.#results = results;
    this.#whole = whole;
  }

  /**
   * Reads what is there of a study; nothing is written before the first result.
   *
   * @throws IfmError `IFM_USAGE`: the file is of another study, or of none
   */
  static async open(
    file: string,
    header: StudyHeader,
    trials: readonly Trial[],
    rungs: readonly Rung[],
  ): Promise<Study> {
    const bytes = await contentOf(file);
    const whole = bytes.lastIndexOf("\n") + 1;
    const [first, ...lines] = bytes.toString("utf8", 0, whole).split("\n").slice(0, -1);
    const hint = "name another file with --study";
    const results = new Map<string, TrialResult>();
    if (first === undefined) {
      // The beginning of this header is what an interrupt has left of it.
      if (Buffer.from(jsonLine(header)).indexOf(bytes) !== 0)
        throw new IfmError("IFM_USAGE", "not a study of ifm-wasm tune", { file, hint });
      return new Study(file, header, results, 0);
    }
    const there = parsed(first);
    if (!isObject(there) || there.study === undefined)
      throw new IfmError("IFM_USAGE", "not a study of ifm-wasm tune", { file, hint });
    const difference = findDifference(there, JSON.parse(jsonLine(header)));
    if (difference !== undefined) {
      throw new IfmError("IFM_USAGE", `the study there is another one: ${difference}`, { file, hint });
    }
    for (const [i, line] of lines.entries()) {
      const result = parsed(line);
      if (!isResult(result, trials, rungs)) {
        throw new IfmError("IFM_USAGE", "expected a result of this study", { file, line: i + 2, hint });
      }
      results.set(`${result.rung} ${result.trial}`, { ...result, options: trials[result.trial - 1].options });
    }
    return new Study(file, header, results, whole);
  }

  /** Results that are there. */
  get size(): number {
    return this.#results.size;
  }

  find(rung: number, trial: number): TrialResult | undefined {
    return this.#results.get(`${rung} ${trial}`);
  }

  /** Writes a result. It is on the disk when the promise is fulfilled. */
  async add(result: TrialResult): Promise<void> {
    this.#results.set(`${result.rung} ${result.trial}`, result);
    try {
      this.#handle ??= await this.#begin();
      await this.#handle.writeFile(jsonLine(result));
      await this.#handle.sync();
    } catch (cause) {
      throw fileError(this.file, "written", cause);
    }
  }

  async close(): Promise<void> {
    await this.#handle?.close();
  }

  async #begin(): Promise<FileHandle> {
    const handle = await open(this.file, "a");
    await truncate(this.file, this.#whole);
    if (this.#whole === 0) await handle.writeFile(jsonLine(this.#header));
    return handle;
  }
}

async function contentOf(file: string): Promise<Buffer> {
  try {
    return await readFile(file);
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "ENOENT") return Buffer.alloc(0);
    throw fileError(file, "read", cause);
  }
}

function fileError(file: string, done: "read" | "written", cause: unknown): IfmError {
  const why = cause instanceof Error ? cause.message : String(cause);
  return new IfmError("IFM_USAGE", `cannot be ${done}: ${why}`, { file, hint: "choose another --study", cause });
}

/** The value of a line of JSON; undefined when it is none. */
function parsed(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isResult(value: unknown, trials: readonly Trial[], rungs: readonly Rung[]): value is TrialResult {
  if (!isObject(value)) return false;
  const { trial, rung, epochs, seconds, score, bestEpoch, validation, failed } = value;
  const isNumber = (x: unknown) => typeof x === "number";
  const scored = isNumber(score) && isNumber(bestEpoch) && isObject(validation);
  return (
    trials[(trial as number) - 1] !== undefined &&
    rungs[(rung as number) - 1] !== undefined &&
    isNumber(epochs) &&
    isNumber(seconds) &&
    (scored || failed === "diverged" || failed === "memory")
  );
}

/** Where two values of JSON differ first, in words; undefined if nowhere. */
function findDifference(there: unknown, here: unknown, at = ""): string | undefined {
  if (isObject(there) && isObject(here)) {
    for (const key of new Set([...Object.keys(there), ...Object.keys(here)])) {
      const difference = findDifference(there[key], here[key], at === "" ? key : `${at}.${key}`);
      if (difference !== undefined) return difference;
    }
    return undefined;
  }
  const [a, b] = [there, here].map((value) => (value === undefined ? "none" : JSON.stringify(value)));
  return a === b ? undefined : `${at} is ${a} there, ${b} here`;
}
