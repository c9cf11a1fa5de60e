import { fieldVectors, pairLists } from "./onnx.js";

/*
 * FM and IFM with TensorFlow.js. Prediction is a graph of its operations. Training: `gather` has a gradient only through
 * an operation that the wasm backend lacks, and there is no sparse optimizer, so rows of the table are gathered, and
 * their gradients summed and stepped, in JavaScript; the model itself goes through `tf.grads`.
 */

/** Scores from E, [B, M, K], the linear part [B] and the dense parameters. */
function scoresOf(tf, config, M) {
  const [left, right] = pairLists(M);
  const P = left.length;
  const [leftIds, rightIds] = [left, right].map((list) => tf.tensor1d(list, "int32"));
  // [M, P] one-hot: the way back of a gather along the slots.
  const spread = [left, right].map((list) =>
    tf.tensor2d(Array.from({ length: M }, (_, s) => list.map((t) => +(t === s)))),
  );
  const take = (ids, back) =>
    tf.customGrad((E) => ({
      value: tf.gather(E, ids, 1),
      gradFunc: (dy) => {
        const [B, , K] = dy.shape;
        return tf.reshape(tf.matMul(tf.broadcastTo(tf.expandDims(back, 0), [B, M, P]), dy), [B, M, K]);
      },
    }));
  const [takeLeft, takeRight] = [take(leftIds, spread[0]), take(rightIds, spread[1])];
  if (config.model === "fm") {
    return (E, linear) => {
      const S = tf.sum(E, 1);
      return tf.add(linear, tf.mul(0.5, tf.sum(tf.sub(tf.square(S), tf.sum(tf.square(E), 1)), 1)));
    };
  }
  return (E, linear, { W, b, h }, F) => {
    const e = tf.mul(takeLeft(E), takeRight(E)); // [B, P, K]
    const B = E.shape[0];
    const c = tf.sum(tf.mul(e, F), 2);
    const H = tf.relu(tf.add(tf.matMul(tf.reshape(e, [B * P, config.K]), W), b));
    const logits = tf.mul(tf.reshape(tf.matMul(H, h), [B, P]), 1 / config.temperature);
    return tf.add(linear, tf.sum(tf.mul(tf.softmax(logits), c), 1));
  };
}

/** Which slot of F is which pair: F = (U[left] ⊙ U[right]) D with gradients to U and D. */
function fieldsOf(tf, M) {
  const [left, right] = pairLists(M);
  const select = (list) => tf.tensor2d(list.map((s) => Array.from({ length: M }, (_, t) => +(s === t))));
  const [L, R] = [select(left), select(right)];
  return (U, D) => tf.matMul(tf.mul(tf.matMul(L, U), tf.matMul(R, U)), D);
}

/** Adagrad over some numbers of an array. */
function step(theta, state, at, g, from, count, lr) {
  for (let i = 0; i < count; i++) {
    const gi = g[from + i];
    if (gi === 0) continue;
    state[at + i] += gi * gi;
    theta[at + i] -= (lr * gi) / Math.sqrt(state[at + i]);
  }
}

/**
 * @param tf      @tensorflow/tfjs-core
 * @param backend "wasm" or "cpu", registered already
 * @param {import("./index.js").Task} task
 */
export async function tensorflow(tf, backend, task) {
  await tf.setBackend(backend);
  await tf.ready();
  const { config, weights, data, batchSize, lr } = task;
  const { K, features } = config;
  const M = data.maxSlots;
  const isFm = config.model === "fm";
  const scores = scoresOf(tf, config, M);
  const fields = fieldsOf(tf, M);
  const initial = weights();

  const ids = Int32Array.from(data.features);
  const V = tf.tensor2d(initial.feature_embeddings, [features, K]);
  const w = tf.tensor1d(initial.feature_bias);
  const w0 = initial.bias[0];
  const dense = isFm
    ? {}
    : {
        W: tf.tensor2d(initial.attention_W, [K, config.A]),
        b: tf.tensor1d(initial.attention_b),
        h: tf.tensor2d(initial.attention_p, [config.A, 1]),
      };
  const F = isFm ? undefined : tf.tensor2d(fieldVectors(initial, config, M), [(M * (M - 1)) / 2, K]);

  /** State of training, made by `reset`. */
  let training;

  function reset() {
    for (const { theta, state } of training?.variables ?? []) tf.dispose([theta, state]);
    const from = weights();
    const fresh = (length) => new Float32Array(length).fill(1e-8);
    const shapes = isFm
      ? {}
      : {
          W: [from.attention_W, [K, config.A]],
          b: [from.attention_b, [config.A]],
          h: [from.attention_p, [config.A, 1]],
          U: [from.interaction, [M, config.KF]],
          D: [from.factor, [config.KF, K]],
        };
    training = {
      V: from.feature_embeddings.slice(),
      w: from.feature_bias.slice(),
      bias: from.bias.slice(),
      stateV: fresh(features * K),
      stateW: fresh(features),
      stateBias: fresh(1),
      variables: Object.entries(shapes).map(([name, [values, shape]]) => ({
        name,
        theta: tf.tensor(values.slice(), shape),
        state: tf.fill(shape, 1e-8),
      })),
    };
  }
  reset();

  function trainBatch(from, rows) {
    const t = training;
    const batchIds = ids.subarray(from * M, (from + rows) * M);
    const E = new Float32Array(rows * M * K);
    const linear = new Float32Array(rows);
    for (let i = 0; i < batchIds.length; i++) {
      const j = batchIds[i];
      E.set(t.V.subarray(j * K, (j + 1) * K), i * K);
      linear[(i / M) | 0] += t.w[j];
    }
    for (let r = 0; r < rows; r++) linear[r] += t.bias[0];
    const names = t.variables.map(({ name }) => name);
    const results = tf.tidy(() => {
      const labels = tf.tensor1d(data.labels.subarray(from, from + rows));
      const loss = (embedded, base, ...parameters) => {
        const of = Object.fromEntries(names.map((name, i) => [name, parameters[i]]));
        const y = isFm ? scores(embedded, base) : scores(embedded, base, of, fields(of.U, of.D));
        const margin = tf.mul(labels, y);
        // max(-m, 0) + log(1 + exp(-|m|))
        return tf.sum(tf.add(tf.relu(tf.neg(margin)), tf.log(tf.add(1, tf.exp(tf.neg(tf.abs(margin)))))));
      };
      const inputs = [tf.tensor3d(E, [rows, M, K]), tf.tensor1d(linear), ...t.variables.map(({ theta }) => theta)];
      const { value, grads } = tf.valueAndGrads(loss)(inputs);
      for (const [i, variable] of t.variables.entries()) {
        const g = grads[i + 2];
        const state = tf.add(variable.state, tf.square(g));
        const theta = tf.sub(variable.theta, tf.div(tf.mul(lr, g), tf.sqrt(state)));
        tf.dispose([variable.state, variable.theta]);
        variable.state = tf.keep(state);
        variable.theta = tf.keep(theta);
      }
      return [value, grads[0], grads[1]].map((tensor) => tensor.dataSync());
    });
    const [value, dE, dLinear] = results;
    // Sum the occurrences of a feature, then step once.
    const place = new Map();
    for (const j of batchIds) if (!place.has(j)) place.set(j, place.size);
    const gV = new Float32Array(place.size * K);
    const gW = new Float32Array(place.size);
    let gBias = 0;
    for (let i = 0; i < batchIds.length; i++) {
      const to = place.get(batchIds[i]);
      for (let k = 0; k < K; k++) gV[to * K + k] += dE[i * K + k];
      gW[to] += dLinear[(i / M) | 0];
    }
    for (const g of dLinear) gBias += g;
    for (const [j, from] of place) {
      step(t.V, t.stateV, j * K, gV, from * K, K, lr);
      step(t.w, t.stateW, j, gW, from, 1, lr);
    }
    step(t.bias, t.stateBias, 0, [gBias], 0, 1, lr);
    return value[0];
  }

  return {
    async predict() {
      await tf.setBackend(backend);
      const out = new Float32Array(data.rows);
      for (let from = 0; from < data.rows; from += batchSize) {
        const rows = Math.min(batchSize, data.rows - from);
        const block = tf.tidy(() => {
          const at = tf.tensor1d(ids.subarray(from * M, (from + rows) * M), "int32");
          const E = tf.reshape(tf.gather(V, at), [rows, M, K]);
          const linear = tf.add(tf.sum(tf.reshape(tf.gather(w, at), [rows, M]), 1), w0);
          return scores(E, linear, dense, F).dataSync();
        });
        out.set(block, from);
      }
      return out;
    },
    async train() {
      await tf.setBackend(backend);
      let loss = 0;
      for (let from = 0; from < data.rows; from += batchSize) {
        loss += trainBatch(from, Math.min(batchSize, data.rows - from));
      }
      return loss / data.rows;
    },
    reset,
  };
}
