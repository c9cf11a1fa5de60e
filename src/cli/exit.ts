import { CommanderError } from "commander";
import { type ErrorCode, IfmError } from "../errors.js";
import { errorColors } from "./colors.js";
import type { Io } from "./io.js";
import { missingFileHint } from "./missing-file.js";

/** Exit codes that scripts may rely on. */
export const EXIT = {
  done: 0,
  bug: 1,
  usage: 2,
  data: 3,
  diverged: 4,
  model: 5,
  memory: 6,
  interrupted: 130,
} as const;

const EXIT_OF_CODE: Readonly<Record<ErrorCode, number>> = {
  IFM_USAGE: EXIT.usage,
  IFM_DATA: EXIT.data,
  IFM_DIVERGED: EXIT.diverged,
  IFM_MODEL: EXIT.model,
  IFM_MEMORY: EXIT.memory,
  IFM_ABORTED: EXIT.interrupted,
  IFM_WASM: EXIT.bug,
};

/** What V8 says when a typed array or a WebAssembly memory does not fit; it has no error type of its own. */
const OUT_OF_MEMORY = /allocation failed|could not allocate memory|invalid array buffer length/i;

/**
 * Says on stderr what went wrong, and returns the exit code that tells it to scripts. Expected errors take a line and
 * a hint; what nobody expected shows its stack.
 */
export function reportError(error: unknown, io: Io): number {
  const colors = errorColors(io);
  const say = (message: string, hint?: string) => {
    io.err.write(`${colors.red("error:")} ${message}\n${hint === undefined ? "" : `  ${hint}\n`}`);
  };
  if (error instanceof CommanderError) {
    // Commander has written its message already; help and version end with 0.
    return error.exitCode === 0 ? EXIT.done : EXIT.usage;
  }
  if (error instanceof IfmError) {
    say(error.message, isMissing(error) ? missingFileHint(error.file) : error.hint);
    return EXIT_OF_CODE[error.code];
  }
  if (error instanceof RangeError && OUT_OF_MEMORY.test(error.message)) {
    say(`not enough memory: ${error.message}`, "use fewer factors, a smaller batch or fewer rows");
    return EXIT.memory;
  }
  if (error instanceof Error && "syscall" in error) {
    // The operating system said no (a full disk behind stdout): a stack would explain nothing.
    say(error.message);
    return EXIT.bug;
  }
  io.err.write(`${colors.red("unexpected error:")} ${error instanceof Error ? error.stack : String(error)}\n`);
  return EXIT.bug;
}

/** A data file that is not there: a name was mistyped. */
function isMissing(error: IfmError): error is IfmError & { file: string } {
  const { code } = (error.cause ?? {}) as NodeJS.ErrnoException;
  return error.code === "IFM_DATA" && error.file !== undefined && (code === "ENOENT" || code === "ENOTDIR");
}
