// Writes the files of this folder: what somebody would send who wants a reader to crash, hang, take gigabytes or run code.
// The fuzzer begins with them, and test/fuzz/fuzz.test.ts gives each to its reader.
//
//   node test/attacks/make.js

import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

const text = (value) => new TextEncoder().encode(value);

function concat(...parts) {
  const bytes = parts.map((part) => (typeof part === "string" ? text(part) : part));
  const out = new Uint8Array(bytes.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of bytes) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

/** A safetensors file; the length of the header may lie. */
function safetensors(header, data = new Uint8Array(0), length = BigInt(text(header).length)) {
  const size = new Uint8Array(8);
  new DataView(size.buffer).setBigUint64(0, length, true);
  return concat(size, header, data);
}

const tensor = (name, shape, begin, end, dtype = "F32") =>
  `"${name}":{"dtype":"${dtype}","shape":[${shape}],"data_offsets":[${begin},${end}]}`;

/** A model whose config says one thing and whose tensors are these. */
function model(config, tensors = [], data) {
  const metadata = `"__metadata__":{"format":"ifm-wasm","format_version":"1","config":${JSON.stringify(JSON.stringify(config))}}`;
  return safetensors(`{${[metadata, ...tensors].join(",")}}`, data);
}

/** FM of one feature and one factor. */
const FM = { model: "fm", features: 1, fields: 0, factors: 1, loss: "squared", fieldOfSlot: [] };
const FM_TENSORS = [
  tensor("bias", [1], 0, 4),
  tensor("feature_bias", [1], 4, 8),
  tensor("feature_embeddings", [1, 1], 8, 12),
];
const floats = (...values) => new Uint8Array(Float32Array.from(values).buffer);

/** All tensors of an IFM as zeros, in the order of its layout. */
function ifm({ features, factors: K, attentionFactors: A, fieldFactors: KF, fields: F, fieldOfSlot }) {
  const shapes = [
    ["bias", [1]],
    ["attention_W", [K, A]],
    ["attention_b", [A]],
    ["attention_p", [A]],
    ["interaction", [F, KF]],
    ["factor", [KF, K]],
    ["feature_bias", [features]],
    ["feature_embeddings", [features, K]],
  ];
  let at = 0;
  const tensors = shapes.map(([name, shape]) => {
    const begin = at;
    at += 4 * shape.reduce((product, size) => product * size, 1);
    return tensor(name, shape, begin, at);
  });
  const config = { model: "ifm", features, factors: K, attentionFactors: A, fieldFactors: KF, fields: F, fieldOfSlot };
  return model(config, tensors, new Uint8Array(at));
}

/** A checkpoint whose prefix may lie; the fuzzer also reads it with sizes and checksums made right. */
function checkpoint(header, data = new Uint8Array(0), { version = 1, headerBytes, bytes } = {}) {
  const json = typeof header === "string" ? header : JSON.stringify(header);
  const length = Math.ceil(text(json).length / 16) * 16;
  const prefix = new Uint8Array(32);
  prefix.set(text("ifm-ckpt"));
  const view = new DataView(prefix.buffer);
  view.setUint32(8, version, true);
  view.setUint32(12, headerBytes ?? length, true);
  view.setBigUint64(16, bytes ?? BigInt(48 + length + data.length), true);
  return concat(prefix, json.padEnd(length - text(json).length + json.length), data, new Uint8Array(16));
}

/** What the header of a checkpoint says at the beginning of a training. */
const PLACE = { epochs: 0, row: 0, steps: 0, beta1: 1, beta2: 1, loss: 0, inOrder: 0, seconds: 0 };
const HEADER = {
  run: "0123456789abcdef",
  identity: { version: "0.1.0", options: {}, data: {}, initial: "" },
  position: PLACE,
  retries: 0,
  stopping: { best: "Infinity", bestEpoch: 0 },
  kept: { steps: 0, retries: 0 },
  arrays: [],
};

/** A request: which model and route (test/fuzz/targets/requests.js), then its body. */
const body = (choice, json) => concat(Uint8Array.of(choice), typeof json === "string" ? json : JSON.stringify(json));
const [PREDICT, RANK, EXPLAIN, INVOCATIONS] = [0x00, 0x10, 0x20, 0x30];
const IFM = 1;

const ATTACKS = {
  model: {
    "empty-file": new Uint8Array(0),
    "header-of-2-to-the-63": safetensors("{}", undefined, 2n ** 63n),
    "header-longer-than-the-file": safetensors("{}", undefined, 4096n),
    "nested-100000-deep": safetensors("[".repeat(100_000)),
    "config-nested-20000-deep": safetensors(
      `{"__metadata__":{"format":"ifm-wasm","format_version":"1","config":"${'{\\"a\\":'.repeat(20_000)}"}}`,
    ),
    "tensor-outside-the-file": safetensors(`{${tensor("bias", [1_000_000], 0, 4_000_000)}}`, floats(1)),
    "tensors-overlap": model(FM, [FM_TENSORS[0], tensor("feature_bias", [1], 0, 4), FM_TENSORS[2]], floats(1, 2, 3)),
    "hole-between-tensors": model(FM, [FM_TENSORS[0], tensor("feature_bias", [1], 8, 12)], floats(1, 2, 3)),
    "same-tensor-twice": safetensors(`{${FM_TENSORS[0]},${FM_TENSORS[0]}}`, floats(1)),
    "shape-product-overflows": safetensors(`{${tensor("bias", [4294967296, 4294967296], 0, 4)}}`, floats(1)),
    "shape-is-a-fraction": safetensors('{"bias":{"dtype":"F32","shape":[0.5],"data_offsets":[0,2]}}', floats(1)),
    "shape-is-negative": safetensors('{"bias":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}', floats(1)),
    "weights-are-not-numbers": model(FM, FM_TENSORS, floats(Number.NaN, 1, Number.POSITIVE_INFINITY)),
    "prototype-as-a-tensor": safetensors(`{${tensor("__proto__", [1], 0, 4)}}`, floats(1)),
    "prototype-in-the-config": safetensors(
      `{"__metadata__":{"format":"ifm-wasm","format_version":"1","config":"{\\"__proto__\\":{\\"polluted\\":1},\\"model\\":\\"fm\\",\\"features\\":1,\\"factors\\":1}"},${FM_TENSORS}}`,
      floats(1, 2, 3),
    ),
    "config-wants-gigabytes": model({ ...FM, features: 2_147_483_647, factors: 65_536 }, FM_TENSORS, floats(1, 2, 3)),
    "network-wants-gigabytes": model(
      { ...FM, model: "deepifm", fields: 2, fieldOfSlot: [0, 1], hidden: [65_536, 65_536, 65_536] },
      FM_TENSORS,
      floats(1, 2, 3),
    ),
    // 15 kB that ask for 523,776 pairs of slots, each with a vector: 2 GB that no weight of the file accounts for.
    "pairs-want-gigabytes": ifm({
      features: 1,
      factors: 1024,
      attentionFactors: 1,
      fieldFactors: 1,
      fields: 1,
      fieldOfSlot: new Array(1024).fill(0),
    }),
    "path-as-a-tensor": safetensors(`{${tensor("../../etc/passwd", [1], 0, 4)}}`, floats(1)),
    pickle: text(
      "\x80\x04\x95\x1d\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x94\x8c\x06system\x94\x93\x94\x8c\x02id\x94\x85\x94R\x94.",
    ),
    "web-page": text("<!doctype html><html><body>not found</body></html>"),
  },
  libfm: {
    "line-without-end": concat("\0", "1", " 0:1".repeat(1000)),
    "largest-id": text("\x001 2147483647:1\n"),
    "id-beyond-32-bits": text("\x001 4294967296:1\n"),
    "id-of-1000-digits": text(`\x001 ${"9".repeat(1000)}:1\n`),
    "value-of-1000-digits": text(`\x001 0:${"1".repeat(200)}.${"7".repeat(200)}e-${"9".repeat(50)}\n`),
    "value-overflows": text("\x001 0:1e39\n"),
    "label-is-not-a-number": text("\x00nan 0:1\n-inf 1:1\n"),
    "zeros-and-control-characters": text("\x001 0:1\0\x01\x02\x1b[2J\n"),
    "two-byte-text": text("\x00\xff\xfe1\x00 \x000\x00:\x001\x00"),
    "terminal-escapes": text("\x00\x1b]0;owned\x07 0:1\n"),
    "only-comments": text("\x00# a\n#b\n\n\n"),
    "thousands-of-broken-lines": text(`\x80${"broken\n".repeat(400)}`),
    executable: text("\x00\x7fELF\x02\x01\x01"),
    archive: text("\x00PK\x03\x04\x14\x00"),
  },
  gzip: {
    "empty-members": concat(...new Array(100).fill(gzipSync(""))),
    "ends-in-the-middle": gzipSync("1 0:1\n".repeat(100)).subarray(0, 25),
    "wrong-checksum": (() => {
      const bytes = new Uint8Array(gzipSync("1 0:1\n"));
      bytes[bytes.length - 8] ^= 1;
      return bytes;
    })(),
    "lies-about-its-length": (() => {
      const bytes = new Uint8Array(gzipSync("1 0:1\n"));
      bytes[bytes.length - 1] = 0x7f;
      return bytes;
    })(),
    "headers-everywhere": new Uint8Array(3000).map((_, i) => [0x1f, 0x8b, 8][i % 3]),
    "a-million-zeros": gzipSync(new Uint8Array(1_000_000)),
    "zipped-twice": gzipSync(gzipSync("1 0:1\n")),
  },
  cache: {
    "sizes-overflow": (() => {
      const bytes = new Uint8Array(192);
      bytes.set(text("ifmcache"));
      const view = new DataView(bytes.buffer);
      view.setUint32(8, 1, true);
      for (const at of [72, 80, 88]) view.setBigUint64(at, 2n ** 62n, true);
      return bytes;
    })(),
    "only-a-name": text("ifmcache"),
  },
  options: {
    "prototype-as-an-option": text(
      '--__proto__=1\0__proto__\0{"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}}}',
    ),
    "number-of-1000-digits": text(`--lr\0${"9".repeat(1000)}`),
    "list-of-thousands": text(`--hidden_factor\0[${"8,".repeat(200)}8]`),
    "code-in-brackets": text("--hidden_factor\0[__import__('os').system('id')]"),
    "nested-json": text(`${'{"l2":'.repeat(60)}1${"}".repeat(60)}`),
  },
  checkpoint: {
    "empty-file": new Uint8Array(0),
    "only-a-name": text("ifm-ckpt"),
    "header-of-4-gigabytes": checkpoint(HEADER, undefined, { headerBytes: 0xfffffff0 }),
    "file-of-2-to-the-63": checkpoint(HEADER, undefined, { bytes: 2n ** 63n }),
    "version-of-tomorrow": checkpoint(HEADER, undefined, { version: 0xffffffff }),
    "nested-20000-deep": checkpoint("[".repeat(20_000)),
    "options-nested-5000-deep": checkpoint(
      JSON.stringify(HEADER).replace('"options":{}', `"options":${'{"lr":'.repeat(5000)}1${"}".repeat(5000)}`),
    ),
    "array-of-gigabytes": checkpoint({ ...HEADER, arrays: [{ name: "weights", type: "f32", length: 1e9 }] }),
    "lengths-overflow": checkpoint({
      ...HEADER,
      arrays: ["weights", "best"].map((name) => ({ name, type: "f64", length: Number.MAX_SAFE_INTEGER })),
    }),
    "thousands-of-arrays": checkpoint({
      ...HEADER,
      arrays: Array.from({ length: 2000 }, (_, i) => ({ name: `good.${i}`, type: "f32", length: 0 })),
    }),
    "weights-twice": checkpoint(
      { ...HEADER, arrays: [1, 2].map(() => ({ name: "weights", type: "f32", length: 4 })) },
      floats(1, 2, 3, 4, 5, 6, 7, 8),
    ),
    "weights-are-not-numbers": checkpoint(
      { ...HEADER, arrays: [{ name: "weights", type: "f32", length: 4 }] },
      floats(Number.NaN, Number.POSITIVE_INFINITY, -0, 1e-45),
    ),
    "prototype-as-an-array": checkpoint({ ...HEADER, arrays: [{ name: "__proto__", type: "f32", length: 0 }] }),
    "prototype-in-the-options": checkpoint(
      JSON.stringify(HEADER).replace('"options":{}', '"options":{"__proto__":{"polluted":1}}'),
    ),
    "path-as-an-array": checkpoint({ ...HEADER, arrays: [{ name: "../../etc/passwd", type: "f32", length: 0 }] }),
    "epochs-beyond-all": checkpoint({ ...HEADER, position: { ...PLACE, epochs: Number.MAX_SAFE_INTEGER } }),
    "row-is-a-fraction": checkpoint({ ...HEADER, position: { ...PLACE, row: 0.5 } }),
    "halved-a-billion-times": checkpoint({ ...HEADER, retries: 1e9 }),
    "terminal-escapes": checkpoint({
      ...HEADER,
      identity: { ...HEADER.identity, version: "\x1b]0;owned\x07", options: { "\x1b[2J": "\x1b[2J" } },
    }),
    "web-page": text("<!doctype html><html><body>not found, and long enough to be one</body></html>"),
  },
  requests: {
    empty: body(PREDICT, ""),
    null: body(PREDICT, "null"),
    "two-documents": body(PREDICT, '{"rows":[]}{"rows":[]}'),
    "byte-order-mark": body(PREDICT, '\uFEFF{"rows":[]}'),
    "half-a-letter": concat(body(PREDICT, '{"rows":[{"features":[0],"'), Uint8Array.of(0xe2, 0x82)),
    "lone-surrogate": body(PREDICT, '{"rows":[],"\\ud800":1}'),
    "nested-4000-deep": body(PREDICT, `{"rows":${"[".repeat(4000)}`),
    "prototype-as-a-member": body(PREDICT, '{"rows":[{"features":[0],"__proto__":{"polluted":1}}]}'),
    "prototype-as-the-body": body(RANK, '{"__proto__":{"context":{"features":[0]},"candidates":[]}}'),
    "rows-like-an-array": body(PREDICT, { rows: { length: 1e9 } }),
    "features-like-an-array": body(PREDICT, { rows: [{ features: { length: 1e9 } }] }),
    "id-below-0": body(PREDICT + IFM, { rows: [{ features: [-1, 0, 1] }] }),
    "id-is-a-fraction": body(PREDICT + IFM, { rows: [{ features: [0.5, 0, 1] }] }),
    "ids-beyond-32-bits": body(PREDICT + IFM, { rows: [{ features: [2 ** 32, 2 ** 53 - 1, 2 ** 31] }] }),
    "id-beyond-all": body(PREDICT + IFM, '{"rows":[{"features":[1e309,0,1]}]}'),
    "id-as-text": body(PREDICT + IFM, { rows: [{ features: ["0", null, true] }] }),
    "values-overflow": body(PREDICT + IFM, { rows: [{ features: [0, 1, 2], values: [3.5e38, 1, 1] }] }),
    "score-overflows": body(PREDICT + IFM, { rows: [{ features: [0, 1, 2], values: [3e38, -3e38, 3e38] }] }),
    "more-values-than-features": body(PREDICT, { rows: [{ features: [0], values: [1, 2] }] }),
    "thousand-slots": body(PREDICT, { rows: [{ features: new Array(1000).fill(0) }] }),
    "count-of-billions": body(RANK, { context: { features: [0] }, candidates: { count: 2 ** 31, features: [] } }),
    "count-is-a-fraction": body(RANK, { context: { features: [0] }, candidates: { count: 0.5, features: [1] } }),
    "count-is-0": body(RANK, { context: { features: [0] }, candidates: { count: 0, features: [1, 2] } }),
    "candidates-of-unequal-length": body(RANK + IFM, {
      context: { features: [0] },
      candidates: [{ features: [1] }, { features: [1, 2] }, { features: [] }],
    }),
    "context-longer-than-the-row": body(RANK + IFM, {
      context: { features: [0, 1, 2, 3] },
      candidates: [{ features: [] }],
    }),
    "slots-outside": body(RANK + IFM, {
      context: { features: [0], slots: [1e9] },
      candidates: { count: 1, features: [1, 2], slots: [15, 14] },
    }),
    "slots-twice": body(RANK + IFM, {
      context: { features: [0, 1], slots: [1, 1] },
      candidates: { count: 1, features: [2], slots: [1] },
    }),
    "top-of-2-to-the-53": body(RANK, {
      context: { features: [0] },
      candidates: [{ features: [1] }],
      topK: 2 ** 53 - 1,
      explain: true,
    }),
    "explain-hundreds-of-slots": body(EXPLAIN, { row: { features: new Array(300).fill(1) } }),
    "keys-without-values": body(INVOCATIONS, { instances: [{ data: { features: { keys: [0], shape: [1] } } }] }),
    "shape-of-billions": body(INVOCATIONS, {
      instances: [{ data: { features: { keys: [2 ** 40], shape: [2 ** 53], values: [1] } } }],
    }),
  },
};

const HERE = fileURLToPath(new URL("./", import.meta.url));
for (const [target, files] of Object.entries(ATTACKS)) {
  rmSync(`${HERE}${target}`, { recursive: true, force: true });
  mkdirSync(`${HERE}${target}`);
  for (const [name, bytes] of Object.entries(files)) writeFileSync(`${HERE}${target}/${name}`, bytes);
  console.log(`${target}: ${Object.keys(files).length}`);
}
