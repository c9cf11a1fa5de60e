#!/usr/bin/env node
/*
 * Two processes against two threads of one process, over one socket: why `ifm-wasm serve` starts processes.
 *
 *   npm run build && npm ci --prefix bench/serve
 *   node bench/serve/processes.js [--seconds 10]
 *
 * Threads of Node share a socket only by its file descriptor: each takes what connections it can get.
 */
import cluster from "node:cluster";
import { createServer } from "node:http";
import { createServer as createSocketServer } from "node:net";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";
import { Model } from "../../dist/node.js";
import { createHandler } from "../../dist/serve.js";
import { load, machine } from "../machine.js";
import { makeModel, megabytes, rankBodies } from "./service.js";

const SELF = fileURLToPath(import.meta.url);
const CONNECTIONS = 8;

/** Serves the model; the same in a process and in a thread. */
async function serve(modelFile, place, ready) {
  const handler = createHandler(await Model.load(modelFile));
  const server = createServer(async (incoming, outgoing) => {
    const chunks = [];
    for await (const chunk of incoming) chunks.push(chunk);
    const { method, headers } = incoming;
    const init = { method, headers, body: Buffer.concat(chunks) };
    const response = await handler(new Request(`http://localhost${incoming.url}`, init));
    outgoing.writeHead(response.status, { "content-type": "application/json" });
    outgoing.end(Buffer.from(await response.arrayBuffer()));
  });
  server.listen(place, ready);
}

async function compare(seconds) {
  const { default: autocannon } = await import("autocannon");
  const { file, remove } = await makeModel("fm");
  const headers = { "content-type": "application/json" };
  const requests = rankBodies(50, 1000, 10).map((body) => ({ method: "POST", path: "/v1/rank", headers, body }));
  const report = async (name, port, bytes) => {
    const { requests: done, latency } = await autocannon({
      url: `http://127.0.0.1:${port}`,
      connections: CONNECTIONS,
      duration: seconds,
      requests,
    });
    const numbers = [
      done.average.toFixed(0).padStart(10),
      String(latency.p50).padStart(7),
      String(latency.p99).padStart(7),
    ];
    console.log(`${name}  ${numbers.join(" ")} ${megabytes(await bytes()).padStart(9)}`);
  };

  cluster.setupPrimary({ exec: SELF, args: [file] });
  const processes = [cluster.fork(), cluster.fork()];
  const ports = await Promise.all(
    processes.map((one) => new Promise((resolve) => one.on("listening", ({ port }) => resolve(port)))),
  );
  const memoryOf = (one) =>
    new Promise((resolve) => {
      one.on("message", resolve);
      one.send("memory");
    });
  await report("2 processes", ports[0], async () =>
    (await Promise.all(processes.map(memoryOf))).reduce((a, b) => a + b),
  );
  for (const one of processes) one.process.kill();

  const before = process.memoryUsage.rss();
  const socket = createSocketServer();
  await new Promise((resolve) => socket.listen(0, "127.0.0.1", resolve));
  const data = { file, fd: socket._handle.fd };
  const threads = [0, 1].map(() => new Worker(SELF, { workerData: data }));
  await Promise.all(threads.map((one) => new Promise((resolve) => one.once("message", resolve))));
  // The thread that opened the socket gets connections, too, and has no use for them.
  socket.on("connection", (connection) => connection.destroy());
  await report("2 threads  ", socket.address().port, async () => process.memoryUsage.rss() - before);
  remove();
}

if (cluster.isWorker) {
  process.on("message", () => process.send(process.memoryUsage.rss()));
  await serve(process.argv[2], { port: 0, host: "127.0.0.1" });
} else if (!isMainThread) {
  await serve(workerData.file, { fd: workerData.fd }, () => parentPort.postMessage("ready"));
} else {
  const { values } = parseArgs({ options: { seconds: { type: "string", default: "10" } } });
  const { cpu, cores, node, commit } = machine();
  console.log(`${cpu}, ${cores} cores, Node ${node}, commit ${commit}, load ${load()} before`);
  console.log("             requests/s  p50 ms  p99 ms    memory");
  await compare(Number(values.seconds));
  console.log(`load ${load()} after`);
  process.exit();
}
