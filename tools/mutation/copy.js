// Copies of the project that faults are put into.

import { fork } from "node:child_process";
import { cpSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { listed, ROOT, stagesOf } from "./stages.js";

export const WORK = join(ROOT, "build/mutation");
const TESTER = fileURLToPath(new URL("./tester.js", import.meta.url));
/** Times what tests take without a fault, and seconds on top: a fault that makes a loop endless is noticed by it. */
const TIMEOUT = { times: 4, seconds: 20 };
/** A fault that fills the memory is to fill only some. */
const MEMORY = { NODE_OPTIONS: "--max-old-space-size=2048" };

/** Entries of the targets of asconfig.json, as in tools/build-wasm.js. */
const BUILDS = {
  release: ["assembly/index.ts"],
  predict: ["assembly/predict.ts"],
  debug: ["assembly/index.ts", "assembly/serve.ts"],
  kernels: ["assembly/kernels/index.ts"],
};
const OUTPUTS = [
  ...["ifm", "ifm-predict", "ifm-threads", "ifm-fast"].map((name) => `wasm/${name}.wasm`),
  ...["debug", "debug-threads", "kernels"].map((name) => `build/${name}.wasm`),
];

/** Those without a fault; the project may build others meanwhile. */
const sound = OUTPUTS.map((name) => ({ name, bytes: readFileSync(join(ROOT, name)) }));

/** Process groups of the testers: they end with this program. */
const running = new Set();
for (const signal of ["SIGINT", "SIGTERM"]) {
  process.once(signal, () => {
    for (const group of running) process.kill(-group, "SIGKILL");
    process.exit(1);
  });
}

/** A copy of the project, and the process that compiles and tests it. */
export class Copy {
  #folder;
  #tester;
  /** Files that are other ones than when the tester looked last. */
  #changed = new Set();

  /** One without a fault, to measure how long tests take; the last measurement. */
  static #sound;
  static #measured = Promise.resolve();
  static #limits = new Map();

  constructor(name) {
    this.#folder = join(WORK, `copy-${name}`);
    rmSync(this.#folder, { recursive: true, force: true });
    for (const file of listed()) {
      if (/^(docs|bench|demo|\.)/.test(file) && !file.startsWith(".gitignore")) continue;
      cpSync(join(ROOT, file), join(this.#folder, file));
    }
    for (const folder of ["build", "wasm"]) mkdirSync(join(this.#folder, folder));
    this.#restoreModules();
    // Bits do not depend on the optimizer, the time of a build does.
    const config = JSON.parse(readFileSync(join(ROOT, "asconfig.json"), "utf8"));
    Object.assign(config.options, { optimizeLevel: 0, converge: false });
    writeFileSync(join(this.#folder, "asconfig.json"), JSON.stringify(config));
    symlinkSync(join(ROOT, "node_modules"), join(this.#folder, "node_modules"));
  }

  /** @returns {Promise<"killed" | "timed out" | "survived" | "invalid">} invalid: the compiler refuses it */
  async try(file, mutant) {
    const path = join(this.#folder, file);
    const original = readFileSync(path);
    const stages = stagesOf(file);
    this.#changed.add(file);
    writeFileSync(path, mutant);
    try {
      for (const { builds, tests } of stages) {
        const limit = await Copy.#limitOf(tests);
        for (const target of builds) {
          if (!(await this.#ask({ target, entries: BUILDS[target] }))) return "invalid";
        }
        const passed = await this.#test(tests, limit);
        if (passed === undefined) return "timed out";
        if (!passed) return "killed";
      }
      return "survived";
    } finally {
      writeFileSync(path, original);
      this.#changed.add(file);
      if (stages.some(({ builds }) => builds.length > 0)) this.#restoreModules();
    }
  }

  /** Ends its process; another one starts when it is needed. */
  end() {
    const tester = this.#tester;
    this.#tester = undefined;
    if (tester === undefined) return;
    running.delete(tester.pid);
    tester.removeAllListeners();
    if (tester.exitCode === null && tester.signalCode === null) process.kill(-tester.pid, "SIGKILL");
  }

  static end() {
    Copy.#sound?.end();
  }

  /** Seconds that tests may take; they must pass without a fault. */
  static #limitOf(tests) {
    const key = tests.join(" ");
    const measure = async () => {
      Copy.#sound ??= new Copy("sound");
      const began = performance.now();
      if (!(await Copy.#sound.#test(tests))) throw new Error(`does not pass without a fault: ${key}`);
      return (TIMEOUT.times * (performance.now() - began)) / 1000 + TIMEOUT.seconds;
    };
    if (!Copy.#limits.has(key)) {
      Copy.#measured = Copy.#measured.then(measure);
      Copy.#limits.set(key, Copy.#measured);
    }
    return Copy.#limits.get(key);
  }

  #test(files, seconds) {
    const changed = [...this.#changed];
    this.#changed.clear();
    return this.#ask({ changed, files }, seconds);
  }

  /**
   * Asks the tester, which does one thing after the other.
   *
   * @returns {Promise<boolean | undefined>} undefined when it takes longer; false, too, when it breaks down
   */
  async #ask(message, seconds = 900) {
    this.#tester ??= await start(this.#folder);
    const tester = this.#tester;
    return new Promise((resolve) => {
      const settle = (answer, lives) => {
        clearTimeout(timer);
        tester.removeAllListeners();
        if (!lives) this.end();
        resolve(answer);
      };
      const timer = setTimeout(() => settle(undefined, false), 1000 * seconds);
      tester.once("message", (answer) => settle(answer, true)).once("exit", () => settle(false, false));
      tester.send(message);
    });
  }

  /** Puts modules without a fault in their place. */
  #restoreModules() {
    for (const { name, bytes } of sound) writeFileSync(join(this.#folder, name), bytes);
  }
}

/** A tester that is ready. */
function start(folder) {
  const tester = fork(TESTER, {
    cwd: folder,
    detached: true,
    stdio: ["ignore", "ignore", "ignore", "ipc"],
    env: { ...process.env, ...MEMORY },
  });
  running.add(tester.pid);
  return new Promise((resolve, reject) => {
    tester.once("message", () => resolve(tester));
    tester.once("exit", (code) => reject(new Error(`${TESTER} ended with ${code}`)));
  });
}
