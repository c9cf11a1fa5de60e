import { type Engine, type Result, testFixture } from "./fixture-tests.js";
import { serve } from "./server.js";

/** A running browser with one page. */
export interface Browser extends AsyncDisposable {
  readonly version: string;
  open(url: string): Promise<void>;
  /** What an expression, or the promise that it is, comes to in the page. */
  evaluate(expression: string): Promise<unknown>;
}

/** How often a browser is started before it counts as broken: on a busy machine, some miss their time. */
const STARTS = 3;

export async function start<T>(launch: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await launch();
    } catch (error) {
      if (attempt === STARTS) throw error;
    }
  }
}

/** Drivers may say that a page is loaded before its script has run: it is waited for. */
const runWhenReady = (threads: number) => `(async () => {
  for (let i = 0; i < 300 && !window.runFixture; i++) await new Promise((resolve) => setTimeout(resolve, 100));
  return window.runFixture(${threads});
})()`;

/** The tests that every browser must pass. */
export function testBrowser(engine: Omit<Engine, "run">, launch: (threads: number) => Promise<Browser>): void {
  testFixture({
    ...engine,
    async run(threads) {
      await using server = await serve();
      await using browser = await start(() => launch(threads));
      await browser.open(`${server.origin}/test/runtimes/support/page/index.html`);
      const hashes = (await browser.evaluate(runWhenReady(threads))) as Result["hashes"];
      return { version: browser.version, hashes };
    },
  });
}
