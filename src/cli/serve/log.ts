import type { Exchange } from "./http.js";
import type { LogFormat } from "./messages.js";

/** Milliseconds that lines may wait for others: one write for each request would take longer than many requests. */
const FLUSH_MILLISECONDS = 50;
/** Characters that are written at once at the latest. */
const FLUSH_CHARACTERS = 32_768;

/** Writes a line for each request. */
export class RequestLog {
  readonly #format: LogFormat;
  readonly #write: (text: string) => void;
  #lines = "";
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(format: LogFormat, write: (text: string) => void) {
    this.#format = format;
    this.#write = write;
  }

  add(exchange: Exchange): void {
    if (this.#format === "none") return;
    const { client, method, path, status, milliseconds, bytes } = exchange;
    const time = new Date().toISOString();
    const rounded = Number(milliseconds.toFixed(2));
    // What clients send is no control character: Node refuses such request lines.
    this.#lines +=
      this.#format === "json"
        ? `${JSON.stringify({ time, client, method, path, status, milliseconds: rounded, bytes })}\n`
        : `${time} ${client} ${method} ${path} ${status} ${rounded} ms ${bytes} B\n`;
    if (this.#lines.length > FLUSH_CHARACTERS) this.flush();
    else this.#timer ??= setTimeout(() => this.flush(), FLUSH_MILLISECONDS);
  }

  /** Writes what waits. */
  flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#lines !== "") this.#write(this.#lines);
    this.#lines = "";
  }
}
