import { execFile } from "node:child_process";
import { readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { describe, it } from "vitest";

// The examples in the documents run, and print what the documents say (tools/docs.js).

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const documents = readdirSync(`${ROOT}docs`).filter((name) => name.endsWith(".md"));

describe("commands and examples", () => {
  it.each(["README.md", ...documents.map((name) => `docs/${name}`)])("of %s", async (name) => {
    await promisify(execFile)(process.execPath, ["tools/docs.js", "--check", name], { cwd: ROOT });
  });
});
