/** The chunks of a stream; not every runtime makes `ReadableStream` iterable. The stream is cancelled on early exit. */
export async function* iterate<T>(stream: ReadableStream<T>): AsyncGenerator<T> {
  const reader = stream.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield value;
    }
  } finally {
    // A stream that has failed rejects with its error, which `read` has thrown already.
    await reader.cancel().catch(() => undefined);
  }
}

/** A stream of the chunks that `chunks` gives, read only when they are asked for. */
export function toStream<T>(chunks: AsyncGenerator<T>): ReadableStream<T> {
  return new ReadableStream<T>(
    {
      async pull(controller) {
        const { done, value } = await chunks.next();
        if (done) controller.close();
        else controller.enqueue(value);
      },
      async cancel() {
        await chunks.return(undefined);
      },
    },
    { highWaterMark: 0 },
  );
}
