/**
 * A table of Markdown, columns aligned in the source; numbers are strings already.
 *
 * @param {readonly string[]} head a title that begins with `>` stands over a column of numbers
 * @param {readonly (readonly (string | number)[])[]} rows
 */
export function table(head, rows) {
  const right = head.map((title) => title.startsWith(">"));
  const cells = [head.map((title) => title.replace(/^>/, "")), ...rows].map((row) => {
    if (row.length !== head.length) throw new Error(`table: ${row.length} cells under ${head.length} titles`);
    return row.map((cell) => String(cell).replaceAll("|", "\\|").replaceAll("\n", " "));
  });
  const widths = head.map((_, c) => Math.max(3, ...cells.map((row) => [...row[c]].length)));
  const pad = (cell, c) => (right[c] ? cell.padStart(widths[c]) : cell.padEnd(widths[c]));
  const line = (row) => `| ${row.map(pad).join(" | ")} |`;
  const rule = `| ${widths.map((width, c) => (right[c] ? `${"-".repeat(width - 1)}:` : "-".repeat(width))).join(" | ")} |`;
  return [line(cells[0]), rule, ...cells.slice(1).map(line)].join("\n");
}
