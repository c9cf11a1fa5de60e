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
};

const HERE = fileURLToPath(new URL("./", import.meta.url));
for (const [target, files] of Object.entries(ATTACKS)) {
  rmSync(`${HERE}${target}`, { recursive: true, force: true });
  mkdirSync(`${HERE}${target}`);
  for (const [name, bytes] of Object.entries(files)) writeFileSync(`${HERE}${target}/${name}`, bytes);
  console.log(`${target}: ${Object.keys(files).length}`);
}
