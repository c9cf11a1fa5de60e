import { IfmError } from "../errors.js";
import { HEAP_BASE } from "./load.js";

const PAGE = 65536;
/** The last page stays unused: an end pointer of 4 GiB would wrap to 0. */
const LIMIT = 65535 * PAGE;

/**
 * Hands out addresses before the memory exists: sizes are known before the first step, memory is made once, and views
 * never go stale.
 */
export class Arena {
  #end: number;

  /** @param start first address */
  constructor(start = HEAP_BASE) {
    this.#end = start;
  }

  /** Address of `bytes` bytes, 64-aligned (a cache line). */
  take(bytes: number): number {
    const address = this.#end;
    this.#end = address + Math.ceil(bytes / 64) * 64;
    return address;
  }

  get bytes(): number {
    return this.#end;
  }

  /**
   * The memory that holds everything handed out.
   *
   * @param shared whether several threads use it
   * @throws IfmError IFM_MEMORY beyond 4 GiB, or when the runtime has no such memory
   */
  memory(what: string, shared = false): WebAssembly.Memory {
    const need = `${what} needs ${formatBytes(this.#end)}`;
    const hint = "fewer factors, a smaller batch or an optimizer with less state (sgd, adagrad) need less";
    if (this.#end > LIMIT)
      throw new IfmError("IFM_MEMORY", `${need}, expected at most ${formatBytes(LIMIT)}`, { hint });
    try {
      return new WebAssembly.Memory({ initial: Math.ceil(this.#end / PAGE), maximum: 65536, shared });
    } catch (cause) {
      throw new IfmError("IFM_MEMORY", `${need}, which this machine does not have`, { hint, cause });
    }
  }
}

/** 1536 -> "2 kB"; powers of 1000, as files are sold. */
export function formatBytes(bytes: number): string {
  if (bytes < 1000) return `${bytes} B`;
  const unit = Math.min(3, Math.floor(Math.log10(bytes) / 3));
  return `${(bytes / 1000 ** unit).toFixed(unit === 1 ? 0 : 1)} ${["", "kB", "MB", "GB"][unit]}`;
}
