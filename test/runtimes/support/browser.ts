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

/** The tests that every browser must pass. */
export function testBrowser(
  engine: Pick<Engine, "name" | "installed">,
  launch: (threads: number) => Promise<Browser>,
): void {
  testFixture({
    ...engine,
    oneThread: "this version has no threads in browsers",
    async run(threads) {
      await using server = await serve();
      await using browser = await start(() => launch(threads));
      await browser.open(`${server.origin}/test/runtimes/support/page/index.html`);
      const hashes = (await browser.evaluate(`window.runFixture(${threads})`)) as Result["hashes"];
      return { version: browser.version, hashes };
    },
  });
}
