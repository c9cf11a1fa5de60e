import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { main } from "../src/cli/main.js";
import { testIo } from "./cli/support.js";
import { digestOf, readRecord } from "./runtimes/support/record.js";

// Links lead somewhere, and commands use options that exist. test/slow/docs.test.ts runs the examples.

const ROOT = fileURLToPath(new URL("../", import.meta.url));
const markdownIn = (folder: string) =>
  readdirSync(join(ROOT, folder))
    .filter((name) => name.endsWith(".md"))
    .map((name) => join(folder, name));
const documents = [...markdownIn("."), ...markdownIn("docs"), ...markdownIn("sample")];
const read = (name: string) => readFileSync(join(ROOT, name), "utf8");

const withoutCode = (text: string) => text.replace(/^(```+)[\s\S]*?^\1$/gm, "").replace(/`[^`\n]*`/g, "`code`");

/** As GitHub makes them of headings. */
function anchorsOf(text: string): Set<string> {
  const headings = text.replace(/^(```+)[\s\S]*?^\1$/gm, "").matchAll(/^#+ +(.*)$/gm);
  const anchors = new Set<string>();
  for (const [, heading] of headings) {
    const plain = heading.replace(/\[([^\]]*)\]\([^)]*\)/g, "$1").toLowerCase();
    const slug = plain.replace(/[^\p{L}\p{N}\p{M} _-]/gu, "").replaceAll(" ", "-");
    let anchor = slug;
    for (let n = 1; anchors.has(anchor); n++) anchor = `${slug}-${n}`;
    anchors.add(anchor);
  }
  return anchors;
}

describe.each(documents)("%s", (name) => {
  it("has links that lead somewhere", () => {
    const broken: string[] = [];
    for (const [, target] of withoutCode(read(name)).matchAll(/\]\(<?([^)\s>]+)>?(?:\s+"[^"]*")?\)/g)) {
      if (/^[a-z]+:/.test(target)) continue;
      const [path, anchor] = target.split("#");
      const file = path === "" ? name : relative(ROOT, join(ROOT, dirname(name), decodeURIComponent(path)));
      const exists = !file.startsWith("..") && existsSync(join(ROOT, file));
      if (!exists) broken.push(target);
      else if (anchor && statSync(join(ROOT, file)).isFile() && !anchorsOf(read(file)).has(anchor)) broken.push(target);
    }
    expect(broken).toEqual([]);
  });
});

describe("commands in the documents", () => {
  async function optionsOf(command: string): Promise<Set<string>> {
    const io = testIo();
    await main([command, "--help"], io);
    return new Set(io.stdout().match(/--[a-z][a-z0-9_-]*/g));
  }

  it("use options that exist", async () => {
    const known = new Map<string, Set<string>>();
    const unknown: string[] = [];
    let seen = 0;
    for (const name of documents) {
      const text = read(name).replace(/\\\n\s*/g, "");
      for (const [line, command] of text.matchAll(
        /\bifm-wasm (train|predict|evaluate|inspect|check|serve)\b[^`\n|&;#]*/g,
      )) {
        if (!known.has(command)) known.set(command, await optionsOf(command));
        for (const option of line.match(/--[a-z][a-z0-9_-]*/g) ?? []) {
          seen++;
          if (!known.get(command)?.has(option)) unknown.push(`${name}: ${option} in ${line}`);
        }
      }
    }
    expect(unknown).toEqual([]);
    expect(seen).toBeGreaterThan(0);
  });
});

describe("docs/RUNTIMES.md", () => {
  it("has the hash of what runtimes must come to", () => {
    const hash = digestOf(readRecord());
    expect(read("docs/RUNTIMES.md"), "run: npm run runtimes").toContain(`In full: \`${hash}\`\n`);
  });
});
