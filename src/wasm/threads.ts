import { startThread, type Thread } from "#runtime";
import { IfmError } from "../errors.js";
import { Desc } from "./abi.js";
import type { Kernels } from "./load.js";
import type { MemoryPlan } from "./plan.js";
import { ACTIVE, FAILED, OPEN, PHASE, type ThreadData } from "./thread.js";

export const CONTROL_BYTES = 64;

/** Looks at ACTIVE before this thread sleeps until the others are done. */
const SPINS = 10_000;
/** A job takes milliseconds. */
const STUCK_MILLISECONDS = 30_000;

/** Ends the threads of a session that nobody holds any more. */
const forgotten = new FinalizationRegistry<Thread[]>(endAll);

function endAll(threads: Thread[]): void {
  for (const thread of threads.splice(0)) thread.end();
}

/**
 * The threads that compute the batches of one session: this one, which does all that is not a job, and others that help
 * it with the jobs of a phase (assembly/step.ts). How many there are changes no bit.
 */
export class Threads {
  readonly #module: WebAssembly.Module;
  readonly #memory: WebAssembly.Memory;
  readonly #kernels: Kernels;
  readonly #plan: Pick<MemoryPlan, "desc" | "control" | "scratch">;
  readonly #desc: Desc;
  readonly #words: Int32Array;
  readonly #others: Thread[] = [];
  #onLost: (reason: string) => void = () => {};

  constructor(
    module: WebAssembly.Module,
    memory: WebAssembly.Memory,
    kernels: Kernels,
    plan: Pick<MemoryPlan, "desc" | "control" | "scratch">,
  ) {
    this.#module = module;
    this.#memory = memory;
    this.#kernels = kernels;
    this.#plan = plan;
    this.#desc = new Desc(memory, plan.desc);
    this.#words = new Int32Array(memory.buffer, plan.control, CONTROL_BYTES / 4);
  }

  /** Threads that compute. */
  get count(): number {
    return 1 + this.#others.length;
  }

  /**
   * Starts a thread for each scratch but the first.
   *
   * @param onLost called with the reason when one cannot be started, and when one ends by itself
   */
  async start(onLost: (reason: string) => void): Promise<void> {
    const { desc, control, scratch } = this.#plan;
    this.#onLost = onLost;
    const starting = scratch.slice(1).map(async (own) => {
      const data = { module: this.#module, memory: this.#memory, control, desc, scratch: own };
      this.#others.push(await Threads.#startOne(new WeakRef(this), data));
    });
    for (const result of await Promise.allSettled(starting)) {
      if (result.status === "rejected") onLost(String(result.reason?.message ?? result.reason));
    }
    forgotten.register(this, this.#others, this);
  }

  /** What a running thread holds is never collected: its callback, and the scopes around it, must not hold the session. */
  static async #startOne(owner: WeakRef<Threads>, data: ThreadData): Promise<Thread> {
    const thread = await startThread(data, (reason) => owner.deref()?.lost(thread, reason));
    return thread;
  }

  private lost(thread: Thread, reason: string): void {
    const at = this.#others.indexOf(thread);
    if (at === -1) return;
    this.#others.splice(at, 1);
    this.#onLost(reason);
  }

  /** Ends all threads but this one. */
  stop(): void {
    forgotten.unregister(this);
    endAll(this.#others);
  }

  /** Trains the batch that the Desc describes. Returns its loss summed over the rows. */
  trainBatch(): number {
    const { desc, scratch } = this.#plan;
    if (this.count === 1) return this.#kernels.trainBatch(desc, scratch[0]!);
    this.#kernels.trainBegin(desc);
    this.#phase();
    const loss = this.#kernels.trainReduce(desc);
    do this.#phase();
    while (this.#kernels.trainNext(desc));
    return loss;
  }

  /**
   * Scores the rows that the Desc describes.
   *
   * @param meanwhile what this thread does first, while others have begun
   */
  predictBatch(meanwhile: () => void): void {
    const { desc, scratch } = this.#plan;
    if (this.count === 1) {
      this.#kernels.predictBatch(desc, scratch[0]!);
      meanwhile();
    } else {
      this.#kernels.predictBegin(desc);
      this.#phase(meanwhile);
    }
  }

  /** Does the jobs of a phase, together with whoever is awake in time. */
  #phase(meanwhile = () => {}): void {
    const { desc, scratch } = this.#plan;
    const words = this.#words;
    const alone = this.#desc.get("jobs") < 2;
    if (!alone) {
      Atomics.store(words, OPEN, 1);
      Atomics.add(words, PHASE, 1);
      Atomics.notify(words, PHASE);
    }
    try {
      meanwhile();
      this.#kernels.work(desc, scratch[0]!);
    } finally {
      Atomics.store(words, OPEN, 0);
    }
    if (alone) return;
    let spins = 0;
    while (Atomics.load(words, ACTIVE) > 0 && spins < SPINS) spins++;
    for (let active = Atomics.load(words, ACTIVE); active > 0; active = Atomics.load(words, ACTIVE)) {
      if (Atomics.wait(words, ACTIVE, active, STUCK_MILLISECONDS) === "timed-out") {
        throw new IfmError("IFM_WASM", `threads: ${active} of ${this.count - 1} have stopped within a batch`, {
          hint: "start again, with --threads 1 if it happens again",
        });
      }
    }
    if (Atomics.load(words, FAILED) === 1) throw new IfmError("IFM_WASM", "kernels: trapped on another thread");
  }
}
