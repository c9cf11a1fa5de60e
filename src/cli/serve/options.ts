import { DEFAULT_LIMITS, type Limits } from "../../serve/limits.js";
import { type OptionSpec, toggle, type Values, value } from "../options.js";
import { list, name, number, oneOf, type Parser, path, threadCount, whole } from "../parse.js";

const count = whole({ min: 1, max: 2 ** 31 - 1 });
const seconds = number({ above: 0, max: 86_400 });

/** A word without spaces, such as a host's name. */
const word: Parser<string> = {
  expects: "a word",
  plural: "words",
  brief: "",
  read: (text) => (/^[^\s-][^\s]*$/.test(text) ? text : undefined),
};

const limit = (flags: string, about: string, key: keyof Limits) =>
  value(flags, "Limits", about, count, String(DEFAULT_LIMITS[key]));

export const SERVE_DEFAULTS = { host: "127.0.0.1", port: 8080, maxConnections: 1000, grace: 10 } as const;

/** All options of `serve`. The key of each is its flag in camel case. */
export const SERVE_OPTIONS = {
  port: value(
    "--port <n>",
    "Serving",
    "port to listen on; 0 is any that is free",
    whole({ min: 0, max: 65_535 }),
    String(SERVE_DEFAULTS.port),
  ),
  host: value(
    "--host <name>",
    "Serving",
    "address to listen on; 0.0.0.0 is all of this machine",
    word,
    SERVE_DEFAULTS.host,
  ),
  workers: value(
    "--workers <n>",
    "Serving",
    "processes that serve, each with the model in its own memory",
    threadCount,
    "auto, as many as the machine has cores",
  ),
  tokenEnv: value("--token-env <name>", "Serving", "environment variable with the token that requests must have", name),
  tokenFile: value("--token-file <file>", "Serving", "file of tokens that requests may have, one a line", path),
  cors: value(
    "--cors <origins>",
    "Serving",
    "origins whose pages may read responses, such as https://a.example",
    list(word),
  ),
  reload: toggle("--no-reload", "Serving", "keep the model when its file changes"),
  grace: value(
    "--grace <seconds>",
    "Serving",
    "what requests get that are not answered yet when the service is told to end",
    seconds,
    String(SERVE_DEFAULTS.grace),
  ),

  maxBody: limit("--max-body <bytes>", "bytes of a request's body", "maxBodyBytes"),
  maxRows: limit("--max-rows <n>", "rows of a request", "maxRows"),
  maxCandidates: limit("--max-candidates <n>", "candidates of a request", "maxCandidates"),
  maxSlots: limit("--max-slots <n>", "slots of a row, of a context, of a candidate", "maxSlots"),
  maxExplained: limit("--max-explained <n>", "candidates of a request that are explained", "maxExplained"),
  maxConcurrent: limit("--max-concurrent <n>", "requests of a process that are being read", "maxConcurrent"),
  maxConnections: value(
    "--max-connections <n>",
    "Limits",
    "connections of a process",
    count,
    String(SERVE_DEFAULTS.maxConnections),
  ),
  timeout: value(
    "--timeout <seconds>",
    "Limits",
    "until a request's body must be there",
    seconds,
    String(DEFAULT_LIMITS.timeoutMilliseconds / 1000),
  ),

  log: value("--log <format>", "Output", "how requests are logged on stderr", oneOf("line", "json", "none"), "line"),
  quiet: toggle("--quiet", "Output", "say nothing but warnings and errors"),
} as const satisfies Record<string, OptionSpec<unknown>>;

export type ServeValues = Values<typeof SERVE_OPTIONS>;
