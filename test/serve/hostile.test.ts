import { connect, type Socket } from "node:net";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Exchange, HttpServer } from "../../src/cli/serve/http.js";
import type { Model } from "../../src/model/model.js";
import type { Handler } from "../../src/serve.js";
import { ROW, served, smallModel } from "./support.js";

/** For what happens soon, but on a busy machine. */
const PATIENT = { timeout: 20_000 };

// Clients that mean no good, over real sockets, while others are served.

const LIMITS = { maxBodyBytes: 65_536, timeoutMilliseconds: 1000 };
const TOKEN = "secret";

let model: Model;
let url: URL;
let server: HttpServer;
const errors: unknown[] = [];
const exchanges: Exchange[] = [];

beforeAll(async () => {
  model = await smallModel();
  const { handler } = served(model, { limits: LIMITS, token: TOKEN, onError: (error) => errors.push(error) });
  server = new HttpServer(handler, {
    timeoutMilliseconds: LIMITS.timeoutMilliseconds,
    maxConnections: 500,
    onExchange: (exchange) => exchanges.push(exchange),
    onError: (error) => errors.push(error),
  });
  url = new URL(await server.listen("127.0.0.1", 0));
});

afterAll(async () => {
  await server.close(100);
  model.dispose();
});

const GOOD = JSON.stringify({ rows: [{ features: ROW }] });

function head(method: string, path: string, headers: Record<string, string | number> = {}): string {
  const all = { host: "localhost", authorization: `Bearer ${TOKEN}`, connection: "close", ...headers };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
  return `${method} ${path} HTTP/1.1\r\n${lines.join("")}\r\n`;
}

const json = (length: number) => ({ "content-type": "application/json", "content-length": length });

function open(): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: url.hostname, port: Number(url.port), allowHalfOpen: true }, () => resolve(socket));
    socket.on("error", reject);
  });
}

/** All that comes back until the server closes the connection, or nothing has come for a while. */
function received(socket: Socket, idle = 20_000): Promise<string> {
  return new Promise((resolve) => {
    let text = "";
    const end = () => {
      clearTimeout(timer);
      socket.destroy();
      resolve(text);
    };
    let timer = setTimeout(end, idle);
    socket.on("data", (chunk) => {
      text += chunk.toString("latin1");
      clearTimeout(timer);
      timer = setTimeout(end, idle);
    });
    socket.on("end", end);
    socket.on("close", end);
    socket.on("error", end);
  });
}

/** What the server says to these bytes until it closes the connection. */
async function said(bytes: string | Uint8Array): Promise<string> {
  const socket = await open();
  const text = received(socket);
  socket.write(bytes);
  return text;
}

const statusesOf = (text: string) => Array.from(text.matchAll(/HTTP\/1\.1 (\d+) /g), ([, status]) => Number(status));

/** A request that means well. */
async function good(): Promise<number> {
  const response = await fetch(new URL("/v1/predict", url), {
    method: "POST",
    body: GOOD,
    headers: { "content-type": "application/json", authorization: `Bearer ${TOKEN}` },
  });
  const { scores } = (await response.json()) as { scores: number[] };
  expect(scores).toHaveLength(1);
  return response.status;
}

/** Sends good requests until `work` is done; all of them must be answered. */
async function meanwhile<T>(work: Promise<T>): Promise<T> {
  let done = false;
  const finished = work.finally(() => {
    done = true;
  });
  let answered = 0;
  do {
    expect(await good()).toBe(200);
    answered++;
    await new Promise((resolve) => setTimeout(resolve, 5));
  } while (!done);
  expect(answered).toBeGreaterThan(0);
  return finished;
}

describe("a hostile client", () => {
  it("sends bodies without end", async () => {
    const endless = async () => {
      const socket = await open();
      const text = received(socket);
      const { "content-length": _, ...type } = json(0);
      socket.write(head("POST", "/v1/predict", { ...type, "transfer-encoding": "chunked" }));
      const chunk = `4000\r\n${" ".repeat(0x4000)}\r\n`;
      let sent = 0;
      while (!socket.destroyed && sent < 1e9) {
        sent += chunk.length;
        if (!socket.write(chunk)) {
          await new Promise((resolve) => socket.once("drain", resolve).once("close", resolve));
        }
      }
      return { sent, text: await text };
    };
    const all = await meanwhile(Promise.all([endless(), endless(), endless()]));
    for (const { sent, text } of all) {
      expect(statusesOf(text)).toEqual([413]);
      // What lies in buffers of the system counts as sent.
      expect(sent).toBeLessThan(2e7);
    }
  });

  it("announces huge bodies", async () => {
    const texts = await meanwhile(
      Promise.all([
        said(head("POST", "/v1/predict", json(1e12))),
        said(head("POST", "/v1/predict", json(65_537)) + " ".repeat(1000)),
      ]),
    );
    for (const text of texts) expect(statusesOf(text)).toEqual([413]);
    // A length that is none is refused by Node.
    expect(statusesOf(await said(`${head("POST", "/v1/predict", { "content-length": "1e3" })}x`))).toEqual([400]);
  });

  it("sends bodies slowly, over many connections", async () => {
    const slow = async () => {
      const socket = await open();
      const text = received(socket);
      socket.write(head("POST", "/v1/predict", json(1000)));
      const drip = setInterval(() => socket.write(" "), 300);
      const found = await text;
      clearInterval(drip);
      return found;
    };
    const texts = await meanwhile(Promise.all(Array.from({ length: 200 }, slow)));
    for (const text of texts) expect(statusesOf(text)).toEqual([408]);
  }, 60_000);

  it("sends headers slowly, or too many", async () => {
    const slow = async () => {
      const socket = await open();
      socket.write("POST /v1/predict HTTP/1.1\r\nhost: localhost\r\n");
      return socket;
    };
    const sockets = await meanwhile(Promise.all(Array.from({ length: 100 }, slow)));
    for (const socket of sockets) socket.destroy();
    const flood = "x-a: 1\r\n".repeat(10_000);
    const floods = [
      `GET /healthz HTTP/1.1\r\nhost: localhost\r\n${flood}\r\n`,
      `GET /healthz HTTP/1.1\r\nhost: localhost\r\nx-a: ${"x".repeat(100_000)}\r\n\r\n`,
      `GET /${"x".repeat(100_000)} HTTP/1.1\r\nhost: localhost\r\n\r\n`,
    ];
    // Node closes the connection at once: what it says may be lost.
    for (const bytes of floods) expect([[431], []]).toContainEqual(statusesOf(await said(bytes)));
    expect(await good()).toBe(200);
  });

  it("sends what is no HTTP", async () => {
    const noise = Uint8Array.from({ length: 1000 }, (_, i) => (i * 37) % 256);
    const texts = await meanwhile(
      Promise.all([
        said(noise),
        said("\r\n\r\n\r\nHELLO\r\n\r\n"),
        said("GET / HTTP/9.9\r\n\r\n"),
        said("GET /healthz HTTP/1.1\r\n\r\n"),
        said(head("POST", "/v1/predict", { ...json(5), "transfer-encoding": "chunked" })),
        said(
          `${head("POST", "/v1/predict", { "content-type": "application/json", "transfer-encoding": "chunked" })}zz\r\n`,
        ),
        said("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
      ]),
    );
    for (const text of texts) {
      const statuses = statusesOf(text);
      expect(statuses.length).toBeLessThanOrEqual(1);
      for (const status of statuses) expect(status === 400 || status === 408, text).toBe(true);
    }
  });

  it.each([
    ["/../../etc/passwd", 404],
    ["/v1/../../../etc/passwd", 404],
    ["/%2e%2e/%2e%2e/etc/passwd", 404],
    ["//v1/rank", 404],
    ["//evil.example/v1/model", 404],
    ["/v1%2fmodel", 404],
    ["/v1%5cmodel", 404],
    ["/v1/model%00", 404],
    ["/v1/model/", 404],
    ["/v1/model;a=b", 404],
    ["/\\evil.example/", 404],
    ["/%", 404],
    ["/v1/model?../../x", 200],
    ["/x/../v1/model", 200],
    ["http://evil.example/v1/model", 200],
    ["http://evil.example/etc/passwd", 404],
    ["http://user:password@evil.example/v1/model", 405],
    ["http://[/v1/model", 405],
    ["*", 404],
  ])("asks for %s", async (path, status) => {
    expect(statusesOf(await said(head("GET", path)))).toEqual([status]);
  });

  it("uses methods of its own", async () => {
    for (const method of ["TRACE", "PROPFIND", "M-SEARCH", "PURGE"]) {
      const text = await said(head(method, "/v1/model"));
      expect(statusesOf(text), method).toEqual([405]);
      expect(text).toMatch(/^allow: GET/im);
    }
    expect(statusesOf(await said(head("CONNECT", "evil.example:80")))).toEqual([]);
    const upgrade = { connection: "upgrade, close", upgrade: "websocket", "sec-websocket-key": "x" };
    expect(statusesOf(await said(head("GET", "/healthz", upgrade)))).toEqual([200]);
    expect(statusesOf(await said(head("GET", "/healthz", { expect: "the impossible" })))).toEqual([417]);
  });

  it("has no token, or guesses", async () => {
    for (const authorization of ["", "Bearer guess", `Bearer ${TOKEN}x`, "Basic c2VjcmV0"]) {
      const text = await said(head("POST", "/v1/predict", { ...json(GOOD.length), authorization }) + GOOD);
      expect(statusesOf(text)).toEqual([401]);
      expect(text).not.toContain("scores");
    }
  });

  it("sends many requests at once over a connection, and gets an answer to each in order", async () => {
    const stay = { connection: "keep-alive" };
    const one = head("POST", "/v1/predict", { ...json(GOOD.length), ...stay }) + GOOD;
    const other = `${head("POST", "/v1/predict", { ...json(2), ...stay })}{}`;
    const text = await meanwhile(said((one + other).repeat(50) + head("GET", "/v1/model")));
    expect(statusesOf(text)).toEqual([...Array.from({ length: 100 }, (_, i) => (i % 2 === 0 ? 200 : 422)), 200]);
  });

  it("closes its half of the connection, and still gets its answer", async () => {
    const socket = await open();
    const text = received(socket);
    socket.end(head("POST", "/v1/predict", json(GOOD.length)) + GOOD);
    expect(statusesOf(await text)).toEqual([200]);
  });

  it("goes away in the middle", async () => {
    const leave = async (bytes: string) => {
      const socket = await open();
      socket.write(bytes);
      await new Promise((resolve) => setTimeout(resolve, 20));
      socket.resetAndDestroy();
    };
    const start = head("POST", "/v1/predict", json(1000));
    await meanwhile(
      Promise.all(Array.from({ length: 50 }, (_, i) => leave(start.slice(0, i * 3) + (i % 2 ? GOOD : "")))),
    );
  });

  it("does not read its answers", async () => {
    const sockets = await Promise.all(
      Array.from({ length: 20 }, async () => {
        const socket = await open();
        socket.pause();
        socket.write(head("GET", "/openapi.json", { connection: "keep-alive" }).repeat(200));
        return socket;
      }),
    );
    await meanwhile(new Promise((resolve) => setTimeout(resolve, 300)));
    for (const socket of sockets) socket.destroy();
  });

  it("has brought nothing down, and found no bug", async () => {
    expect(await good()).toBe(200);
    expect(errors).toEqual([]);
    expect(exchanges.filter(({ status }) => status >= 500)).toEqual([]);
    // What is logged is one line: nothing in a path breaks it.
    for (const { path } of exchanges) expect(path).toMatch(/^[\x21-\x7e\x80-\xff]*$/);
  });
});

const inFlight = (handler: Handler) => handler.metrics().ifm_requests_in_flight!.series[""];

describe("the end of a server", () => {
  it("answers what has been asked, and takes nothing new", async () => {
    const { handler } = served(model);
    const own = new HttpServer(handler, {
      timeoutMilliseconds: 5000,
      maxConnections: 10,
      onExchange: () => undefined,
      onError: (error) => errors.push(error),
    });
    const place = new URL(await own.listen("127.0.0.1", 0));
    const socket = connect({ host: place.hostname, port: Number(place.port) });
    const text = received(socket);
    socket.write(head("POST", "/v1/predict", { ...json(GOOD.length), connection: "keep-alive" }) + GOOD.slice(0, 5));
    await expect.poll(() => inFlight(handler), PATIENT).toBe(1);
    const closed = own.close(5000);
    socket.write(GOOD.slice(5));
    const response = await text;
    expect(statusesOf(response)).toEqual([200]);
    expect(response).toMatch(/^connection: close$/im);
    await closed;
    await expect(fetch(place)).rejects.toThrow();
  });

  it("waits for the slow no longer than its grace", async () => {
    const { handler } = served(model);
    const own = new HttpServer(handler, {
      timeoutMilliseconds: 60_000,
      maxConnections: 10,
      onExchange: () => undefined,
      onError: (error) => errors.push(error),
    });
    const place = new URL(await own.listen("127.0.0.1", 0));
    const socket = connect({ host: place.hostname, port: Number(place.port) });
    socket.on("error", () => undefined);
    socket.write(head("POST", "/v1/predict", json(GOOD.length)));
    await expect.poll(() => inFlight(handler), PATIENT).toBe(1);
    await own.close(200);
    await expect.poll(() => socket.destroyed, PATIENT).toBe(true);
  });
});
