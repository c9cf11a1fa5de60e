/** Why a request got no answer, as a stable string that programs may switch on. */
export type ProblemCode =
  /** 400: the body is no JSON text. */
  | "IFM_JSON"
  /** 401: no token, or a wrong one. */
  | "IFM_TOKEN"
  /** 404: nothing is there. */
  | "IFM_NOT_FOUND"
  /** 405: something is there, for other methods. */
  | "IFM_METHOD"
  /** 408: the body did not come in time. */
  | "IFM_TIMEOUT"
  /** 413: the body is larger than what is accepted. */
  | "IFM_TOO_LARGE"
  /** 415: the body is no `application/json`, or compressed. */
  | "IFM_MEDIA_TYPE"
  /** 422: JSON, but not what the route expects; `pointer`, `expected` and `found` say where and what. */
  | "IFM_REQUEST"
  /** 500: a bug. */
  | "IFM_INTERNAL"
  /** 503: more requests at once than are accepted, or no memory. */
  | "IFM_BUSY";

const STATUS: Readonly<Record<ProblemCode, readonly [status: number, title: string]>> = {
  IFM_JSON: [400, "Bad Request"],
  IFM_TOKEN: [401, "Unauthorized"],
  IFM_NOT_FOUND: [404, "Not Found"],
  IFM_METHOD: [405, "Method Not Allowed"],
  IFM_TIMEOUT: [408, "Request Timeout"],
  IFM_TOO_LARGE: [413, "Content Too Large"],
  IFM_MEDIA_TYPE: [415, "Unsupported Media Type"],
  IFM_REQUEST: [422, "Unprocessable Content"],
  IFM_INTERNAL: [500, "Internal Server Error"],
  IFM_BUSY: [503, "Service Unavailable"],
};

/** What a response says besides the code and a sentence. */
interface Extras {
  /** Members of the JSON. */
  members?: Readonly<Record<string, string>>;
  headers?: Readonly<Record<string, string>>;
}

/** The reason for a response that is no answer; becomes problem details of RFC 9457. */
export class Problem extends Error {
  readonly code: ProblemCode;
  readonly extras: Extras;

  constructor(code: ProblemCode, detail: string, extras: Extras = {}) {
    super(detail);
    this.code = code;
    this.extras = extras;
  }

  get status(): number {
    return STATUS[this.code][0];
  }

  toResponse(): Response {
    const [status, title] = STATUS[this.code];
    const { members, headers } = this.extras;
    const body = { type: "about:blank", title, status, detail: this.message, code: this.code, ...members };
    return new Response(JSON.stringify(body), {
      status,
      headers: { "content-type": "application/problem+json", ...headers },
    });
  }
}

/** Names and numbers that lead from the root of a JSON text to a part of it. */
export type Path = readonly (string | number)[];

/** Most characters of a request's text that a response repeats. */
const MOST_FOUND = 40;

/** A part of the request is not what it should be. */
export function wrong(path: Path, expected: string, found: unknown): Problem {
  return wrongText(path, expected, foundText(found));
}

/** The same, with what was found in words. */
export function wrongText(path: Path, expected: string, text: string): Problem {
  const at = path.reduce<string>((all, part) => all + (typeof part === "number" ? `[${part}]` : `.${part}`), "");
  const where = at === "" ? "the request" : at.slice(1);
  return new Problem("IFM_REQUEST", `${where}: expected ${expected}, found ${text}`, {
    members: { pointer: pointerOf(path), expected, found: text },
  });
}

/** JSON Pointer of RFC 6901 as the fragment of a URI. */
function pointerOf(path: Path): string {
  const parts = path.map((part) => encodeURIComponent(String(part).replaceAll("~", "~0").replaceAll("/", "~1")));
  return `#${parts.map((part) => `/${part}`).join("")}`;
}

/** A value of a request as text for a message: short, whatever it is. */
function foundText(value: unknown): string {
  if (value === undefined) return "nothing";
  if (value === null) return "null";
  if (Array.isArray(value)) return `an array of ${value.length}`;
  if (typeof value === "object") return "an object";
  if (typeof value !== "string") return String(value);
  return JSON.stringify(shortened(value));
}

/** The beginning of a text from a request; never half of a surrogate pair, which would be no Unicode. */
export function shortened(text: string): string {
  const whole = text.length <= MOST_FOUND ? text : `${text.slice(0, MOST_FOUND)}…`;
  return whole.replace(/[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g, "\ufffd");
}
