import { END, PHASE, type ThreadData } from "./wasm/thread.js";

/* Threads in browsers: web workers that share the memory of the one that trains. */

/** Threads that this machine runs at once, but for one that is left to the page; 1 where there can be no others. */
export function mostThreads(): number {
  return whyOneThread() === undefined ? Math.max(1, navigator.hardwareConcurrency - 1) : 1;
}

/** Why there can be no other threads here; undefined where there can. */
export function whyOneThread(): string | undefined {
  if (typeof Worker === "undefined") return "there are no workers here";
  if (!globalThis.crossOriginIsolated) {
    return (
      "the page is not cross-origin isolated; serve it with the headers " +
      "Cross-Origin-Opener-Policy: same-origin and Cross-Origin-Embedder-Policy: require-corp"
    );
  }
  // The thread that trains waits for the others, which a page's own may not.
  if ("document" in globalThis) return 'a page may not wait for them; train in a worker, as "ifm-wasm/worker" does';
  return undefined;
}

/** Another thread. */
export interface Thread {
  end(): void;
}

/**
 * Ends a thread: it returns and closes itself. Were workers of a worker terminated, Firefox (153) would sooner or later
 * hang in the constructor of the next one.
 */
function tellToEnd({ memory, control }: ThreadData): void {
  const words = new Int32Array(memory.buffer, control, 8);
  Atomics.store(words, END, 1);
  Atomics.add(words, PHASE, 1);
  Atomics.notify(words, PHASE);
}

/**
 * Starts the worker of a thread, and tells when it is ready, or why it has failed.
 *
 * @returns what ends it
 */
export type Spawn = (data: ThreadData, onReady: () => void, onFail: (reason: string) => void) => () => void;

/** Starts the worker from here. */
export const spawnHere: Spawn = (data, onReady, onFail) => {
  // Bundlers know this form, and make a file of the thread. It is one so that no policy has to allow code from text.
  const worker = new Worker(new URL("./worker-thread.js", import.meta.url), { type: "module" });
  worker.onmessage = onReady;
  worker.onerror = ({ message }) => onFail(message || "its file cannot be loaded");
  worker.postMessage(data);
  return () => tellToEnd(data);
};

let spawn = spawnHere;

/** Lets somebody else start the workers of threads, see worker/page-threads.ts. */
export function spawnBy(other: Spawn): void {
  spawn = other;
}

/** Milliseconds that a thread may take to start. */
const START_MILLISECONDS = 10_000;

/**
 * Starts a thread.
 *
 * @param onEnd called with the reason when it has been ready and ends without being told to
 * @returns when it is ready
 * @throws Error with the reason when it ends before
 */
export function startThread(data: ThreadData, onEnd: (reason: string) => void): Promise<Thread> {
  return new Promise((resolve, reject) => {
    let isReady = false;
    const fail = (reason: string) => {
      clearTimeout(timer);
      end();
      if (isReady) onEnd(reason);
      else reject(new Error(reason));
    };
    const ready = () => {
      clearTimeout(timer);
      isReady = true;
      resolve({ end });
    };
    const timer = setTimeout(() => fail(`it was not ready after ${START_MILLISECONDS / 1000} s`), START_MILLISECONDS);
    const end = spawn(data, ready, fail);
  });
}
