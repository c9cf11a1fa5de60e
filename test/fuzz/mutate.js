// Changes to an input, drawn by a seeded generator: the same seed gives the same run.

/** xorshift32, enough to draw mutations. */
export class Random {
  #state;

  constructor(seed) {
    this.#state = (seed * 2654435761 + 1) >>> 0 || 1;
  }

  /** A whole number from 0 to n - 1. */
  below(n) {
    let x = this.#state;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.#state = x >>> 0;
    return this.#state % n;
  }

  pick(list) {
    return list[this.below(list.length)];
  }
}

/** Numbers at which programs change their mind, little-endian, in one to eight bytes. */
const EDGES = [
  0n,
  1n,
  2n,
  7n,
  16n,
  127n,
  128n,
  255n,
  256n,
  32767n,
  65535n,
  65536n,
  2n ** 31n - 1n,
  2n ** 31n,
  2n ** 32n - 1n,
]
  .concat([2n ** 53n - 1n, 2n ** 53n, 2n ** 63n, 2n ** 64n - 1n])
  .flatMap((value) => [1, 2, 4, 8].filter((size) => value < 256n ** BigInt(size)).map((size) => [value, size]))
  .map(([value, size]) => Uint8Array.from({ length: size }, (_, i) => Number((value >> BigInt(8 * i)) & 255n)));

/** Decimal numbers likewise, for formats that are text. */
const NUMBERS = [
  "0",
  "-0",
  "1",
  "-1",
  "1e999",
  "-1e999",
  "1e-999",
  "NaN",
  "Infinity",
  "2147483647",
  "2147483648",
  "4294967295",
]
  .concat([
    "4294967296",
    "9007199254740993",
    "99999999999999999999",
    "1.5",
    "3.4028236e38",
    "1e38",
    "5e-324",
    ".5",
    "1.",
    "0x10",
  ])
  .map((text) => new TextEncoder().encode(text));

function splice(bytes, at, removed, inserted) {
  const out = new Uint8Array(bytes.length - removed + inserted.length);
  out.set(bytes.subarray(0, at));
  out.set(inserted, at);
  out.set(bytes.subarray(at + removed), at + inserted.length);
  return out;
}

/** A run of digits somewhere in the text, or undefined. */
function digitsIn(bytes, random) {
  if (bytes.length === 0) return undefined;
  const isDigit = (at) => bytes[at] >= 0x30 && bytes[at] <= 0x39;
  const from = random.below(bytes.length);
  for (let i = 0; i < Math.min(bytes.length, 256); i++) {
    let begin = (from + i) % bytes.length;
    if (!isDigit(begin)) continue;
    while (begin > 0 && isDigit(begin - 1)) begin--;
    let end = begin;
    while (end < bytes.length && isDigit(end)) end++;
    return [begin, end - begin];
  }
  return undefined;
}

const MUTATIONS = [
  // One bit, one byte.
  (bytes, random) => {
    const out = bytes.slice();
    if (out.length > 0) out[random.below(out.length)] ^= 1 << random.below(8);
    return out;
  },
  (bytes, random) => {
    const out = bytes.slice();
    if (out.length > 0) out[random.below(out.length)] = random.below(256);
    return out;
  },
  // A piece taken away, doubled, moved.
  (bytes, random) => {
    const at = random.below(bytes.length + 1);
    return splice(bytes, at, Math.min(bytes.length - at, 1 + random.below(16)), new Uint8Array(0));
  },
  (bytes, random) => {
    const at = random.below(bytes.length + 1);
    const from = random.below(bytes.length + 1);
    return splice(bytes, at, 0, bytes.slice(from, from + 1 + random.below(64)));
  },
  (bytes, random) => {
    const at = random.below(bytes.length + 1);
    const repeated = bytes.slice(at, at + 1 + random.below(8));
    const times = 1 + random.below(64);
    const run = new Uint8Array(repeated.length * times);
    for (let i = 0; i < times; i++) run.set(repeated, i * repeated.length);
    return splice(bytes, at, 0, run);
  },
  // An edge case in place of some bytes, or of a number in text.
  (bytes, random) => {
    const edge = random.pick(EDGES);
    const at = random.below(bytes.length + 1);
    return splice(bytes, at, Math.min(bytes.length - at, edge.length), random.below(2) ? edge : edge.slice().reverse());
  },
  (bytes, random) => {
    const digits = digitsIn(bytes, random);
    return digits ? splice(bytes, digits[0], digits[1], random.pick(NUMBERS)) : bytes;
  },
  // A word of the format.
  (bytes, random, { words }) => {
    if (words.length === 0) return bytes;
    const word = random.pick(words);
    const at = random.below(bytes.length + 1);
    return splice(bytes, at, random.below(2) * Math.min(bytes.length - at, word.length), word);
  },
  // The head of this one, the tail of another.
  (bytes, random, { corpus }) => {
    const other = random.pick(corpus);
    const tail = other.subarray(random.below(other.length + 1));
    const at = random.below(bytes.length + 1);
    return splice(bytes, at, bytes.length - at, tail);
  },
  // The end cut off.
  (bytes, random) => bytes.slice(0, random.below(bytes.length + 1)),
];

/** One to eight changes of an input of the corpus. */
export function mutate(bytes, random, context) {
  let out = bytes;
  for (let n = 1 << random.below(4); n > 0; n--) out = random.pick(MUTATIONS)(out, random, context);
  return out.length > context.maxBytes ? out.slice(0, context.maxBytes) : out;
}
