import { type Spawn, spawnHere } from "../threads-browser.js";
import type { ThreadData } from "../wasm/thread.js";
import type { Port } from "./host.js";

/*
 * Threads of the worker that the page starts. A worker can start others by itself, but in Firefox 153 that now and then
 * never returns: once in 10 to 60 starts, against none in 160 from a page.
 */

/** Worker to page: start this thread, or end it. */
type Order = { thread: number; data?: ThreadData };
/** Page to worker: it is ready, or why it has failed. */
type Report = { thread: number; failed?: string };

const isAboutThread = (data: object): data is Order & Report => "thread" in data;

/** In the worker: lets the page start the workers of threads. */
export function spawnInPage(port: Port): Spawn {
  const reports = new Map<number, (report: Report) => void>();
  let last = 0;
  port.addEventListener("message", (event) => {
    const { data } = event as MessageEvent<object>;
    if (isAboutThread(data)) reports.get(data.thread)?.(data);
  });
  return (data, onReady, onFail) => {
    const thread = ++last;
    reports.set(thread, ({ failed }) => (failed === undefined ? onReady() : onFail(failed)));
    port.postMessage({ thread, data } satisfies Order);
    return () => {
      if (reports.delete(thread)) port.postMessage({ thread } satisfies Order);
    };
  };
}

/** In the page: does so. */
export class PageThreads {
  readonly #ends = new Map<number, () => void>();

  constructor(worker: Pick<Worker, "postMessage" | "addEventListener">) {
    worker.addEventListener("message", (event) => {
      const { data } = event as MessageEvent<object>;
      if (!isAboutThread(data)) return;
      const { thread } = data;
      if (data.data === undefined) {
        this.#ends.get(thread)?.();
        this.#ends.delete(thread);
        return;
      }
      const report = (outcome: Omit<Report, "thread">) => worker.postMessage({ thread, ...outcome } satisfies Report);
      this.#ends.set(
        thread,
        spawnHere(
          data.data,
          () => report({}),
          (failed) => report({ failed }),
        ),
      );
    });
  }

  end(): void {
    for (const end of this.#ends.values()) end();
    this.#ends.clear();
  }
}
