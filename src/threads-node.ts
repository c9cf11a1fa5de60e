import { Worker } from "node:worker_threads";
import { runThread, type ThreadData } from "./wasm/thread.js";

/** Another thread; it keeps no process alive. */
export interface Thread {
  end(): void;
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
  const text = `const { parentPort, workerData } = require("node:worker_threads");
    (${runThread})(workerData, () => parentPort.postMessage("ready"));`;
  return new Promise((resolve, reject) => {
    const worker = new Worker(text, { eval: true, workerData: data, execArgv: [] });
    let why = "it ended by itself";
    let isReady = false;
    let ended = false;
    const timer = setTimeout(() => {
      reject(new Error(`it was not ready after ${START_MILLISECONDS / 1000} s`));
      void worker.terminate();
    }, START_MILLISECONDS);
    worker.once("message", () => {
      clearTimeout(timer);
      worker.unref();
      isReady = true;
      resolve({
        end() {
          ended = true;
          void worker.terminate();
        },
      });
    });
    worker.once("error", (error) => {
      why = error.message;
    });
    worker.once("exit", () => {
      clearTimeout(timer);
      if (!isReady) reject(new Error(why));
      else if (!ended) onEnd(why);
    });
  });
}
