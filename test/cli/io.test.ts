import { Writable } from "node:stream";
import { describe, expect, it, vi } from "vitest";
import { Interrupts } from "../../src/cli/interrupts.js";
import { Sink } from "../../src/cli/io.js";
import { testIo } from "./support.js";

/** A stream that takes one chunk and then waits. */
function slowStream() {
  const taken: string[] = [];
  let finish: (error?: Error) => void = () => undefined;
  const stream = new Writable({
    highWaterMark: 1,
    write(chunk: Buffer, _encoding, done) {
      taken.push(chunk.toString());
      finish = done;
    },
  });
  return { stream, taken, finish: (error?: Error) => finish(error) };
}

function failure(code: string): Error {
  return Object.assign(new Error(code), { code });
}

describe("a sink", () => {
  it("waits for a slow reader", async () => {
    const { stream, taken, finish } = slowStream();
    const sink = new Sink(stream);
    let flowed = false;
    const flow = sink.flow("a").then(() => {
      flowed = true;
    });
    await new Promise(setImmediate);
    expect([taken, flowed]).toEqual([["a"], false]);
    finish();
    await flow;
    expect(flowed).toBe(true);
  });

  it("says nothing when its reader goes away, even while it waits", async () => {
    const { stream, taken, finish } = slowStream();
    const sink = new Sink(stream);
    const flow = sink.flow("a");
    finish(failure("EPIPE"));
    await flow;
    expect(sink.closed).toBe(true);
    sink.write("b");
    await sink.flow("c");
    expect(taken).toEqual(["a"]);
  });

  it("throws any other failure", async () => {
    const { stream, finish } = slowStream();
    const sink = new Sink(stream);
    const flow = sink.flow("a");
    finish(failure("ENOSPC"));
    await expect(flow).rejects.toThrow("ENOSPC");
    expect(() => sink.write("b")).toThrow("ENOSPC");
  });

  it("lays out for the terminal, within reason", () => {
    const { stream } = slowStream();
    expect(new Sink(stream).columns).toBe(80);
    expect(new Sink(Object.assign(stream, { columns: 60 })).columns).toBe(60);
    expect(new Sink(Object.assign(stream, { columns: 0 })).columns).toBe(80);
    expect(new Sink(Object.assign(stream, { columns: 300 })).columns).toBe(100);
  });
});

describe("interrupts", () => {
  it("end the process at once while nothing is trained", () => {
    const io = testIo();
    const interrupts = new Interrupts(io, () => undefined);
    io.interrupt();
    expect(io.exits).toEqual([130]);
    expect(interrupts.signal.aborted).toBe(false);
  });

  it("stop a training at the first, the process at the second", () => {
    vi.useFakeTimers({ toFake: ["performance"] });
    const io = testIo();
    const onFirst = vi.fn();
    const interrupts = new Interrupts(io, onFirst);
    interrupts.training = true;
    io.interrupt();
    expect(interrupts.signal.aborted).toBe(true);
    expect(onFirst).toHaveBeenCalledOnce();
    expect(io.exits).toEqual([]);
    // The same Ctrl-C once more, by way of npx.
    vi.advanceTimersByTime(100);
    io.interrupt();
    expect(io.exits).toEqual([]);
    vi.advanceTimersByTime(1000);
    io.interrupt();
    expect(io.exits).toEqual([130]);
    expect(onFirst).toHaveBeenCalledOnce();
    vi.useRealTimers();
  });

  it("are left to others after the end", () => {
    const io = testIo();
    new Interrupts(io, () => undefined).dispose();
    io.interrupt();
    expect(io.exits).toEqual([]);
  });
});
