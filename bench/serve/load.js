#!/usr/bin/env node
/*
 * Requests that rank 1,000 candidates, over loopback: throughput, latency, memory.
 *
 *   npm run build && npm ci --prefix bench/serve
 *   node bench/serve/load.js                    10 s for each model
 *   node bench/serve/load.js --seconds 300      five minutes for each: the figures in docs/SERVING.md
 *   node bench/serve/load.js --models fm --workers 1 --connections 1 --rate 100
 *
 * Client and service share the machine: what one takes the other has not.
 */
import { parseArgs } from "node:util";
import autocannon from "autocannon";
import { load, machine } from "../machine.js";
import { makeModel, megabytes, rankBodies, SHAPES, startService, usage } from "./service.js";

const BODIES = 50;
const WARM_UP_SECONDS = 3;
const SAMPLE_MILLISECONDS = 1000;

const { values } = parseArgs({
  options: {
    models: { type: "string", default: Object.keys(SHAPES).join(",") },
    seconds: { type: "string", default: "10" },
    candidates: { type: "string", default: "1000" },
    "top-k": { type: "string", default: "10" },
    workers: { type: "string", default: "2" },
    connections: { type: "string", default: "4" },
    /** Requests a second; 0 is as many as can be had. */
    rate: { type: "string", default: "0" },
  },
});
const [seconds, candidates, topK, connections, rate] = [
  values.seconds,
  values.candidates,
  values["top-k"],
  values.connections,
  values.rate,
].map(Number);

const headers = { "content-type": "application/json" };
const requests = rankBodies(BODIES, candidates, topK).map((body) => ({
  method: "POST",
  path: "/v1/rank",
  headers,
  body,
}));

function press(url, duration) {
  return autocannon({ url, connections, duration, requests, ...(rate > 0 && { overallRate: rate }) });
}

const { cpu, cores, node, commit } = machine();
console.log(`${cpu}, ${cores} cores, Node ${node}, commit ${commit}, load ${load()} before`);
console.log(
  `${candidates} candidates, top ${topK}, ${values.workers} workers, ${connections} connections, ${seconds} s`,
);
console.log(
  "model   requests/s  p50 ms  p99 ms  p99.9 ms  max ms  failed  ms CPU/request  memory: begin    end   most",
);
for (const kind of values.models.split(",")) {
  const { file, remove } = await makeModel(kind);
  const service = await startService(file, values.workers);
  try {
    await press(service.url, WARM_UP_SECONDS);
    const begin = await usage(service.url);
    let most = begin.bytes;
    const sampling = setInterval(async () => {
      most = Math.max(
        most,
        await usage(service.url).then(
          ({ bytes }) => bytes,
          () => 0,
        ),
      );
    }, SAMPLE_MILLISECONDS);
    const { latency, requests: done, non2xx, errors, timeouts } = await press(service.url, seconds);
    clearInterval(sampling);
    const end = await usage(service.url);
    // What /metrics takes itself is little beside this.
    const cpu = (1000 * (end.cpuSeconds - begin.cpuSeconds)) / done.total;
    const numbers = [
      done.average.toFixed(0).padStart(10),
      ...[latency.p50, latency.p99, latency.p99_9, latency.max].map((ms, i) => ms.toFixed(0).padStart([7, 7, 9, 7][i])),
      String(non2xx + errors + timeouts).padStart(7),
      cpu.toFixed(2).padStart(14),
      ...[begin.bytes, end.bytes, Math.max(most, end.bytes)].map((bytes, i) =>
        megabytes(bytes).padStart([15, 7, 7][i]),
      ),
    ];
    console.log(`${kind.padEnd(6)}${numbers.join(" ")}`);
  } finally {
    await service.stop();
    remove();
  }
}
console.log(`load ${load()} after`);
