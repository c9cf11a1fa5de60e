import { Random } from "./random.js";

/** Every tail up to four vectors, and two sizes of practice. */
export const FACTORS = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 64, 256] as const;
/** Of single kernels also those with two and three vectors behind a block of four. */
export const KERNEL_FACTORS = [...FACTORS, 24, 27] as const;
export const SLOTS = [1, 2, 3, 10] as const;
export const ATTENTION_FACTORS = [1, 2, 3, 4, 5, 6, 7, 8, 9, 16] as const;
export const FIELD_FACTORS = [1, 2, 3, 4, 5, 8, 16] as const;
export const ACTIVATIONS = ["relu", "tanh", "sigmoid", "identity"] as const;

/** Rounded up to whole vectors of 4 lanes. */
export const pad4 = (size: number): number => Math.ceil(size / 4) * 4;

type Axes = Record<string, readonly (number | string | boolean)[]>;
type Point<A extends Axes> = { [Name in keyof A]: A[Name][number] };

/** Every combination of the axes; the last varies fastest. */
export function cross<const A extends Axes>(axes: A): Point<A>[] {
  let points: Record<string, number | string | boolean>[] = [{}];
  for (const [name, values] of Object.entries(axes)) {
    points = points.flatMap((point) => values.map((value) => ({ ...point, [name]: value })));
  }
  return points as Point<A>[];
}

/**
 * Every combination of `crossed`, each with one value of every axis of `dealt`. Those are dealt from a shuffled deck, so
 * that each value comes up equally often and with changing neighbours; the whole product would take minutes.
 */
export function sweep<const A extends Axes, const B extends Axes>(crossed: A, dealt: B): (Point<A> & Point<B>)[] {
  const decks = Object.entries(dealt).map(([name, values], axis) => {
    const random = new Random(1000 + axis);
    let deck: (number | string | boolean)[] = [];
    return {
      name,
      next(): number | string | boolean {
        if (deck.length === 0) deck = random.permutation(values.length).map((i) => values[i]!);
        return deck.pop()!;
      },
    };
  });
  return cross(crossed).map(
    (point) =>
      ({ ...point, ...Object.fromEntries(decks.map(({ name, next }) => [name, next()])) }) as Point<A> & Point<B>,
  );
}

/** `K=5 slots=3 oneHot=true`, for messages. */
export function describeShape(shape: object): string {
  return Object.entries(shape)
    .map(([name, value]) => `${name}=${value}`)
    .join(" ");
}
