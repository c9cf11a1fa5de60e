import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { extname, join, normalize, sep } from "node:path";
import { fileURLToPath } from "node:url";

const PAGE = fileURLToPath(new URL("dist/", import.meta.url));

/** What the page is served with: shared memory for threads, and a policy under which nothing else comes from anywhere. */
export const HEADERS = {
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-embedder-policy": "require-corp",
  "cross-origin-resource-policy": "same-origin",
  "content-security-policy":
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; font-src 'self'; img-src 'self'; " +
    "connect-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  "x-content-type-options": "nosniff",
  "cache-control": "no-cache",
};

const TYPES = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".wasm": "application/wasm",
  ".woff2": "font/woff2",
  ".svg": "image/svg+xml",
  ".gz": "application/gzip",
};

/**
 * Serves the built page to this machine.
 *
 * @param {number} port 0 for any that is free
 * @returns {Promise<import("node:http").Server>}
 */
export async function serveDemo(port) {
  const server = createServer(async (request, response) => {
    const { pathname } = new URL(request.url ?? "/", "http://localhost");
    const path = normalize(join(PAGE, decodeURIComponent(pathname.endsWith("/") ? `${pathname}index.html` : pathname)));
    const inside = path.startsWith(PAGE.endsWith(sep) ? PAGE : PAGE + sep);
    const bytes = inside ? await readFile(path).catch(() => undefined) : undefined;
    if (bytes === undefined) response.writeHead(404, HEADERS).end();
    else response.writeHead(200, { ...HEADERS, "content-type": TYPES[extname(path)] ?? "text/plain" }).end(bytes);
  });
  await new Promise((resolve, reject) =>
    server.once("error", reject).listen(port, "127.0.0.1", () => resolve(undefined)),
  );
  return server;
}
