/*
 * Line charts as SVG text, both axes logarithmic: what grows in proportion is a straight line of slope 1.
 *
 * No chart library of a fitting licence and size draws without a DOM (tried: Observable Plot wants jsdom, Vega is 19 MB),
 * and these are rulers and polylines.
 */

const WIDTH = 640;
const HEIGHT = 360;
const BOX = { left: 72, right: 150, top: 40, bottom: 52 };

/** Distinct for most eyes on white and on black (Okabe & Ito 2008). */
const COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"];

export const escapeXml = (text) =>
  String(text).replace(/[&<>"']/g, (c) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" })[c]);

/**
 * Numbers of a logarithmic axis from below the least to above the greatest: 1, 2, 5 · 10^i, or powers of 10 where those
 * would be many.
 */
export function logTicks(least, greatest) {
  const decades = Math.log10(greatest / least);
  const steps = decades > 3 ? [1] : [1, 2, 5];
  const all = [];
  for (let i = Math.floor(Math.log10(least)) - 1; i <= Math.ceil(Math.log10(greatest)) + 1; i++) {
    for (const step of steps) all.push(Number(`${step}e${i}`));
  }
  const from = all.findLastIndex((tick) => tick <= least * 1.0001);
  const to = all.findIndex((tick) => tick >= greatest * 0.9999);
  return all.slice(from, to + 1);
}

const SUFFIXES = [
  [1e9, "G"],
  [1e6, "M"],
  [1e3, "k"],
];

/** 20000 as 20k; 1024 stays. */
export function tickLabel(value) {
  if (value < 1e5 && value % 100 !== 0) return String(value);
  const [scale, suffix] = SUFFIXES.find(([size]) => value >= size) ?? [1, ""];
  return `${Number((value / scale).toPrecision(3))}${suffix}`;
}

const round = (x) => Number(x.toFixed(1));

/**
 * @param {{ title: string, x: string, y: string, series: readonly { name: string, points: readonly [number, number][] }[] }} chart
 * @returns the text of an SVG file
 */
export function lineChart({ title, x, y, series }) {
  const points = series.flatMap((line) => line.points);
  const bad = points.find((point) => !point.every((value) => Number.isFinite(value) && value > 0));
  if (bad || points.length === 0) throw new Error(`chart "${title}": ${bad ?? "no points"} on logarithmic axes`);
  // What was measured stands on the x axis, whatever its steps.
  const xs = [...new Set(points.map(([value]) => value))].sort((a, b) => a - b);
  const [xMin, xMax] = [xs[0], xs.at(-1)];
  const values = points.map(([, value]) => value);
  const ticks = logTicks(Math.min(...values), Math.max(...values));
  const [yMin, yMax] = [ticks[0], ticks.at(-1)];
  const [innerWidth, innerHeight] = [WIDTH - BOX.left - BOX.right, HEIGHT - BOX.top - BOX.bottom];
  const along = (value, min, max) => (min === max ? 0.5 : Math.log(value / min) / Math.log(max / min));
  const px = (value) => round(BOX.left + innerWidth * along(value, xMin, xMax));
  const py = (value) => round(BOX.top + innerHeight * (1 - along(value, yMin, yMax)));
  const [right, bottom] = [WIDTH - BOX.right, HEIGHT - BOX.bottom];

  const grid = [
    ...ticks.map((tick) => `<path class="grid" d="M${BOX.left} ${py(tick)}H${right}"/>`),
    ...ticks.map((tick) => `<text x="${BOX.left - 8}" y="${py(tick) + 4}" text-anchor="end">${tickLabel(tick)}</text>`),
    ...xs.map((tick) => `<path class="grid" d="M${px(tick)} ${BOX.top}V${bottom}"/>`),
    ...xs.map((tick) => `<text x="${px(tick)}" y="${bottom + 18}" text-anchor="middle">${tickLabel(tick)}</text>`),
  ];
  // Names stand at the ends of their lines, pushed apart where those are near to each other.
  const ends = series
    .map((line, i) => ({ i, name: line.name, at: py(line.points.at(-1)[1]) }))
    .sort((a, b) => a.at - b.at);
  ends.forEach((end, i) => {
    end.at = Math.max(end.at, i === 0 ? 0 : ends[i - 1].at + 15);
  });
  const lines = series.flatMap((line, i) => {
    const colour = COLOURS[i % COLOURS.length];
    const corners = line.points.map(([a, b]) => `${px(a)},${py(b)}`);
    return [
      `<polyline fill="none" stroke="${colour}" stroke-width="2" points="${corners.join(" ")}"/>`,
      ...line.points.map(([a, b]) => `<circle cx="${px(a)}" cy="${py(b)}" r="3" fill="${colour}"/>`),
    ];
  });
  const names = ends.map(
    ({ i, name, at }) =>
      `<text x="${right + 10}" y="${round(at + 4)}" style="fill:${COLOURS[i % COLOURS.length]}">${escapeXml(name)}</text>`,
  );
  return `${[
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" width="${WIDTH}" height="${HEIGHT}" role="img">`,
    `<title>${escapeXml(title)}</title>`,
    "<style>text{font:12px sans-serif;fill:#57606a}.title{font-size:14px;font-weight:bold;fill:#24292f}" +
      ".grid{stroke:#8c959f;stroke-opacity:.35;fill:none}" +
      "@media(prefers-color-scheme:dark){text{fill:#8b949e}.title{fill:#e6edf3}}</style>",
    `<text class="title" x="${BOX.left}" y="22">${escapeXml(title)}</text>`,
    ...grid,
    ...lines,
    ...names,
    `<text x="${BOX.left + innerWidth / 2}" y="${HEIGHT - 12}" text-anchor="middle">${escapeXml(x)}</text>`,
    `<text transform="translate(16 ${BOX.top + innerHeight / 2}) rotate(-90)" text-anchor="middle">${escapeXml(y)}</text>`,
    "</svg>",
  ].join("\n")}\n`;
}
