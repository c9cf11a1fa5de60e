#!/usr/bin/env node
/*
 * Memory of one serving process over many requests, good and bad ones, each different from all others.
 *
 *   npm run build
 *   node bench/serve/memory.js                   100,000 requests
 *   node bench/serve/memory.js --requests 5000
 *
 * Prints the memory ten times. It rises and falls with garbage collection, so the least of the last three is compared with
 * the least of the second to the fourth; exits with 1 when it is over 48 MB more.
 */
import { Agent, request } from "node:http";
import { parseArgs } from "node:util";
import { FEATURES, makeModel, megabytes, rankBodies, startService, usage } from "./service.js";

const { values } = parseArgs({ options: { requests: { type: "string", default: "100000" } } });
const total = Number(values.requests);
const MOST_GROWTH = 48e6;
/** Requests before it is looked at: the heap takes its size. */
const WARM_UP = 3000;
const AT_ONCE = 8;
const agent = new Agent({ keepAlive: true, maxSockets: AT_ONCE });

function send(url, path, body, type = "application/json") {
  return new Promise((resolve, reject) => {
    const options = {
      agent,
      method: "POST",
      headers: { "content-type": type, "content-length": Buffer.byteLength(body) },
    };
    const sent = request(`${url}${path}`, options, (response) => {
      response.resume();
      response.on("end", () => resolve(response.statusCode));
    });
    sent.on("error", reject);
    sent.end(body);
  });
}

const ranks = rankBodies(20, 1000, 10);
const row = (n) => ({
  features: Array.from({ length: 10 }, (_, slot) => (slot * 800 + n * (slot + 1)) % (FEATURES + 50)),
});

/** The n-th request, and the status of its answer. */
function kindOf(n) {
  const kinds = [
    ["/v1/predict", JSON.stringify({ rows: [row(n), row(n + 1)] }), 200],
    ["/v1/explain", JSON.stringify({ row: row(n) }), 200],
    ["/v1/predict", JSON.stringify({ rows: [], [`member${n}`]: n }), 422],
    ["/v1/predict", `{"rows":[${n}`, 400],
    [`/nowhere/${n}`, "{}", 404],
    ["/v1/rank", "{}", 415, `text/${n}`],
  ];
  // Every fourth one ranks: that is what a service does most.
  return n % 4 === 0 ? ["/v1/rank", ranks[(n / 4) % ranks.length], 200] : kinds[n % kinds.length];
}

const { file, remove } = await makeModel("ifm");
const service = await startService(file, 1);
const tenths = [];
try {
  let next = 0;
  const client = async (until) => {
    while (next < until) {
      const n = next++;
      const [path, body, expected, type] = kindOf(n);
      const status = await send(service.url, path, body, type);
      if (status !== expected) throw new Error(`request ${n}, ${path}: expected ${expected}, found ${status}`);
    }
  };
  const answered = (until) => Promise.all(Array.from({ length: AT_ONCE }, () => client(until)));
  await answered(WARM_UP);
  for (let tenth = 1; tenth <= 10; tenth++) {
    const until = WARM_UP + Math.round((total * tenth) / 10);
    await answered(until);
    tenths.push((await usage(service.url)).bytes);
    console.log(`${String(until).padStart(8)} requests  ${megabytes(tenths.at(-1)).padStart(7)}`);
  }
} finally {
  agent.destroy();
  await service.stop();
  remove();
}
const growth = Math.min(...tenths.slice(7)) - Math.min(...tenths.slice(1, 4));
console.log(`growth: ${growth < 0 ? "-" : "+"}${megabytes(Math.abs(growth))}`);
if (growth > MOST_GROWTH) process.exitCode = 1;
