/*
 * A model as an ONNX file, written byte by byte: protocol buffers are tags, lengths and bytes, and the few messages of
 * onnx.proto3 that a graph needs are below. Field numbers: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto3
 */

const [FLOAT, INT64] = [1, 7];

/** A number in base 128, low digits first. */
function varint(value) {
  const bytes = [];
  let rest = BigInt.asUintN(64, BigInt(value));
  do {
    bytes.push(Number(rest & 0x7fn) | (rest > 0x7fn ? 0x80 : 0));
    rest >>= 7n;
  } while (rest > 0n);
  return Uint8Array.from(bytes);
}

const join = (parts) => {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
};

const number = (field, value) => join([varint(field << 3), varint(value)]);
const bytes = (field, value) => join([varint((field << 3) | 2), varint(value.length), value]);
const string = (field, value) => bytes(field, new TextEncoder().encode(value));

/** TensorProto */
function tensor(name, dims, data) {
  const type = data instanceof Float32Array ? FLOAT : INT64;
  const raw = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  return join([...dims.map((dim) => number(1, dim)), number(2, type), string(8, name), bytes(9, raw)]);
}

/** AttributeProto of an integer (INT = 2). */
const attribute = (name, value) => join([string(1, name), number(3, value), number(20, 2)]);

/** NodeProto */
function node(op, inputs, output, attributes = {}) {
  return join([
    ...inputs.map((input) => string(1, input)),
    string(2, output),
    string(4, op),
    ...Object.entries(attributes).map(([name, value]) => bytes(5, attribute(name, value))),
  ]);
}

/** ValueInfoProto; a dimension is a number, or the name of one that is free. */
function value(name, type, dims) {
  const shape = join(dims.map((dim) => bytes(1, typeof dim === "string" ? string(2, dim) : number(1, dim))));
  return join([string(1, name), bytes(2, bytes(1, join([number(1, type), bytes(2, shape)])))]);
}

/** ModelProto: IR version 8, operators of version 13. */
function model({ nodes, tensors, input, output }) {
  const graph = join([
    ...nodes.map((each) => bytes(1, each)),
    string(2, "ifm-wasm"),
    ...tensors.map((each) => bytes(5, each)),
    bytes(11, input),
    bytes(12, output),
  ]);
  return join([number(1, 8), bytes(7, graph), bytes(8, join([string(1, ""), number(2, 13)]))]);
}

/** Pairs s < t of M slots: the s, then the t. */
export function pairLists(M) {
  const [left, right] = [[], []];
  for (let s = 0; s < M; s++) {
    for (let t = s + 1; t < M; t++) {
      left.push(s);
      right.push(t);
    }
  }
  return [left, right];
}

/** F_p = (U_s ⊙ U_t) D: a constant of a trained model. */
export function fieldVectors({ interaction: U, factor: D }, { K, KF }, M) {
  const [left, right] = pairLists(M);
  const F = new Float32Array(left.length * K);
  left.forEach((s, p) => {
    for (let f = 0; f < KF; f++) {
      const uv = U[s * KF + f] * U[right[p] * KF + f];
      for (let k = 0; k < K; k++) F[p * K + k] += uv * D[f * K + k];
    }
  });
  return F;
}

/**
 * FM or IFM as a graph from `ids`, i64[B, M], to `scores`, f32[B, 1].
 *
 * @param {Record<string, Float32Array>} weights tensors by their names in our model file
 */
export function onnxModel(weights, config, M) {
  const { model: kind, K, A, features, temperature } = config;
  const tensors = [
    tensor("V", [features, K], weights.feature_embeddings),
    tensor("w", [features], weights.feature_bias),
    tensor("w0", [1, 1], weights.bias),
    tensor("axis1", [1], BigInt64Array.of(1n)),
  ];
  const nodes = [
    node("Gather", ["V", "ids"], "E"), // [B, M, K]
    node("Gather", ["w", "ids"], "ws"),
    node("ReduceSum", ["ws", "axis1"], "w_sum", { keepdims: 1 }),
    node("Add", ["w_sum", "w0"], "linear"), // [B, 1]
  ];
  if (kind === "fm") {
    tensors.push(tensor("half", [1], Float32Array.of(0.5)));
    nodes.push(
      node("ReduceSum", ["E", "axis1"], "S", { keepdims: 0 }), // [B, K]
      node("Mul", ["S", "S"], "SS"),
      node("Mul", ["E", "E"], "EE"),
      node("ReduceSum", ["EE", "axis1"], "Q", { keepdims: 0 }),
      node("Sub", ["SS", "Q"], "Z"),
      node("ReduceSum", ["Z", "axis1"], "z", { keepdims: 1 }),
      node("Mul", ["z", "half"], "pairs"),
    );
  } else {
    const [left, right] = pairLists(M);
    const P = left.length;
    tensors.push(
      tensor("axis2", [1], BigInt64Array.of(2n)),
      tensor("left", [P], BigInt64Array.from(left, BigInt)),
      tensor("right", [P], BigInt64Array.from(right, BigInt)),
      tensor("F", [P, K], fieldVectors(weights, config, M)),
      tensor("W", [K, A], weights.attention_W),
      tensor("b", [A], weights.attention_b),
      tensor(
        "h",
        [A, 1],
        weights.attention_p.map((x) => x / temperature),
      ),
    );
    nodes.push(
      node("Gather", ["E", "left"], "Es", { axis: 1 }), // [B, P, K]
      node("Gather", ["E", "right"], "Et", { axis: 1 }),
      node("Mul", ["Es", "Et"], "e"),
      node("Mul", ["e", "F"], "eF"),
      node("ReduceSum", ["eF", "axis2"], "c", { keepdims: 0 }), // [B, P]
      node("MatMul", ["e", "W"], "eW"), // [B, P, A]
      node("Add", ["eW", "b"], "eWb"),
      node("Relu", ["eWb"], "H"),
      node("MatMul", ["H", "h"], "logits1"), // [B, P, 1]
      node("Squeeze", ["logits1", "axis2"], "logits"),
      node("Softmax", ["logits"], "T", { axis: 1 }),
      node("Mul", ["T", "c"], "Tc"),
      node("ReduceSum", ["Tc", "axis1"], "pairs", { keepdims: 1 }),
    );
  }
  nodes.push(node("Add", ["linear", "pairs"], "scores"));
  return model({
    nodes,
    tensors,
    input: value("ids", INT64, ["B", M]),
    output: value("scores", FLOAT, ["B", 1]),
  });
}

/**
 * Prediction by one of the runtimes.
 *
 * @param ort the module onnxruntime-node or onnxruntime-web
 * @param {import("./index.js").Task} task
 */
export async function onnxruntime(ort, { config, weights, data, batchSize }) {
  if (ort.env?.wasm) ort.env.wasm.numThreads = 1;
  const session = await ort.InferenceSession.create(onnxModel(weights(), config, data.maxSlots), {
    intraOpNumThreads: 1,
    interOpNumThreads: 1,
    graphOptimizationLevel: "all",
  });
  const M = data.maxSlots;
  const ids = BigInt64Array.from(data.features, BigInt);
  return {
    async predict() {
      const out = new Float32Array(data.rows);
      // Blocks: the tensors in between of all rows at once would be gigabytes.
      for (let from = 0; from < data.rows; from += batchSize) {
        const rows = Math.min(batchSize, data.rows - from);
        const input = new ort.Tensor("int64", ids.subarray(from * M, (from + rows) * M), [rows, M]);
        const { scores } = await session.run({ ids: input });
        out.set(scores.data, from);
      }
      return out;
    },
    dispose: () => session.release(),
  };
}
