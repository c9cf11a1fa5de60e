import type { Explanation } from "../model/explanation.js";
import { decimalsFor, nameOf, pairShares, type SlotName, term } from "./explain.js";
import { prediction } from "./format.js";

/** Sizes in pixels. */
const CELL = 58;
const MARGIN = 20;
const NAME_CHARACTER = 7.3;
const HEAD = 78;
const LEGEND = 58;
/** Cells without numbers beyond so many slots: there is no room for text. */
const SLOTS_WITH_NUMBERS = 24;
const SMALL_CELL = 18;

/** Ends of the scale: what lowers the score, nothing, what raises it. Dark enough at both ends for white text. */
const LOW = [33, 102, 172];
const NONE = [247, 247, 247];
const HIGH = [178, 24, 43];

const escaped = (text: string) => text.replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`);

/** Colour of a share, and of text on it. */
function colors(share: number, most: number): { fill: string; text: string } {
  const at = most === 0 ? 0 : Math.min(1, Math.abs(share) / most);
  const end = share < 0 ? LOW : HIGH;
  const mix = NONE.map((none, i) => Math.round(none + (end[i] - none) * at));
  return { fill: `rgb(${mix})`, text: at > 0.55 ? "#fff" : "#1a1a1a" };
}

/**
 * What each pair of slots adds to a score, as an SVG: a triangle of cells, on its diagonal what each slot adds alone.
 * Every number is there as text.
 */
export function heatMap(slots: readonly SlotName[], why: Explanation, name: string): string {
  const M = slots.length;
  const numbers = M <= SLOTS_WITH_NUMBERS;
  const cell = numbers ? CELL : SMALL_CELL;
  const names = slots.map((slot, s) => `${s} · ${nameOf(slot)}`);
  const left = MARGIN + Math.ceil(Math.max(0, ...names.map((text) => text.length)) * NAME_CHARACTER) + 8;
  const width = Math.max(left + M * cell + MARGIN, 520);
  const height = HEAD + M * cell + 26 + LEGEND;
  const alone = slots.map((_, s) => {
    return why.linear[s] + (why.network?.of === "slots" ? why.network.contributions[s] : 0);
  });
  const shares = new Map(pairShares(why).map((pair) => [M * pair.s + pair.t, pair]));
  const all = [...alone, ...Array.from(shares.values(), ({ share }) => share)];
  const most = Math.max(0, ...all.map(Math.abs));
  const decimals = decimalsFor(most);
  const cells: string[] = [];
  for (let t = 0; t < M; t++) {
    for (let s = 0; s <= t; s++) {
      const pair = shares.get(M * s + t);
      const share = s === t ? alone[s] : pair?.share;
      const [x, y] = [left + s * cell, HEAD + t * cell];
      const box = `x="${x}" y="${y}" width="${cell - 2}" height="${cell - 2}" rx="3"`;
      const what = s === t ? `${names[s]} alone` : `${names[s]} × ${names[t]}`;
      if (share === undefined) {
        cells.push(`<g><title>${escaped(what)}: no such pair</title><rect ${box} class="none"/></g>`);
        continue;
      }
      const { fill, text } = colors(share, most);
      const weight = pair ? `, weight ${pair.weight.toFixed(4)}` : "";
      const label = numbers
        ? `<text x="${x + cell / 2 - 1}" y="${y + cell / 2 + (pair ? -1 : 3)}" fill="${text}">${term(share, decimals)}</text>`
        : "";
      const small =
        numbers && pair
          ? `<text x="${x + cell / 2 - 1}" y="${y + cell / 2 + 14}" fill="${text}" class="small">T ${pair.weight.toFixed(3)}</text>`
          : "";
      const border = s === t ? ' class="alone"' : "";
      cells.push(
        `<g><title>${escaped(what)}: ${term(share, decimals)}${weight}</title><rect ${box} fill="${fill}"${border}/>${label}${small}</g>`,
      );
    }
  }
  const labels = names.flatMap((text, s) => [
    `<text x="${left - 8}" y="${HEAD + s * cell + cell / 2 + 4}" class="name">${escaped(text)}</text>`,
    `<text x="${left + s * cell + cell / 2 - 1}" y="${HEAD + M * cell + 16}">${s}</text>`,
  ]);
  const { network } = why;
  const rest = [`bias ${term(why.bias)}`];
  if (why.constant !== 0) rest.push(`batch norm ${term(why.constant)}`);
  if (network) rest.push(`network of zeros ${term(network.baseline)}`);
  const way = network
    ? network.of === "pairs"
      ? "pairs: integrated gradients of the network"
      : "diagonal: linear term and integrated gradients of the network"
    : "diagonal: linear terms";
  const strongest = [...shares.values()].sort((a, b) => Math.abs(b.share) - Math.abs(a.share)).slice(0, 3);
  const summary = strongest.map(({ s, t, share }) => `${names[s]} × ${names[t]} ${term(share, decimals)}`).join("; ");
  const scale = Array.from({ length: 41 }, (_, i) => {
    const { fill } = colors((i - 20) / 20, 1);
    return `<rect x="${left + i * 5}" y="${height - 46}" width="5.5" height="12" fill="${fill}"/>`;
  });
  const end = term(most, decimals).slice(1);
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" role="img" aria-labelledby="title desc">
<title id="title">${escaped(name)}: score ${prediction(why.score)}</title>
<desc id="desc">What each pair of slots adds to the score, ${escaped(way)}. Besides them ${escaped(rest.join(", "))}. The strongest pairs: ${escaped(summary)}.</desc>
<style>
text { font: 12px system-ui, sans-serif; text-anchor: middle; fill: #1a1a1a }
text[fill="#fff"] { fill: #fff }
.name { text-anchor: end } .head { font-size: 16px; font-weight: 600; text-anchor: start } .line { text-anchor: start }
.small { font-size: 10px } .none { fill: none; stroke: #bbb; stroke-dasharray: 2 2 } .alone { stroke: #555 }
</style>
<rect width="${width}" height="${height}" fill="#fff"/>
<text x="${MARGIN}" y="32" class="head">${escaped(name)}: score ${prediction(why.score)}</text>
<text x="${MARGIN}" y="54" class="line">${escaped([...rest, way].join(" · "))}</text>
${cells.join("\n")}
${labels.join("\n")}
${scale.join("")}
<text x="${left}" y="${height - 18}" class="line">-${end}</text>
<text x="${left + 102}" y="${height - 18}">0</text>
<text x="${left + 205}" y="${height - 18}" class="name">+${end}</text>
</svg>
`;
}

/** A page that holds a picture, and nothing from elsewhere. */
export function page(svg: string): string {
  const title = /<title id="title">(.*?)<\/title>/.exec(svg)?.[1] ?? "";
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>${title}</title>
<style>body { margin: 1rem; background: #fff } svg { max-width: 100%; height: auto }</style>
${svg}</html>
`;
}
