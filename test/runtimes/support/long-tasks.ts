import type { Page } from "./puppeteer.js";

/** A page that stands still for longer feels stuck. */
export const MOST_MILLISECONDS = 50;

/** What Chromium traces of a task; times in microseconds. */
interface TraceEvent {
  name: string;
  pid: number;
  tid: number;
  ts: number;
  /** Time of the processor, not of the clock: other programs of the machine do not count. */
  tdur?: number;
  args?: { name?: string };
}

/**
 * Milliseconds of the processor that the longest task of the page's own thread took between the marks "begins" and
 * "ends", which `work` sets; undefined in Firefox, which does not tell.
 */
export async function longestTask<T>(
  browser: "chromium" | "firefox",
  page: Page,
  work: () => Promise<T>,
): Promise<{ longest: number | undefined; result: T }> {
  if (browser === "firefox") return { longest: undefined, result: await work() };
  await page.tracing.start({ categories: ["toplevel", "blink.user_timing", "disabled-by-default-devtools.timeline"] });
  const result = await work();
  const bytes = await page.tracing.stop();
  const { traceEvents } = JSON.parse(new TextDecoder().decode(bytes)) as { traceEvents: TraceEvent[] };
  const marks = ["begins", "ends"].map((name) => traceEvents.find((event) => event.name === name));
  const [begins, ends] = marks;
  if (!begins || !ends) throw new Error("the page has set no marks");
  const tasks = traceEvents.filter(
    ({ name, pid, tid, ts, tdur }) =>
      name.endsWith("RunTask") &&
      tdur !== undefined &&
      pid === begins.pid &&
      tid === begins.tid &&
      ts > begins.ts &&
      ts < ends.ts,
  );
  if (tasks.length === 0) throw new Error("no task of the page was traced");
  return { longest: Math.max(...tasks.map(({ tdur }) => tdur! / 1000)), result };
}
