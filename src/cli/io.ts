/** What the command line needs of a standard stream. */
export type Stream = NodeJS.WritableStream & { readonly isTTY?: boolean; readonly columns?: number };

/** The two bundled files that `train` uses when no file is given. */
export interface SampleFiles {
  train: string;
  validation: string;
}

/** Ctrl-C, or a request to terminate. */
export type Signal = "SIGINT" | "SIGTERM";

/** The world around the command: all that it reads and writes besides files. */
export interface Io {
  /** Results. */
  readonly out: Sink;
  /** Messages, progress, warnings and errors. */
  readonly err: Sink;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly sample: SampleFiles;
  /** Calls `listener` at every Ctrl-C or request to terminate, until the returned function is called. */
  onInterrupt(listener: (signal: Signal) => void): () => void;
  /** Ends the process at once. */
  exit(code: number): void;
}

/**
 * A stream whose reader may go away (`… | head`): from then on what is written to it is dropped without a word.
 * Any other failure (a full disk) is thrown by the next `write` or `flush`.
 */
export class Sink {
  readonly stream: Stream;
  #closed = false;
  #failure: Error | undefined;
  #wake: (() => void) | undefined;

  constructor(stream: Stream) {
    this.stream = stream;
    stream.on("error", (error: NodeJS.ErrnoException) => {
      this.#closed = true;
      if (error.code !== "EPIPE") this.#failure = error;
      this.#wake?.();
    });
    stream.on("drain", () => this.#wake?.());
  }

  /** Whether nobody reads any more. */
  get closed(): boolean {
    return this.#closed;
  }

  get isTerminal(): boolean {
    return this.stream.isTTY === true;
  }

  /** Columns to lay text out for. A pseudo-terminal may say 0. */
  get columns(): number {
    return Math.min(Math.max(this.stream.columns || 80, 40), 100);
  }

  /** Writes text; what the stream cannot take yet waits in memory. */
  write(text: string): void {
    if (this.#failure !== undefined) throw this.#failure;
    if (!this.#closed) this.stream.write(text);
  }

  /** Writes text and resolves when the stream can take more: memory stays small with a slow reader. */
  async flow(text: string): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure;
    if (this.#closed || this.stream.write(text)) return;
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
    });
    this.#wake = undefined;
    if (this.#failure !== undefined) throw this.#failure;
  }
}
