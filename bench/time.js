/* Clocks, medians, and numbers as people read them. */

/** @param {ArrayLike<number>} values */
export function median(values) {
  const sorted = Float64Array.from(values).sort();
  const half = sorted.length >> 1;
  if (sorted.length === 0) return Number.NaN;
  return sorted.length % 2 === 1 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
}

/** Milliseconds that the process has computed. Other work on the machine changes them less than the time on the clock. */
export function cpuMilliseconds() {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

/**
 * Median seconds of a call. The first call is not counted: it compiles and faults pages in.
 *
 * @param {() => unknown} call awaited when it gives a promise
 * @param {number} seconds budget; at least `least` calls are timed
 */
export async function secondsOf(call, seconds, least = 3) {
  await call();
  const times = [];
  for (let spent = 0; spent < seconds || times.length < least; ) {
    const begin = performance.now();
    const result = call();
    if (result instanceof Promise) await result;
    const time = (performance.now() - begin) / 1000;
    times.push(time);
    spent += time;
    // A call that is that slow is not called again and again.
    if (times.length > 0 && spent > 4 * seconds) break;
  }
  return median(times);
}

/** Three significant digits, thousands as k, millions as M: 3.19M, 845k, 9.1k, 12.3. */
export function short(x) {
  if (!Number.isFinite(x)) return "–";
  const [scale, unit] = x >= 1e6 ? [1e6, "M"] : x >= 1e3 ? [1e3, "k"] : [1, ""];
  return `${digits(x / scale)}${unit}`;
}

/** About three significant digits, no exponent. */
export function digits(x) {
  if (!Number.isFinite(x)) return "–";
  const size = Math.abs(x);
  return x.toFixed(size >= 100 ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : size === 0 ? 0 : 3);
}

export const percent = (x) => (Number.isFinite(x) ? `${(100 * x).toFixed(0)} %` : "–");
export const ratio = (x) => (Number.isFinite(x) ? `${digits(x)} ×` : "–");
