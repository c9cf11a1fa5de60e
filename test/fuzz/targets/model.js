import { defaultModel } from "../../../src/config.js";
import { readLibfm } from "../../../src/data/read.js";
import { encodeModel } from "../../../src/model/format.js";
import { layoutOf } from "../../../src/model/layout.js";
import { Model } from "../../../src/model/model.js";

const DATA = await readLibfm("1 0:1 1:1 2:0.5\n-1 3:1 4294967:1 5:2\n");

/** A small model of a kind. */
function modelBytes(kind, more = {}) {
  const config = {
    ...defaultModel(kind),
    features: 6,
    factors: 3,
    attentionFactors: 2,
    fieldFactors: 2,
    fields: kind === "fm" ? 0 : 3,
    fieldOfSlot: kind === "fm" ? [] : [0, 1, 2],
    ...(kind === "inn" || kind === "deepifm" ? { hidden: [2] } : {}),
    ...more,
  };
  const tensors = layoutOf(config).tensors.map(({ name, shape, rows, cols }) => {
    return { name, shape, data: Float32Array.from({ length: rows * cols }, (_, i) => ((i % 7) - 3) / 8) };
  });
  return encodeModel(config, { labelMin: -1, labelMax: 1, seed: 1 }, tensors);
}

/** The same file with the header's length made right: a stranger can do that, too. */
function withLength(bytes) {
  let end = 8;
  while (end < bytes.length && bytes[end] >= 0x20) end++;
  while (end > 8 && bytes[end - 1] !== 0x7d) end--;
  const out = bytes.slice();
  new DataView(out.buffer).setBigUint64(0, BigInt(end - 8), true);
  return out;
}

/** A model file, from its bytes to scores. */
export default {
  seeds: () => [
    ...["fm", "afm", "ifm", "inn", "deepifm"].map((kind) => modelBytes(kind)),
    modelBytes("fm", { batchNorm: true }),
  ],
  words: [
    '"F32"',
    '"F16"',
    '"I8"',
    '"BF16"',
    '"shape":[',
    '"data_offsets":[0,',
    '"__metadata__"',
    '"__proto__"',
    '"constructor"',
  ].concat([
    '"fieldOfSlot":[0,0,0]',
    '"features":',
    '"factors":',
    '"hidden":[',
    "1e3",
    "\\u0000",
    "\\ud800",
    "[[[[",
    "{}",
    '"excludeSameField":true',
  ]),
  maxBytes: 8192,
  // What a model needs beside its weights is bounded by the reader, whatever its file says of its shape.
  memory: { base: 2 ** 29, factor: 64 },
  async run(bytes) {
    try {
      await score(bytes);
    } catch (error) {
      if (error.name !== "IfmError" || bytes.length < 8) throw error;
      await score(withLength(bytes));
    }
  },
};

async function score(bytes) {
  const model = await Model.load(bytes);
  try {
    const { config } = model;
    if ({}.polluted !== undefined) throw new Error("a prototype has been changed");
    if (config.model === "fm" || config.fieldOfSlot.length === 3) model.predict(DATA);
    model.toBytes();
  } finally {
    model.dispose();
  }
}
