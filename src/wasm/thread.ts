/** Words of the control block that threads share, i32[8]. */
export const PHASE = 0; // phases so far; threads that have nothing to do sleep on it
export const OPEN = 1; // 1 while jobs of the phase may be taken
export const ACTIVE = 2; // threads that may be taking some
export const FAILED = 3; // 1 after a kernel has trapped on some thread
export const END = 4; // 1 when threads that wake up are to return

/** What a thread needs. */
export interface ThreadData {
  /** The kernels, compiled for shared memory. */
  module: WebAssembly.Module;
  memory: WebAssembly.Memory;
  /** Addresses: of the control block, of the Desc, of this thread's scratch. */
  control: number;
  desc: number;
  scratch: number;
}

/**
 * Takes part in every phase until the thread is ended from outside, or told to end.
 *
 * It enters a phase if it is awake in time; nobody waits for a thread that has not entered. The other side (threads.ts)
 * closes the phase, then waits for those inside: whoever adds itself to ACTIVE and finds OPEN to be 0 has come too late,
 * and touches nothing.
 *
 * Its text is what another thread runs: it must stay free of imports and of names outside of it.
 *
 * @param ready called when it can take part
 */
export function runThread({ module, memory, control, desc, scratch }: ThreadData, ready: () => void): void {
  const [PHASE, OPEN, ACTIVE, FAILED, END] = [0, 1, 2, 3, 4];
  // About 100 µs: more than what lies between two phases of a batch, and than it takes to wake up.
  const SPINS = 10_000;
  const words = new Int32Array(memory.buffer, control, 8);
  const abort = () => {
    throw new Error("a kernel's assertion failed");
  };
  const { exports } = new WebAssembly.Instance(module, { env: { memory, abort } });
  const work = exports.work as (desc: number, scratch: number) => void;
  let seen = Atomics.load(words, PHASE);
  ready();
  while (Atomics.load(words, END) === 0) {
    let spins = 0;
    while (Atomics.load(words, PHASE) === seen && spins < SPINS) spins++;
    Atomics.wait(words, PHASE, seen);
    seen = Atomics.load(words, PHASE);
    Atomics.add(words, ACTIVE, 1);
    try {
      if (Atomics.load(words, OPEN) === 1) work(desc, scratch);
    } catch {
      Atomics.store(words, FAILED, 1);
    }
    if (Atomics.sub(words, ACTIVE, 1) === 1) Atomics.notify(words, ACTIVE);
  }
}
