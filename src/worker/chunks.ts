import { decodeError, encodeError, type WireError } from "./protocol.js";

/*
 * A stream whose chunks are asked for, one by one, through a port. Streams themselves cannot be transferred in every
 * browser.
 */

type Request = "more" | "stop";
type Reply = { chunk: Uint8Array } | { error: WireError } | "end";

/** Chunks for the other side: the port is to be sent there; `stop` ends it from here. */
export function offerChunks(chunks: AsyncIterable<Uint8Array>): { port: MessagePort; stop: () => void } {
  const { port1: here, port2: port } = new MessageChannel();
  const iterator = chunks[Symbol.asyncIterator]();
  const stop = () => {
    here.close();
    iterator.return?.().catch(() => undefined);
  };
  here.onmessage = async ({ data }: MessageEvent<Request>) => {
    if (data === "stop") stop();
    else reply(here, await nextOf(iterator));
  };
  return { port, stop };
}

function reply(port: MessagePort, answer: Reply): void {
  port.postMessage(answer, typeof answer === "object" && "chunk" in answer ? [answer.chunk.buffer] : []);
}

async function nextOf(iterator: AsyncIterator<Uint8Array>): Promise<Reply> {
  try {
    const { done, value } = await iterator.next();
    // A copy: whoever made the chunk may go on with its buffer.
    return done ? "end" : { chunk: new Uint8Array(value) };
  } catch (error) {
    return { error: encodeError(error) };
  }
}

/** The chunks that the other side offers; it is told when no more are wanted. */
export async function* chunksFrom(port: MessagePort): AsyncGenerator<Uint8Array> {
  try {
    for (;;) {
      const answer = await new Promise<Reply>((resolve) => {
        port.onmessage = ({ data }: MessageEvent<Reply>) => resolve(data);
        port.postMessage("more" satisfies Request);
      });
      if (answer === "end") return;
      if ("error" in answer) throw decodeError(answer.error);
      yield answer.chunk;
    }
  } finally {
    port.postMessage("stop" satisfies Request);
    port.close();
  }
}
