import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { IfmError } from "../../errors.js";
import type { Handler } from "../../serve/handler.js";
import { Problem } from "../../serve/problem.js";

/** Milliseconds until a request's headers must be there, and the whole request. */
const HEADERS_MILLISECONDS = 10_000;
/** Milliseconds without a byte in either direction, after which a connection ends. */
const IDLE_MILLISECONDS = 30_000;
/** How often Node looks for connections that take too long. */
const CHECK_MILLISECONDS = 1000;
/** What of a refused body is still read, so that the client gets to see the response, before the connection ends. */
const LINGER_BYTES = 1_048_576;
const LINGER_MILLISECONDS = 2000;

/** What is logged of a request. */
export interface Exchange {
  client: string;
  method: string;
  path: string;
  status: number;
  milliseconds: number;
  /** Of the response's body. */
  bytes: number;
}

export interface HttpOptions {
  /** Milliseconds that the handler gives a body. */
  timeoutMilliseconds: number;
  maxConnections: number;
  onExchange: (exchange: Exchange) => void;
  /** Told of errors that nobody expects. */
  onError: (error: unknown) => void;
}

/** A server that answers as the handler does; it does not listen yet. */
export class HttpServer {
  readonly #server: Server;
  #draining = false;

  constructor(handler: Handler, { timeoutMilliseconds, maxConnections, onExchange, onError }: HttpOptions) {
    this.#server = createServer(
      {
        headersTimeout: HEADERS_MILLISECONDS,
        // The handler's own limit comes first: it answers with 408.
        requestTimeout: HEADERS_MILLISECONDS + timeoutMilliseconds + LINGER_MILLISECONDS,
        connectionsCheckingInterval: CHECK_MILLISECONDS,
        keepAliveTimeout: IDLE_MILLISECONDS,
      },
      (incoming, outgoing) => {
        const start = performance.now();
        this.#answer(handler, incoming, outgoing)
          .then(({ status, bytes }) =>
            onExchange({
              client: incoming.socket.remoteAddress ?? "",
              method: incoming.method ?? "",
              path: (incoming.url ?? "").split("?", 1)[0]!.slice(0, 200),
              status,
              milliseconds: performance.now() - start,
              bytes,
            }),
          )
          .catch((error: unknown) => {
            outgoing.destroy();
            onError(error);
          });
      },
    );
    this.#server.maxConnections = maxConnections;
    this.#server.setTimeout(IDLE_MILLISECONDS);
  }

  /**
   * Begins to listen.
   *
   * @returns the URL
   * @throws IfmError IFM_USAGE when that is not possible
   */
  listen(host: string, port: number): Promise<string> {
    return new Promise((resolve, reject) => {
      this.#server.once("error", (error) => reject(cannotListen(host, port, error)));
      this.#server.listen(port, host, () => {
        const { address, family, port: actual } = this.#server.address() as AddressInfo;
        resolve(`http://${family === "IPv6" ? `[${address}]` : address}:${actual}`);
      });
    });
  }

  /**
   * Takes no new connections and resolves when those that are there have got their responses, or time is up. Node ends
   * the idle ones; the others end with a response that says so.
   */
  async close(graceMilliseconds: number): Promise<void> {
    this.#draining = true;
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    const late = setTimeout(() => this.#server.closeAllConnections(), graceMilliseconds);
    await closed;
    clearTimeout(late);
  }

  async #answer(
    handler: Handler,
    incoming: IncomingMessage,
    outgoing: ServerResponse,
  ): Promise<{ status: number; bytes: number }> {
    const gone = new AbortController();
    outgoing.on("close", () => {
      if (!outgoing.writableFinished) gone.abort();
    });
    const request = requestOf(incoming, gone.signal);
    const response = request instanceof Problem ? request.toResponse() : await handler(request);
    const body = Buffer.from(await response.arrayBuffer());
    outgoing.statusCode = response.status;
    response.headers.forEach((value, name) => {
      outgoing.setHeader(name, value);
    });
    if (this.#draining) outgoing.setHeader("connection", "close");
    if (!incoming.complete) linger(incoming);
    outgoing.end(body);
    return { status: response.status, bytes: body.length };
  }
}

/** A port that is free now. */
export function freePort(host: string): Promise<number> {
  const server = createServer();
  return new Promise((resolve, reject) => {
    server.once("error", (error) => reject(cannotListen(host, 0, error)));
    server.listen(0, host, () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve(port));
    });
  });
}

function cannotListen(host: string, port: number, cause: NodeJS.ErrnoException): IfmError {
  return new IfmError("IFM_USAGE", `cannot listen on port ${port} of ${host}: ${cause.code ?? cause.message}`, {
    cause,
    hint: "choose another one with --port, or 0 for any that is free",
  });
}

/** The request as a handler takes it, or why it is none. */
function requestOf(incoming: IncomingMessage, signal: AbortSignal): Request | Problem {
  const { method = "GET", rawHeaders } = incoming;
  const hasBody = method !== "GET" && method !== "HEAD";
  try {
    const headers = new Headers();
    for (let i = 0; i + 1 < rawHeaders.length; i += 2) headers.append(rawHeaders[i]!, rawHeaders[i + 1]!);
    return new Request(urlOf(incoming.url ?? "/"), {
      method,
      headers,
      signal,
      ...(hasBody && { body: bodyOf(incoming), duplex: "half" }),
    });
  } catch {
    // A URL that is none, or a method that a Request does not know, such as TRACE.
    return new Problem("IFM_METHOD", "no request that this server understands", {
      headers: { allow: "GET, HEAD, OPTIONS, POST" },
    });
  }
}

/** Of the target of a request: a path, which may begin with two slashes, or a whole URL, as proxies get it. */
function urlOf(target: string): string {
  if (target.startsWith("/")) return `http://localhost${target}`;
  return target === "*" ? "http://localhost/*" : target;
}

/** The body, read no faster than the handler takes it. */
function bodyOf(incoming: IncomingMessage): ReadableStream<Uint8Array> {
  let ended = false;
  return new ReadableStream<Uint8Array>(
    {
      start(controller) {
        const end = (how: () => void) => {
          if (!ended) how();
          ended = true;
        };
        incoming.on("data", (chunk: Buffer) => {
          if (ended) return;
          controller.enqueue(chunk);
          if ((controller.desiredSize ?? 0) <= 0) incoming.pause();
        });
        incoming.on("end", () => end(() => controller.close()));
        incoming.on("error", (error) => end(() => controller.error(error)));
        incoming.on("close", () => end(() => controller.error(new Error("the connection ended"))));
      },
      pull() {
        incoming.resume();
      },
      cancel() {
        ended = true;
      },
    },
    new ByteLengthQueuingStrategy({ highWaterMark: 65_536 }),
  );
}

/**
 * Reads a little of what is still sent. A connection that is closed before is reset, and the client may never see the
 * response.
 */
function linger(incoming: IncomingMessage): void {
  let bytes = 0;
  const end = () => incoming.destroy();
  const timer = setTimeout(end, LINGER_MILLISECONDS);
  incoming.on("data", (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes > LINGER_BYTES) end();
  });
  incoming.on("close", () => clearTimeout(timer));
  incoming.on("end", () => clearTimeout(timer));
  incoming.resume();
}
