import type { Limits } from "./limits.js";
import { Problem } from "./problem.js";

/** Room for the first bytes of a body. */
const FIRST_BYTES = 16_384;

/** What the bodies that are being read take, all together. */
export interface Pending {
  requests: number;
  bytes: number;
}

/**
 * The body of a request, once it is there. What it says about its length is not believed: reading stops at the limit.
 *
 * @throws Problem when it is too large or too slow, or when too many others are being read
 */
export async function readBody(request: Request, limits: Limits, pending: Pending): Promise<Uint8Array> {
  if (Number(request.headers.get("content-length")) > limits.maxBodyBytes) throw tooLarge(limits);
  if (request.body === null) return new Uint8Array();
  if (pending.requests >= limits.maxConcurrent) throw busy();
  const buffer = new Growing(limits, pending);
  const reader: ReadableStreamDefaultReader<Uint8Array> = request.body.getReader();
  const stop = new Stop(request.signal, limits.timeoutMilliseconds);
  pending.requests++;
  let ended = false;
  try {
    for (;;) {
      const { done, value } = await Promise.race([reader.read(), stop.reason]);
      if (done) {
        ended = true;
        return buffer.bytes();
      }
      buffer.push(value);
    }
  } catch (error) {
    if (error instanceof Problem) throw error;
    // The connection broke, or its content is no valid HTTP: nobody will read the response.
    throw new Problem("IFM_TIMEOUT", "the body of the request did not come to its end");
  } finally {
    stop.dispose();
    pending.requests--;
    buffer.dispose();
    // Whether the rest still comes is of no interest, and how that ends neither.
    if (!ended) reader.cancel().catch(() => undefined);
  }
}

function tooLarge({ maxBodyBytes }: Limits): Problem {
  return new Problem("IFM_TOO_LARGE", `expected a body of at most ${maxBodyBytes} bytes`);
}

function busy(): Problem {
  return new Problem("IFM_BUSY", "more requests at once than this server accepts; try again in a second", {
    headers: { "retry-after": "1" },
  });
}

/** Rejects when time is up or when the client has gone. */
class Stop {
  readonly reason: Promise<never>;
  readonly #signal: AbortSignal;
  readonly #timer: ReturnType<typeof setTimeout>;
  #onAbort: () => void = () => undefined;

  constructor(signal: AbortSignal, milliseconds: number) {
    this.#signal = signal;
    let reject: (reason: Problem) => void = () => undefined;
    this.reason = new Promise<never>((_, whenStopped) => {
      reject = whenStopped;
    });
    // It may be rejected while nobody waits.
    this.reason.catch(() => undefined);
    this.#onAbort = () => reject(new Problem("IFM_TIMEOUT", "the client has gone"));
    this.#timer = setTimeout(
      () => reject(new Problem("IFM_TIMEOUT", `expected the whole body within ${milliseconds / 1000} s`)),
      milliseconds,
    );
    if (signal.aborted) this.#onAbort();
    else signal.addEventListener("abort", this.#onAbort);
  }

  dispose(): void {
    clearTimeout(this.#timer);
    this.#signal.removeEventListener("abort", this.#onAbort);
  }
}

/**
 * One buffer that doubles: a list of chunks could be a million of one byte each. It takes no more than has come, whatever
 * length was announced.
 */
class Growing {
  readonly #limits: Limits;
  readonly #pending: Pending;
  #buffer = new Uint8Array();
  #length = 0;

  constructor(limits: Limits, pending: Pending) {
    this.#limits = limits;
    this.#pending = pending;
  }

  push(chunk: Uint8Array): void {
    const length = this.#length + chunk.length;
    if (length > this.#limits.maxBodyBytes) throw tooLarge(this.#limits);
    if (length > this.#buffer.length) this.#grow(Math.max(FIRST_BYTES, 2 * this.#buffer.length, length));
    this.#buffer.set(chunk, this.#length);
    this.#length = length;
  }

  #grow(size: number): void {
    const more = size - this.#buffer.length;
    if (this.#pending.bytes + more > this.#limits.maxPendingBytes) throw busy();
    this.#pending.bytes += more;
    const larger = new Uint8Array(size);
    larger.set(this.#buffer.subarray(0, this.#length));
    this.#buffer = larger;
  }

  bytes(): Uint8Array {
    return this.#buffer.subarray(0, this.#length);
  }

  dispose(): void {
    this.#pending.bytes -= this.#buffer.length;
  }
}
