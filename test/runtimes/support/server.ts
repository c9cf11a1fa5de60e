import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { extname, join, normalize } from "node:path";
import { ROOT } from "./processes.js";

/** What a page with shared memory under a strict policy is served with. */
const HEADERS = {
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-embedder-policy": "require-corp",
  "cross-origin-resource-policy": "same-origin",
  "content-security-policy": "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'",
  "cache-control": "no-store",
};

const TYPES: Record<string, string> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".mjs": "text/javascript; charset=utf-8",
  ".wasm": "application/wasm",
};

/** Only these folders of the project are served. */
const SERVED = /^(dist|wasm|test[\\/]runtimes)[\\/]/;

export interface Server extends AsyncDisposable {
  /** Without a slash at its end. */
  origin: string;
}

/** Without the headers that shared memory needs. */
const NOT_ISOLATED = {
  "cross-origin-opener-policy": "unsafe-none",
  "cross-origin-embedder-policy": "unsafe-none",
};

export interface ServeOptions {
  root?: string;
  /** Paths in it that are served; by default the built package and the pages of these tests. */
  served?: RegExp;
  /** Headers instead of the usual ones, or more. */
  headers?: Record<string, string>;
  isolated?: boolean;
}

/** Serves files of a folder, by default of this project. */
export async function serve(options: ServeOptions = {}): Promise<Server> {
  const { root = ROOT, served = SERVED, isolated = true } = options;
  const headers = { ...HEADERS, ...(isolated ? {} : NOT_ISOLATED), ...options.headers };
  const server = createServer(async (request, response) => {
    const path = normalize(decodeURIComponent(new URL(request.url ?? "/", "http://localhost").pathname)).slice(1);
    const type = TYPES[extname(path)];
    const bytes = type && served.test(path) ? await readFile(join(root, path)).catch(() => undefined) : undefined;
    if (bytes === undefined) {
      response.writeHead(404, headers).end();
    } else {
      response.writeHead(200, { ...headers, "content-type": type }).end(bytes);
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    origin: `http://127.0.0.1:${port}`,
    async [Symbol.asyncDispose]() {
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeAllConnections();
      await closed;
    },
  };
}
