import type { RefRow } from "./types.js";

/** libFM text, `label id:value …`; `#` comments and blank lines are skipped. Believes what it reads. */
export function readLibfm(text: string): RefRow[] {
  const rows: RefRow[] = [];
  for (const line of text.split("\n")) {
    const tokens = line.replace(/#.*/, "").trim().split(/\s+/);
    if (tokens[0] === "") continue;
    const slots = tokens.slice(1).map((token) => {
      const [feature, value] = token.split(":");
      return { feature: Number(feature), value: Number(value) };
    });
    rows.push({ label: Number(tokens[0]), slots });
  }
  return rows;
}
