import type { ModelConfig } from "../config.js";
import type { Dataset } from "../data/dataset.js";
import type { PairContribution } from "../model/explanation.js";
import { type Layout, pairsOf } from "../model/layout.js";
import type { Request } from "../model/rank.js";
import type { SlotTable } from "../model/slots.js";
import type { Desc } from "./abi.js";
import type { Arena } from "./arena.js";
import { SHA256_BYTES } from "./hash.js";
import type { Kernels } from "./load.js";
import type { Staging } from "./plan.js";

/** So many are kept by a heap of the kernels; more are sorted here. */
const HEAP_ENTRIES = 4096;

/** Addresses of what ranking and explaining need; the structs are those of assembly/models/rank.ts and explain.ts. */
export interface ServingPlan {
  request: number;
  contextAt: number;
  candidateAt: number;
  room: number;
  heap: number;
  explain: number;
  linear: number;
  weights: number;
  pairs: number;
  network: number;
  hash: number;
  fill(buffer: ArrayBufferLike): void;
}

/** Most slots of a row that is explained: there are half a million pairs then. */
export const EXPLAINED_SLOTS = 1024;

export function planServing(arena: Arena, config: ModelConfig, { Kp, layers }: Layout): ServingPlan {
  const isFM = config.model === "fm";
  const M = isFM ? 0 : config.fieldOfSlot.length;
  const P = (M * (M - 1)) / 2;
  const slots = isFM ? EXPLAINED_SLOTS : M;
  const units = layers.reduce((sum, { columns }) => sum + columns, 0);
  const request = arena.take(4 * 10);
  const contextAt = arena.take(4 * M);
  const candidateAt = arena.take(4 * M);
  // Of FM three vectors: sums, squares, z. Of the others a struct and what it points to.
  const room = arena.take(isFM ? 12 * Kp : 4 * 16);
  const list = () => arena.take(12 * (P + 4));
  const floats = (count: number) => arena.take(4 * count);
  const inputFloats = 4 * (layers[0]?.columns ?? 0);
  // In the order of the class Room in assembly/models/rank.ts.
  const fields: number[] = [];
  if (!isFM) {
    fields.push(floats(4 * M), floats(4 * M * Kp), list(), list());
    fields.push(floats(P + 4), floats(P + 4), floats(4 * P), floats(4 * P));
    fields.push(floats(12), floats(inputFloats), inputFloats);
  }
  const explain = arena.take(40);
  const linear = arena.take(8 * slots);
  const weights = arena.take(8 * P);
  const pairs = arena.take(8 * Math.max(P, slots));
  const network = arena.take(8 * (config.model === "inn" ? P : slots));
  const scratch = arena.take(8 * Math.max(4 * units, Kp));
  const fill = (buffer: ArrayBufferLike) => {
    new Uint32Array(buffer, room, fields.length).set(fields);
    new Uint32Array(buffer, explain, 5).set([linear, weights, pairs, network, scratch]);
  };
  return {
    request,
    contextAt,
    candidateAt,
    room,
    heap: arena.take(8 * HEAP_ENTRIES),
    explain,
    linear,
    weights,
    pairs,
    network,
    hash: arena.take(SHA256_BYTES),
    fill,
  };
}

/** What a session is made of, as far as it matters here. */
export interface Parts {
  config: ModelConfig;
  memory: WebAssembly.Memory;
  kernels: Kernels;
  desc: Desc;
  staging: Staging;
  serving: ServingPlan;
  scratch: number;
}

/** Scores the candidates and keeps the best: `topK` of them, in order. */
export function rankCandidates(
  { config, memory: { buffer }, kernels, desc, staging, serving, scratch }: Parts,
  { context, candidates, contextAt, candidateAt }: Request,
  topK: number,
): { indices: Uint32Array; scores: Float32Array; unknown: number } {
  const u32 = (address: number, length: number) => new Uint32Array(buffer, address, length);
  const f32 = (address: number, length: number) => new Float32Array(buffer, address, length);
  const put = ({ features, values }: SlotTable, at: number, first: number, end: number) => {
    const ids = staging.features + 4 * at;
    u32(ids, end - first).set(features.subarray(first, end));
    if (values) f32(staging.values + 4 * at, end - first).set(values.subarray(first, end));
    return kernels.replaceUnknown(ids, end - first, config.features);
  };
  const shared = context.features.length;
  let unknown = put(context, 0, 0, shared);
  u32(serving.contextAt, contextAt.length).set(contextAt);
  u32(serving.candidateAt, candidateAt.length).set(candidateAt);

  const heapSize = Math.min(topK, candidates.count);
  const all = heapSize > HEAP_ENTRIES ? new Float32Array(candidates.count) : undefined;
  const room = staging.slots - shared;
  let kept = 0;
  for (let first = 0; first < candidates.count; ) {
    const begin = candidates.rowPtr[first]!;
    let end = Math.min(candidates.count, first + staging.rows);
    // As many as fit; one always does.
    while (candidates.rowPtr[end]! - begin > room) end--;
    const count = end - first;
    const rowPtr = u32(staging.rowPtr, count + 1);
    rowPtr.set(candidates.rowPtr.subarray(first, end + 1));
    if (begin > 0) for (let i = 0; i <= count; i++) rowPtr[i]! -= begin;
    unknown += put(candidates, shared, begin, candidates.rowPtr[end]!);
    u32(serving.request, 10).set([
      shared,
      staging.features,
      context.values ? staging.values : 0,
      serving.contextAt,
      serving.candidateAt,
      staging.rowPtr,
      staging.features + 4 * shared,
      candidates.values ? staging.values + 4 * shared : 0,
      count,
      serving.room,
    ]);
    desc.set({ yHat: staging.yHat });
    kernels.rank(desc.address, serving.request, scratch);
    if (all) all.set(f32(staging.yHat, count), first);
    else kept = kernels.topKeep(serving.heap, kept, heapSize, staging.yHat, count, first);
    first = end;
  }
  if (all) return { ...sorted(all, topK), unknown };
  kernels.topSort(serving.heap, kept);
  const indices = new Uint32Array(kept);
  const scores = new Float32Array(kept);
  const [words, numbers] = [u32(serving.heap, 2 * kept), f32(serving.heap, 2 * kept)];
  for (let i = 0; i < kept; i++) {
    scores[i] = numbers[2 * i]!;
    indices[i] = words[2 * i + 1]!;
  }
  return { indices, scores, unknown };
}

/** As the heap does it. */
function sorted(all: Float32Array, topK: number): { indices: Uint32Array; scores: Float32Array } {
  for (let i = 0; i < all.length; i++) if (Number.isNaN(all[i])) all[i] = -Infinity;
  const order = Uint32Array.from(all, (_, i) => i).sort((a, b) =>
    all[a]! > all[b]! ? -1 : all[a]! < all[b]! ? 1 : a - b,
  );
  const indices = order.slice(0, topK);
  return { indices, scores: Float32Array.from(indices, (index) => all[index]!) };
}

/** Terms of the row that was scored last, the only one of `data`. */
export function explainRow({ config, memory: { buffer }, kernels, desc, serving, scratch }: Parts, data: Dataset) {
  const f64 = (address: number, length: number) => Array.from(new Float64Array(buffer, address, length));
  const { features, maxSlots: slots } = data;
  const known = (slot: number) => features[slot]! < config.features;
  kernels.explainRow(desc.address, serving.explain, scratch);
  const pairs: PairContribution[] = [];
  const network: number[] = [];
  if (config.model === "fm") {
    for (let s = 0; s + 1 < slots; s++) {
      if (!known(s)) continue;
      kernels.explainPairs(desc.address, serving.explain, s);
      f64(serving.pairs, slots - s - 1).forEach((contribution, i) => {
        const t = s + 1 + i;
        if (known(t)) pairs.push({ s, t, weight: 1, contribution });
      });
    }
  } else {
    const list = pairsOf(config).filter(({ s, t }) => known(s) && known(t));
    const weights = f64(serving.weights, list.length);
    const contributions = f64(serving.pairs, list.length);
    list.forEach(({ s, t }, i) => {
      pairs.push({ s, t, weight: weights[i]!, contribution: contributions[i]! });
    });
    if (config.model === "deepifm") network.push(...f64(serving.network, slots));
    const ofPairs = new Float64Array(buffer, serving.network, (slots * (slots - 1)) / 2);
    if (config.model === "inn") for (const { p } of list) network.push(ofPairs[p]!);
  }
  const [constant, baseline] = f64(serving.explain + 24, 2) as [number, number];
  return { constant, linear: f64(serving.linear, slots), pairs, baseline, network };
}
