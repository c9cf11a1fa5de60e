/*
 * FM and IFM in plain JavaScript, as one would write them for speed without WebAssembly: typed arrays, loops over
 * neighbouring numbers, no allocation per row, one Adagrad step a batch for each feature that it touches. The mathematics
 * is that of the package: docs/MODELS.md.
 */

/** θ -= lr g / √G, G += g², over `count` numbers. */
function adagrad(theta, at, state, g, from, count, lr) {
  for (let i = 0; i < count; i++) {
    const gi = g[from + i];
    if (gi === 0) continue;
    const G = state[at + i] + gi * gi;
    state[at + i] = G;
    theta[at + i] -= (lr * gi) / Math.sqrt(G);
  }
}

const fresh = (length) => new Float32Array(length).fill(1e-8);

/** What both models have: the table, which of its rows a batch touches, their gradients, the logistic loss. */
class Table {
  constructor(weights, { features, K }, batchSize, M) {
    this.K = K;
    this.M = M;
    this.V = weights.feature_embeddings.slice();
    this.w = weights.feature_bias.slice();
    this.bias = weights.bias.slice();
    this.stateV = fresh(features * K);
    this.stateW = fresh(features);
    this.stateBias = fresh(1);
    this.gradBias = new Float32Array(1);
    const most = Math.min(features, batchSize * M);
    this.place = new Int32Array(features).fill(-1);
    this.touched = new Int32Array(most);
    this.gradV = new Float32Array(most * K);
    this.gradW = new Float32Array(most);
    this.count = 0;
  }

  /** Where the gradient of a feature is summed. */
  placeOf(j) {
    let t = this.place[j];
    if (t < 0) {
      t = this.count++;
      this.place[j] = t;
      this.touched[t] = j;
      this.gradW[t] = 0;
      this.gradV.fill(0, t * this.K, (t + 1) * this.K);
    }
    return t;
  }

  step(lr, gradBias) {
    const { K, V, w, stateV, stateW, gradV, gradW, touched, place } = this;
    for (let t = 0; t < this.count; t++) {
      const j = touched[t];
      adagrad(V, j * K, stateV, gradV, t * K, K, lr);
      adagrad(w, j, stateW, gradW, t, 1, lr);
      place[j] = -1;
    }
    this.count = 0;
    // No array of another kind: V8 would have to look at it for every other call, too.
    this.gradBias[0] = gradBias;
    adagrad(this.bias, 0, this.stateBias, this.gradBias, 0, 1, lr);
  }
}

/** log(1 + exp(-m)) without overflow. */
const logistic = (m) => Math.max(-m, 0) + Math.log1p(Math.exp(-Math.abs(m)));

class Fm {
  constructor(weights, config, batchSize, M) {
    this.table = new Table(weights, config, batchSize, M);
    this.S = new Float32Array(config.K);
  }

  score(ids, at) {
    const { K, M, V, w, bias } = this.table;
    const { S } = this;
    S.fill(0);
    let [y, squares] = [bias[0], 0];
    for (let s = 0; s < M; s++) {
      const j = ids[at + s];
      y += w[j];
      for (let k = 0, i = j * K; k < K; k++, i++) {
        const v = V[i];
        S[k] += v;
        squares += v * v;
      }
    }
    let sum = 0;
    for (let k = 0; k < K; k++) sum += S[k] * S[k];
    return y + 0.5 * (sum - squares);
  }

  /** After `score` of the same row. */
  backward(ids, at, dy) {
    const { table, S } = this;
    const { K, M, V, gradV, gradW } = table;
    for (let s = 0; s < M; s++) {
      const j = ids[at + s];
      const t = table.placeOf(j);
      gradW[t] += dy;
      for (let k = 0, i = j * K, g = t * K; k < K; k++, i++, g++) gradV[g] += dy * (S[k] - V[i]);
    }
  }

  begin() {}

  end(lr, gradBias) {
    this.table.step(lr, gradBias);
  }
}

class Ifm {
  constructor(weights, config, batchSize, M) {
    const { K, A, KF, temperature } = config;
    Object.assign(this, { K, A, KF, M, P: (M * (M - 1)) / 2, scale: 1 / temperature });
    this.table = new Table(weights, config, batchSize, M);
    // Wᵀ: a projection reads neighbouring numbers.
    this.W = new Float32Array(A * K);
    for (let k = 0; k < K; k++) for (let a = 0; a < A; a++) this.W[a * K + k] = weights.attention_W[k * A + a];
    this.b = weights.attention_b.slice();
    this.h = weights.attention_p.slice();
    this.U = weights.interaction.slice();
    this.D = weights.factor.slice();
    this.dense = [this.W, this.b, this.h, this.U, this.D].map((theta) => ({
      theta,
      state: fresh(theta.length),
      grad: new Float32Array(theta.length),
    }));
    this.F = new Float32Array(this.P * K);
    this.dF = new Float32Array(this.P * K);
    this.e = new Float32Array(this.P * K);
    this.H = new Float32Array(this.P * A);
    this.T = new Float32Array(this.P);
    this.c = new Float32Array(this.P);
    this.de = new Float32Array(K);
    this.begin();
  }

  /** F_p = (U_s ⊙ U_t) D, once a batch. */
  begin() {
    const { K, KF, M, U, D, F } = this;
    F.fill(0);
    this.dF.fill(0);
    for (let s = 0, p = 0; s < M; s++) {
      for (let t = s + 1; t < M; t++, p++) {
        for (let f = 0; f < KF; f++) {
          const uv = U[s * KF + f] * U[t * KF + f];
          for (let k = 0; k < K; k++) F[p * K + k] += uv * D[f * K + k];
        }
      }
    }
  }

  score(ids, at) {
    const { K, A, M, P, W, b, h, F, e, H, T, c, scale } = this;
    const { V, w, bias } = this.table;
    let y = bias[0];
    let top = Number.NEGATIVE_INFINITY;
    for (let s = 0, p = 0; s < M; s++) {
      y += w[ids[at + s]];
      const vs = ids[at + s] * K;
      for (let t = s + 1; t < M; t++, p++) {
        const vt = ids[at + t] * K;
        const pK = p * K;
        let score = 0;
        for (let k = 0; k < K; k++) {
          const product = V[vs + k] * V[vt + k];
          e[pK + k] = product;
          score += product * F[pK + k];
        }
        c[p] = score;
        let logit = 0;
        for (let a = 0; a < A; a++) {
          let z = b[a];
          for (let k = 0, i = a * K; k < K; k++, i++) z += e[pK + k] * W[i];
          // biome-ignore lint/complexity/useMathMinMax: Math.max also looks for -0 and NaN, which is slower
          const o = z > 0 ? z : 0;
          H[p * A + a] = o;
          logit += h[a] * o;
        }
        T[p] = logit * scale;
        if (T[p] > top) top = T[p];
      }
    }
    let sum = 0;
    for (let p = 0; p < P; p++) {
      T[p] = Math.exp(T[p] - top);
      sum += T[p];
    }
    for (let p = 0; p < P; p++) {
      T[p] /= sum;
      y += T[p] * c[p];
    }
    return y;
  }

  backward(ids, at, dy) {
    const { K, A, M, P, W, h, F, dF, e, H, T, c, de, scale, table } = this;
    const { V, gradV, gradW } = table;
    const [dW, db, dh] = this.dense.map(({ grad }) => grad);
    let mean = 0;
    for (let p = 0; p < P; p++) mean += T[p] * dy * c[p];
    for (let s = 0; s < M; s++) gradW[table.placeOf(ids[at + s])] += dy;
    for (let s = 0, p = 0; s < M; s++) {
      const [vs, gs] = [ids[at + s] * K, table.place[ids[at + s]] * K];
      for (let t = s + 1; t < M; t++, p++) {
        const [vt, gt] = [ids[at + t] * K, table.place[ids[at + t]] * K];
        const pK = p * K;
        const dLogit = T[p] * (dy * c[p] - mean) * scale;
        const dc = dy * T[p];
        for (let k = 0; k < K; k++) {
          de[k] = dc * F[pK + k];
          dF[pK + k] += dc * e[pK + k];
        }
        for (let a = 0; a < A; a++) {
          const o = H[p * A + a];
          if (o <= 0) continue;
          dh[a] += dLogit * o;
          const dz = dLogit * h[a];
          db[a] += dz;
          for (let k = 0, i = a * K; k < K; k++, i++) {
            dW[i] += dz * e[pK + k];
            de[k] += dz * W[i];
          }
        }
        for (let k = 0; k < K; k++) {
          gradV[gs + k] += de[k] * V[vt + k];
          gradV[gt + k] += de[k] * V[vs + k];
        }
      }
    }
  }

  end(lr, gradBias) {
    const { K, KF, M, U, D, dF, dense } = this;
    const [dU, dD] = [dense[3].grad, dense[4].grad];
    for (let s = 0, p = 0; s < M; s++) {
      for (let t = s + 1; t < M; t++, p++) {
        for (let f = 0; f < KF; f++) {
          const [u, v] = [U[s * KF + f], U[t * KF + f]];
          let q = 0;
          for (let k = 0, i = f * K, g = p * K; k < K; k++, i++, g++) {
            q += dF[g] * D[i];
            dD[i] += u * v * dF[g];
          }
          dU[s * KF + f] += q * v;
          dU[t * KF + f] += q * u;
        }
      }
    }
    this.table.step(lr, gradBias);
    for (const { theta, state, grad } of dense) {
      adagrad(theta, 0, state, grad, 0, theta.length, lr);
      grad.fill(0);
    }
  }
}

/** A model with the weights of one of ours. @param {import("./index.js").Task} task */
export function javascript({ config, weights, data, batchSize, lr }) {
  const make = () => new (config.model === "fm" ? Fm : Ifm)(weights(), config, batchSize, data.maxSlots);
  let model = make();
  const { rows, rowPtr, features, labels } = data;
  return {
    /** One epoch, in the order of the rows. Returns the mean loss. */
    train() {
      let loss = 0;
      for (let from = 0; from < rows; from += batchSize) {
        let gradBias = 0;
        model.begin();
        for (let r = from; r < Math.min(rows, from + batchSize); r++) {
          const y = labels[r];
          const margin = y * model.score(features, rowPtr[r]);
          loss += logistic(margin);
          const dy = -y / (1 + Math.exp(margin));
          gradBias += dy;
          model.backward(features, rowPtr[r], dy);
        }
        model.end(lr, gradBias);
      }
      return loss / rows;
    },
    predict() {
      const out = new Float32Array(rows);
      model.begin();
      for (let r = 0; r < rows; r++) out[r] = model.score(features, rowPtr[r]);
      return out;
    },
    reset() {
      model = make();
    },
  };
}
