// Bundles a target with a counter in every branch, so that the fuzzer sees which way an input went.

import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { rolldown } from "rolldown";
import { parseAst } from "rolldown/parseAst";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const COUNTERS = "globalThis.fuzzCounters";

/** Statements that a branch may be without braces around it. */
const isBranch = (parent, key) =>
  (parent.type === "IfStatement" && key !== "test") ||
  (/^(For|ForIn|ForOf|While|DoWhile)Statement$/.test(parent.type) && key === "body");

/** Expressions of which only one is evaluated, or perhaps none. */
const isChoice = (parent, key) =>
  (parent.type === "ConditionalExpression" && key !== "test") ||
  (parent.type === "LogicalExpression" && key === "right") ||
  (parent.type === "ArrowFunctionExpression" && key === "body");

/**
 * Puts `counter[i]++` into every function, branch, loop body, case and operand that need not be evaluated.
 *
 * @param {string} code an ES module
 * @returns {{ code: string, counters: number }}
 */
export function instrument(code) {
  let counters = 0;
  /** By position: what goes there. Ends come before beginnings; of several ends, the inner one first. */
  const ends = new Map();
  const begins = new Map();
  const begin = (at, text) => begins.set(at, (begins.get(at) ?? "") + text);
  const end = (at, text) => ends.set(at, text + (ends.get(at) ?? ""));
  const count = () => `c$[${counters++}]++`;

  const visit = (node, parent, key) => {
    if (node.type === "BlockStatement" && parent.type !== "StaticBlock") begin(node.start + 1, `${count()};`);
    else if (isBranch(parent, key)) {
      begin(node.start, `{${count()};`);
      end(node.end, "}");
    } else if (isChoice(parent, key)) {
      begin(node.start, `(${count()},`);
      end(node.end, ")");
    } else if (parent.type === "SwitchCase" && node === parent.consequent[0]) begin(node.start, `${count()};`);
    for (const [name, value] of Object.entries(node)) {
      for (const child of Array.isArray(value) ? value : [value]) {
        if (child !== null && typeof child === "object" && typeof child.type === "string") visit(child, node, name);
      }
    }
  };
  const program = parseAst(code);
  for (const node of program.body) visit(node, program, "body");

  let out = "";
  let done = 0;
  for (const at of [...new Set([...ends.keys(), ...begins.keys()])].sort((a, b) => a - b)) {
    out += code.slice(done, at) + (ends.get(at) ?? "") + (begins.get(at) ?? "");
    done = at;
  }
  out += code.slice(done);
  return { code: `const c$ = (${COUNTERS} ??= new Uint8Array(${counters}));\n${out}`, counters };
}

/**
 * Writes the instrumented bundle of a target beside the folders that the package's code looks for (wasm/).
 *
 * @returns {Promise<string>} its path
 */
export async function buildTarget(name) {
  const bundle = await rolldown({
    input: fileURLToPath(new URL(`targets/${name}.js`, import.meta.url)),
    cwd: ROOT,
    platform: "node",
    external: /^node:/,
  });
  const { output } = await bundle.generate({ format: "esm", codeSplitting: false });
  await bundle.close();
  const file = `${ROOT}build/fuzz-${name}.js`;
  writeFileSync(file, instrument(output[0].code).code);
  return file;
}
