/** What went wrong, as a stable string that programs may switch on. */
export type ErrorCode =
  /** A wrong option, or an API called with values it does not accept. */
  | "IFM_USAGE"
  /** A data file that does not hold what it should. */
  | "IFM_DATA"
  /** The loss, a gradient or a weight stopped being finite. */
  | "IFM_DIVERGED"
  /** A model file that is damaged, or that does not fit what was asked of it. */
  | "IFM_MODEL"
  /** More memory needed than there is. */
  | "IFM_MEMORY"
  /** Stopped by the user (Ctrl-C, `AbortSignal`). */
  | "IFM_ABORTED"
  /** The WebAssembly module could not be loaded or is of another version. */
  | "IFM_WASM";

export interface ErrorPlace {
  /** File name as the user gave it; `-` is standard input. */
  file?: string;
  /** Line, counted from 1. */
  line?: number;
  /** Column in bytes, counted from 1. */
  column?: number;
  /** What to do about it, one sentence without a final full stop. */
  hint?: string;
  cause?: unknown;
}

/**
 * Every error that this package expects to happen.
 *
 * `message` reads `file:line:column: what was expected, what was found`; `hint` says what to do and is printed on a
 * line of its own by the command line.
 */
export class IfmError extends Error {
  override readonly name = "IfmError";
  readonly code: ErrorCode;
  readonly file: string | undefined;
  readonly line: number | undefined;
  readonly column: number | undefined;
  readonly hint: string | undefined;

  constructor(code: ErrorCode, message: string, place: ErrorPlace = {}) {
    super(prefix(place) + message, place.cause === undefined ? undefined : { cause: place.cause });
    this.code = code;
    this.file = place.file;
    this.line = place.line;
    this.column = place.column;
    this.hint = place.hint;
  }
}

function prefix({ file, line, column }: ErrorPlace): string {
  if (file === undefined && line === undefined) return "";
  const parts = [file ?? "data"];
  if (line !== undefined) parts.push(String(line));
  if (line !== undefined && column !== undefined) parts.push(String(column));
  return `${parts.join(":")}: `;
}
