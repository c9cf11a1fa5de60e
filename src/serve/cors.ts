import { IfmError } from "../errors.js";

/** Seconds for which a browser remembers what is allowed. */
const MAX_AGE = "600";

/**
 * What lets pages of other origins read the responses. Without origins nothing is added, and browsers keep the responses
 * from them.
 *
 * @param origins such as `https://shop.example`, or `*` for all
 * @throws IfmError IFM_USAGE when one is no origin
 */
export function corsHeaders(origins: readonly string[]): (request: Request, allow: string) => [string, string][] {
  for (const origin of origins) if (!isOrigin(origin)) throw noOrigin(origin);
  return (request, allow) => {
    if (origins.length === 0) return [];
    const origin = request.headers.get("origin") ?? "";
    const any = origins.includes("*");
    const headers: [string, string][] = any ? [] : [["vary", "origin"]];
    if (!any && !origins.includes(origin)) return headers;
    headers.push(["access-control-allow-origin", any ? "*" : origin]);
    if (request.method === "OPTIONS" && request.headers.has("access-control-request-method")) {
      headers.push(
        ["access-control-allow-methods", allow],
        ["access-control-allow-headers", "authorization, content-type"],
        ["access-control-max-age", MAX_AGE],
      );
    }
    return headers;
  };
}

/** Whether a browser could send it as it is. */
function isOrigin(text: string): boolean {
  if (text === "*") return true;
  return URL.canParse(text) && new URL(text).origin === text;
}

function noOrigin(text: string): IfmError {
  return new IfmError("IFM_USAGE", `cors: expected an origin such as https://shop.example, or *, got "${text}"`, {
    hint: "scheme, host and port, without a path or a slash at the end",
  });
}
