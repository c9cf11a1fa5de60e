import { createHash } from "node:crypto";
import { afterAll, beforeAll, describe, expect, inject, it } from "vitest";
import { createTrainer, readLibfm } from "../../../src/api.js";
import { libfmText, plantedRows } from "../../support/data.js";
import { start } from "./browser.js";
import { longestTask, MOST_MILLISECONDS } from "./long-tasks.js";
import { launchTabs, type Page, type Tabs } from "./puppeteer.js";
import { type Server, serve } from "./server.js";

/** A busy machine starts a browser slowly. */
const START_TIMEOUT = 120_000;
const PAGE = "/test/runtimes/support/page/worker.html";
const TEXT = libfmText(plantedRows(2000, 5));
const SHAPE = { model: { model: "ifm", factors: 8 }, train: { epochs: 3, batchSize: 100 } } as const;

/** A large table, so that most of the time checkpoints are being written. */
const LARGE = { model: { model: "fm", factors: 32, features: 20_000 }, train: { epochs: 3, batchSize: 100 } } as const;

/** What training in a worker says, see page/worker-page.js. */
interface Run {
  threads: number;
  warnings: string[];
  events: string[];
  model: string;
}

/** Workers that are killed: KILLS=100 npx vitest run --project runtimes test/runtimes/chromium/worker */
const KILLS = Number(process.env.KILLS ?? 12);

/** What going on says. */
interface GoneOn {
  resumed?: number;
  warnings: string[];
  /** None if it was killed. */
  model?: string;
}

async function modelInNode(shape: typeof SHAPE | typeof LARGE = SHAPE): Promise<string> {
  using trainer = await createTrainer({ ...shape, data: { train: await readLibfm(TEXT) } });
  for await (const _ of trainer);
  using model = trainer.model();
  return createHash("sha256").update(model.toBytes()).digest("hex");
}

/** The tests of `ifm-wasm/worker` that every browser must pass. */
export function testWorker(name: "chromium" | "firefox", installed: boolean): void {
  const missing = installed ? undefined : [`${name} is not installed`, ...inject("notInstalled")].join("; ");
  if (missing !== undefined) console.error(`\nSKIPPED: ${missing}\n`);

  describe.skipIf(missing !== undefined)(`ifm-wasm/worker in ${name}`, () => {
    let browser: Tabs;
    let server: Server;
    let plain: Server;
    beforeAll(async () => {
      [browser, server, plain] = await Promise.all([
        start(() => launchTabs(name)),
        serve(),
        serve({ isolated: false }),
      ]);
    }, START_TIMEOUT);
    afterAll(async () => {
      await browser?.close();
      for (const each of [server, plain]) await each?.[Symbol.asyncDispose]();
    });
    const open = async ({ origin }: Server): Promise<Page> => {
      const page = await browser.newPage();
      await page.goto(origin + PAGE);
      return page;
    };
    const train = (page: Page, threads: number) =>
      page.evaluate(`window.ifm.train(${JSON.stringify(TEXT)}, ${JSON.stringify(SHAPE)}, ${threads})`) as Promise<Run>;

    const goOnIn = (page: Page, folder: string, milliseconds?: number, inWrite?: boolean) => {
      const args = [TEXT, LARGE, folder, milliseconds, inWrite]
        .map((each) => JSON.stringify(each) ?? "undefined")
        .join(", ");
      return page.evaluate(`window.ifm.goOn(${args})`) as Promise<GoneOn>;
    };
    const lookInto = (page: Page, folder: string) =>
      page.evaluate(`window.ifm.lookInto("${folder}")`) as Promise<{ names: string[]; damaged: string[] }>;

    it("trains to the bits of Node, with one thread and with two", async () => {
      const page = await open(server);
      const expected = await modelInNode();
      const alone = await train(page, 1);
      expect(alone).toMatchObject({ threads: 1, warnings: [], model: expected });
      expect(alone.events.filter((event) => event !== "progress")).toEqual(["start", "epoch", "epoch", "epoch", "end"]);
      expect(await train(page, 2)).toMatchObject({ threads: 2, warnings: [], model: expected });
    });

    it("starts and ends threads again and again", async () => {
      const page = await open(server);
      for (let run = 0; run < 25; run++) expect(await train(page, 2)).toMatchObject({ threads: 2, warnings: [] });
    });

    it("says once why it has one thread in a page that is not isolated", async () => {
      const run = await train(await open(plain), 2);
      expect(run).toMatchObject({ threads: 1, model: await modelInNode() });
      expect(run.warnings).toEqual([expect.stringContaining("Cross-Origin-Opener-Policy")]);
    });

    it("trains in several tabs, and several times in one, at once", async () => {
      const pages = await Promise.all([open(server), open(server)]);
      const runs = await Promise.all([...pages, ...pages].map((page) => train(page, 1)));
      expect(new Set(runs.map(({ model }) => model))).toEqual(new Set([await modelInNode()]));
    });

    it("saves models into the browser's file system, whole, over others", async () => {
      const page = await open(server);
      const saved = await page.evaluate(`window.ifm.saveAndRead(${JSON.stringify(TEXT)}, ${JSON.stringify(SHAPE)})`);
      expect(saved).toEqual({ names: ["ifm.safetensors"], same: true });
    });

    it("goes on from its checkpoints, whenever its worker is killed, to the same bytes", async () => {
      const page = await open(server);
      const goOn = (milliseconds?: number, inWrite?: boolean) => goOnIn(page, "killed", milliseconds, inWrite);
      const places = new Set<number>();
      const seen = { kills: 0, inWrites: 0, finished: 0 };
      const expected = await modelInNode(LARGE);
      let unfinished = 0;
      for (let kill = 0; kill < KILLS; kill++) {
        const { resumed, model } = await goOn(80 * (1 + (kill % 5)), kill % 2 === 0);
        if (resumed !== undefined) places.add(resumed);
        const { names, damaged } = await lookInto(page, "killed");
        expect(damaged).toEqual([]);
        // Two, and a third between its rename and the removal of the oldest.
        expect(names.filter((each) => each.endsWith(".ifmckpt")).length).toBeLessThanOrEqual(3);
        if (model !== undefined) {
          // It came to its end before it was killed.
          expect(model).toBe(expected);
          seen.finished++;
          await page.evaluate('window.ifm.removeOpfsEntry("killed")');
          unfinished = 0;
          continue;
        }
        seen.kills++;
        const left = names.filter((each) => each.endsWith(".tmp")).length;
        if (left > unfinished) seen.inWrites++;
        unfinished = left;
      }
      console.log(`killed in ${name}: ${JSON.stringify({ ...seen, places: places.size })}`);
      expect(places.size).toBeGreaterThan(1);
      expect(seen.inWrites).toBeGreaterThan(0);
      const last = await goOn();
      expect(last).toMatchObject({ warnings: [], model: expected });
    });

    it("goes on in another tab when one was closed", async () => {
      const closed = await open(server);
      const ended = goOnIn(closed, "closed").catch(() => "closed");
      const page = await open(server);
      // Until there is something to go on from.
      await expect
        .poll(
          () =>
            lookInto(page, "closed").then(
              ({ names }) => names.length,
              () => 0,
            ),
          { timeout: 60_000 },
        )
        .toBeGreaterThan(1);
      await closed.close();
      expect(await ended).toBe("closed");
      const { resumed, model } = await goOnIn(page, "closed");
      expect(resumed).toBeGreaterThan(0);
      expect(model).toBe(await modelInNode(LARGE));
    });

    it("keeps checkpoints for a training in the page itself, too", async () => {
      const page = await open(server);
      const call = `window.ifm.goOnInPage(${JSON.stringify(TEXT)}, ${JSON.stringify(SHAPE)}, "page")`;
      const { names, ...rest } = (await page.evaluate(call)) as { names: string[] };
      expect(names.toSorted().map((each) => each.slice(0, 23))).toEqual([
        "checkpoint-000000000056",
        "checkpoint-000000000060",
      ]);
      expect(rest).toEqual({ resumed: 35, model: await modelInNode(), left: undefined });
    });

    it.each([
      ["given away", true],
      ["copied", false],
    ])("trains on a million rows, %s, until it is stopped, and the page goes on", async (_, transfer) => {
      const page = await open(server);
      const work = () => page.evaluate(`window.ifm.trainLong(1_000_000, 3_000, ${transfer})`);
      const { longest, result } = await longestTask(name, page, work);
      expect(result).toMatchObject({ reason: "aborted", given: transfer });
      expect((result as { progress: number }).progress).toBeGreaterThan(3);
      if (longest !== undefined) expect(longest).toBeLessThan(MOST_MILLISECONDS);
    });

    it("says when the worker's file is not there", async () => {
      const page = await open(server);
      expect(await page.evaluate("window.ifm.failToStart()")).toBe("IfmError IFM_WASM");
    });
  });
}
