/*
 * Colour scales in OKLab, where equal steps look equal. Lightness alone tells the order of a sequential scale, and blue
 * against orange the sign of a diverging one, so that both are read with any kind of colour vision.
 */

type Lab = [lightness: number, a: number, b: number];

const lch = (lightness: number, chroma: number, hue: number): Lab => {
  const angle = (hue * Math.PI) / 180;
  return [lightness, chroma * Math.cos(angle), chroma * Math.sin(angle)];
};

interface Scales {
  sequential: Lab[];
  /** From negative over zero to positive. */
  diverging: Lab[];
}

/** Zero has nearly the colour of the card. */
const SCALES: Record<"light" | "dark", Scales> = {
  light: {
    sequential: [
      lch(0.975, 0.012, 215),
      lch(0.86, 0.075, 205),
      lch(0.68, 0.115, 225),
      lch(0.48, 0.125, 255),
      lch(0.29, 0.1, 280),
    ],
    diverging: [
      lch(0.4, 0.135, 258),
      lch(0.7, 0.1, 248),
      lch(0.972, 0.004, 250),
      lch(0.76, 0.12, 62),
      lch(0.5, 0.135, 45),
    ],
  },
  dark: {
    sequential: [
      lch(0.27, 0.018, 260),
      lch(0.4, 0.09, 270),
      lch(0.56, 0.125, 245),
      lch(0.75, 0.115, 205),
      lch(0.95, 0.06, 175),
    ],
    diverging: [
      lch(0.8, 0.105, 235),
      lch(0.53, 0.115, 250),
      lch(0.27, 0.012, 260),
      lch(0.56, 0.115, 50),
      lch(0.84, 0.12, 72),
    ],
  },
};

export type Theme = keyof typeof SCALES;

/** 0 … 1. */
export function sequential(theme: Theme, value: number): string {
  return css(at(SCALES[theme].sequential, value));
}

/** −1 … 1. */
export function diverging(theme: Theme, value: number): string {
  return css(at(SCALES[theme].diverging, (value + 1) / 2));
}

function at(stops: Lab[], position: number): Lab {
  const x = Math.min(1, Math.max(0, position)) * (stops.length - 1);
  const i = Math.min(Math.floor(x), stops.length - 2);
  const [from, to] = [stops[i]!, stops[i + 1]!];
  return from.map((value, axis) => value + (x - i) * (to[axis]! - value)) as Lab;
}

const css = ([lightness, a, b]: Lab) => `oklab(${lightness.toFixed(4)} ${a.toFixed(4)} ${b.toFixed(4)})`;
