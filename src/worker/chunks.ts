import { decodeError, encodeError, type WireError } from "./protocol.js";

/*
 * A stream whose chunks are asked for, one by one, through a port. Streams themselves cannot be transferred in every
 * browser, and when they can, nothing tells the sender of an error to the receiver.
 */

type Request = "more" | "stop";
type Reply = { chunk: Uint8Array } | { error: WireError } | "end";

/** A port through which the chunks can be had; it goes to the other side. */
export function offerChunks(chunks: AsyncIterable<Uint8Array>): MessagePort {
  const { port1: here, port2: there } = new MessageChannel();
  const iterator = chunks[Symbol.asyncIterator]();
  const reply = async (): Promise<Reply> => {
    try {
      const { done, value } = await iterator.next();
      // A copy: whoever made the chunk may go on with its buffer.
      return done ? "end" : { chunk: value.slice() };
    } catch (error) {
      return { error: encodeError(error) };
    }
  };
  here.onmessage = async ({ data }: MessageEvent<Request>) => {
    if (data === "stop") {
      here.close();
      await iterator.return?.();
      return;
    }
    const answer = await reply();
    here.postMessage(answer, typeof answer === "object" && "chunk" in answer ? [answer.chunk.buffer] : []);
  };
  return there;
}

/** The chunks that the other side offers. The source is told when no more are wanted. */
export async function* chunksFrom(port: MessagePort): AsyncGenerator<Uint8Array> {
  try {
    for (;;) {
      const reply = await new Promise<Reply>((resolve) => {
        port.onmessage = ({ data }: MessageEvent<Reply>) => resolve(data);
        port.postMessage("more" satisfies Request);
      });
      if (reply === "end") return;
      if ("error" in reply) throw decodeError(reply.error);
      yield reply.chunk;
    }
  } finally {
    port.postMessage("stop" satisfies Request);
    port.close();
  }
}
