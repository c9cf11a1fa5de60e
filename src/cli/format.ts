/** A whole number with thousands separators, the same in every locale: `1,234,567`. */
export function count(value: number): string {
  return String(Math.round(value)).replace(/\B(?=(?:\d{3})+$)/g, ",");
}

/** A size in bytes, to three digits: `5.53 MB`. */
export function bytes(value: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let size = value;
  let unit = 0;
  while (size >= 999.5 && unit < units.length - 1) {
    size /= 1000;
    unit++;
  }
  return `${unit === 0 ? size : size.toPrecision(3)} ${units[unit]}`;
}

/** A span of time: `0.12 s`, `14.2 s`, `2 min 05 s`, `3 h 07 min`. */
export function duration(seconds: number): string {
  if (!Number.isFinite(seconds)) return "–";
  if (seconds < 9.995) return `${seconds.toFixed(2)} s`;
  if (seconds < 59.95) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  const two = (value: number) => String(value).padStart(2, "0");
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${two(whole % 60)} s`;
  const minutes = Math.round(whole / 60);
  return `${Math.floor(minutes / 60)} h ${two(minutes % 60)} min`;
}

/** A metric with four decimals; a dash when there is none. */
export function metric(value: number | undefined): string {
  return value === undefined || !Number.isFinite(value) ? "–" : value.toFixed(4);
}

/** A loss of any size, in at most nine characters. */
export function loss(value: number): string {
  if (!Number.isFinite(value)) return "–";
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-4 || size >= 1e7)) return value.toExponential(3);
  if (size >= 1e5) return count(value);
  if (size >= 1000) return value.toFixed(1);
  return size >= 1 ? value.toPrecision(6) : value.toFixed(6);
}

/** A share as a percentage that does not round to nothing: `0.3 %`, `< 0.1 %`. */
export function percent(share: number): string {
  if (share > 0 && share < 0.0005) return "< 0.1 %";
  return `${(share * 100).toFixed(1)} %`;
}

/** A number as a person would write it: at most six significant digits, thousands separators in whole numbers. */
export function plain(value: number): string {
  if (Number.isInteger(value) && Math.abs(value) < 1e15) return count(value);
  return String(Number(value.toPrecision(6)));
}

/** A score with 9 significant digits, which is enough to read the same f32 back. */
export function prediction(score: number): string {
  return score.toPrecision(9);
}

/** Rows of cells as lines with aligned columns. Columns are left-aligned but for those in `right`. */
export function columns(rows: readonly (readonly string[])[], right: readonly number[] = [], gap = 2): string[] {
  const widths: number[] = [];
  for (const row of rows) {
    row.forEach((cell, i) => {
      widths[i] = Math.max(widths[i] ?? 0, cell.length);
    });
  }
  return rows.map((row) =>
    row
      .map((cell, i) => (right.includes(i) ? cell.padStart(widths[i]) : cell.padEnd(widths[i])))
      .join(" ".repeat(gap))
      .trimEnd(),
  );
}
