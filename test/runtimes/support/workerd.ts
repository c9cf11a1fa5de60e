import { cp, mkdir, writeFile } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { rolldown } from "rolldown";
import { isInstalled, packageFolder } from "../install.js";
import { output, startService } from "./processes.js";
import { startInProject } from "./project.js";
import type { Server } from "./server.js";

export const workerdInstalled = isInstalled("workerd");
const binary = join(packageFolder("workerd"), "bin", "workerd");

/** As workerd itself calls it, such as `2026-11-17`. */
export const workerdVersion = async () => (await output(binary, ["--version"])).replace(/^workerd /, "");

/** What workerd gives as modules: compiled code, and bytes. */
const MODULES = /\.(wasm|safetensors)$/;

/** Bundles a worker as users' tools do, such modules beside it, and returns the names of those. */
async function bundle(source: string, folder: string): Promise<string[]> {
  const modules = new Map<string, string>();
  const build = await rolldown({
    input: source,
    platform: "neutral",
    resolve: { conditionNames: ["workerd", "import"], mainFields: ["module", "main"] },
    plugins: [
      {
        name: "modules",
        resolveId(id, importer) {
          if (!MODULES.test(id)) return null;
          const path = resolve(dirname(importer!), id);
          modules.set(basename(path), path);
          return { id: `./${basename(path)}`, external: true };
        },
      },
    ],
  });
  await build.write({ file: join(folder, "worker.js"), format: "esm", codeSplitting: false });
  await build.close();
  for (const [name, path] of modules) await cp(path, join(folder, name));
  return [...modules.keys()];
}

const kindOf = (module: string) => (module.endsWith(".wasm") ? "wasm" : "data");

/**
 * Serves a worker with workerd.
 *
 * @param program of test/runtimes, such as `workerd/worker.js`
 * @param files from elsewhere, which it imports
 */
export function startWorkerd(program: string, files: readonly string[] = []): Promise<Server> {
  return startInProject(program, files, async (project) => {
    const folder = join(project.folder, "built");
    await mkdir(folder);
    const modules = await bundle(join(project.folder, basename(program)), folder);
    const config = `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [(name = "main", worker = .worker)],
  sockets = [(name = "http", address = "127.0.0.1:0", http = (), service = "main")],
);
const worker :Workerd.Worker = (
  modules = [
    (name = "worker.js", esModule = embed "worker.js"),
${modules.map((name) => `    (name = "${name}", ${kindOf(name)} = embed "${name}"),\n`).join("")}  ],
  compatibilityDate = "2025-11-01",
);
`;
    await writeFile(join(folder, "config.capnp"), config);
    const args = ["serve", join(folder, "config.capnp"), "--control-fd=3"];
    return startService(binary, args, { ready: /"socket":"http","port":(\d+)/, channel: 3 });
  });
}
