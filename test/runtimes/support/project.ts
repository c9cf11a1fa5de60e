import { cp, mkdir, mkdtemp, realpath, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import type { Result } from "./fixture-tests.js";
import { output, ROOT, type Service } from "./processes.js";
import type { Server } from "./server.js";

export interface Project extends AsyncDisposable {
  folder: string;
}

/**
 * A user's folder: the built package in `node_modules`, so that each runtime finds its entry by `exports`, the fixture,
 * and the program beside the test.
 *
 * @param program of test/runtimes, such as `node/run.mjs`
 * @param files from elsewhere, to lie beside it
 */
export async function makeProject(program: string, files: readonly string[] = []): Promise<Project> {
  const folder = await realpath(await mkdtemp(join(tmpdir(), "ifm-wasm-runtime-")));
  const installed = join(folder, "node_modules", "ifm-wasm");
  await mkdir(installed, { recursive: true });
  for (const name of ["package.json", "dist", "wasm"]) {
    await cp(join(ROOT, name), join(installed, name), { recursive: true });
  }
  for (const name of ["fixture.mjs", program]) {
    await cp(join(ROOT, "test", "runtimes", name), join(folder, basename(name)));
  }
  for (const file of files) await cp(file, join(folder, basename(file)));
  await writeFile(join(folder, "package.json"), JSON.stringify({ type: "module", dependencies: { "ifm-wasm": "*" } }));
  return { folder, [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }) };
}

/** Runs the fixture by a program that prints its result as JSON, in a project of its own. */
export async function runProgram(
  program: string,
  binary: string,
  args: string[],
  threads: number,
  env: NodeJS.ProcessEnv = {},
): Promise<Result> {
  await using project = await makeProject(program);
  const text = await output(binary, [...args, basename(program), String(threads)], { cwd: project.folder, env });
  return JSON.parse(text);
}

/**
 * A service in a project of its own.
 *
 * @param program as of `makeProject`, and so are the files
 * @param start starts it; it has said its port in the first group of what it says when it is ready
 */
export async function startInProject(
  program: string,
  files: readonly string[],
  start: (project: Project) => Promise<Service>,
): Promise<Server> {
  const project = await makeProject(program, files);
  try {
    const service = await start(project);
    return {
      origin: `http://127.0.0.1:${service.said[1]}`,
      async [Symbol.asyncDispose]() {
        await service[Symbol.asyncDispose]();
        await project[Symbol.asyncDispose]();
      },
    };
  } catch (error) {
    await project[Symbol.asyncDispose]();
    throw error;
  }
}
