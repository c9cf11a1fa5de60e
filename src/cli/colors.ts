import picocolors from "picocolors";
import type { Io, Sink } from "./io.js";

export type Colors = ReturnType<typeof picocolors.createColors>;

/** Whether a stream gets colours: NO_COLOR says no, FORCE_COLOR yes, otherwise only a terminal does. */
export function hasColors(sink: Sink, env: Io["env"]): boolean {
  if (env.NO_COLOR) return false;
  const force = env.FORCE_COLOR;
  if (force !== undefined) return force !== "0" && force !== "false";
  return sink.isTerminal && env.TERM !== "dumb";
}

/** Colours for what goes to stdout. */
export function outputColors(io: Io): Colors {
  return picocolors.createColors(hasColors(io.out, io.env));
}

/** Colours for what goes to stderr. */
export function errorColors(io: Io): Colors {
  return picocolors.createColors(hasColors(io.err, io.env));
}
