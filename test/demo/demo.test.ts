import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { HEADERS } from "../../demo/server.js";
import { Model, readLibfm } from "../../src/api.js";
import { install, isInstalled, systemProgram } from "../runtimes/install.js";
import { start } from "../runtimes/support/browser.js";
import { longestTask, MOST_MILLISECONDS } from "../runtimes/support/long-tasks.js";
import { ROOT } from "../runtimes/support/processes.js";
import { launchTabs, type Page, type Tabs } from "../runtimes/support/puppeteer.js";
import { buildDemo, type DemoServer, serve, Visit } from "./support.js";

const notInstalled = await install();
const notBuilt = await buildDemo();
const FIELDS = 12;
const PAIRS = (FIELDS * (FIELDS - 1)) / 2;

let server: DemoServer;
beforeAll(async () => {
  server = await serve();
});
afterAll(() => server[Symbol.asyncDispose]());

it("is served with a policy that the page states, too, and no word of it is looser", async () => {
  const page = await readFile(join(ROOT, "demo/dist/index.html"), "utf8");
  const stated = /http-equiv="Content-Security-Policy"\s+content="([^"]+)"/.exec(page)?.[1];
  // Of frames a page cannot speak for itself.
  expect(`${stated}; frame-ancestors 'none'`).toBe(HEADERS["content-security-policy"]);
  const response = await fetch(`${server.url}../package.json`);
  expect(response.status).toBe(404);
});

for (const name of ["chromium", "firefox"] as const) {
  const there = systemProgram(name) !== undefined && isInstalled("puppeteer-core");
  const missing = notBuilt ?? (there ? undefined : [`${name} is not installed`, ...notInstalled].join("; "));
  if (missing !== undefined) console.error(`\nSKIPPED: the demo in ${name}: ${missing}\n`);

  describe.skipIf(missing !== undefined)(`the demo in ${name}`, () => {
    let browser: Tabs;
    let page: Page;
    let visit: Visit;
    beforeAll(async () => {
      browser = await start(() => launchTabs(name));
      page = await browser.newPage();
      visit = await Visit.begin(page, server.url);
    });
    afterAll(() => browser?.close());

    it("opens with the sample", async () => {
      expect(await visit.text("data-figures")).toMatch(/28,561.*4,000.*153/s);
      expect(await visit.evaluate("crossOriginIsolated")).toBe(true);
    });

    it("trains, and the page goes on meanwhile", async () => {
      await visit.fill({ epochs: 3, batchSize: 512 });
      const work = async () => {
        await visit.evaluate("performance.mark('begins')");
        await visit.train();
        await visit.evaluate("performance.mark('ends')");
      };
      const { longest } = await longestTask(name, page, work);
      if (longest !== undefined) expect(longest).toBeLessThan(MOST_MILLISECONDS);
      expect(await visit.text("tiles")).toMatch(/done.*of 3/s);
      expect(await visit.evaluate("document.getElementById('epochs-body').rows.length")).toBe(3);
      expect(await visit.text("curves-legend")).toMatch(/Log loss, epoch 3/);
    });

    it("says why a row has its score: the terms add up to it, and there is a cell for each pair", async () => {
      const equation = await visit.evaluate<string[]>(
        "Array.from(document.querySelectorAll('.term b'), (term) => term.textContent)",
      );
      const numbers = equation.map((text) => Number(text.replace("−", "-").replace(/[=+ ]/g, "")));
      const score = numbers.pop()!;
      expect(Math.abs(numbers.reduce((sum, term) => sum + term, 0) - score)).toBeLessThan(0.003);
      const cells = await visit.evaluate("document.querySelectorAll('#why .heat td[data-place] > span').length");
      expect(cells).toBe(2 * PAIRS);
      expect(await visit.evaluate("document.querySelectorAll('#fields .heat td[data-place] > span').length")).toBe(
        PAIRS,
      );
      expect(await visit.text("why")).toContain("marital-status");
    });

    it("ranks rows, and what else could stand in one", async () => {
      await visit.evaluate("document.querySelector('#orders button').click()");
      const scores = await visit.evaluate<string[]>(
        "Array.from(document.querySelectorAll('.row-score'), (s) => s.textContent)",
      );
      const numbers = scores.map(Number.parseFloat);
      expect(numbers).toEqual(numbers.toSorted((a, b) => b - a));
      await visit.evaluate("document.querySelectorAll('.row')[2].click()");
      await visit.until("document.querySelectorAll('.row')[2].getAttribute('aria-pressed') === 'true'");
      await visit.until("document.querySelectorAll('#what-if tbody tr').length >= 10");
      expect(await visit.text("what-if")).toContain("as it is");
    });

    it("gives the model as a file that Node reads, and goes on with it when it is opened again", async () => {
      const { name: file, bytes } = await visit.download("download");
      expect(file).toBe("ifm.safetensors");
      using model = await Model.load(bytes);
      const rows = await readLibfm(gunzipSync(await readFile(join(ROOT, "sample/adult.validation.libfm.gz"))));
      const scores = model.predict(rows, { link: "sigmoid" });
      const highest = `${(100 * scores.reduce((most, score) => Math.max(most, score), 0)).toFixed(1)} %`;
      expect(await visit.evaluate("document.querySelector('.row-score').textContent")).toBe(highest);

      const fresh = await Visit.begin(await browser.newPage(), server.url);
      await fresh.open("model-file", file, bytes);
      await fresh.until("!document.getElementById('why-card').hidden");
      expect(await fresh.text("file-summary")).toMatch(/^IFM, 16 factors/);
      await fresh.evaluate("document.querySelector('#orders button').click()");
      expect(await fresh.evaluate("document.querySelector('.row-score').textContent")).toBe(highest);
      expect(fresh.errors).toEqual([]);
    });

    it("stops when it is told to", async () => {
      await visit.fill({ epochs: 10_000, earlyStop: 0 });
      await visit.click("train");
      await visit.until("document.getElementById('tiles').innerText.includes('training')");
      await visit.until("document.getElementById('epochs-body').rows.length >= 1");
      await visit.click("stop");
      await visit.until("!document.getElementById('train').disabled");
      expect(await visit.text("tiles")).toContain("stopped");
    });

    it.each(["fm", "afm", "inn", "deepifm"])("trains and explains %s", async (model) => {
      await visit.fill({ model, epochs: 1 });
      await visit.train();
      expect(await visit.text("tiles")).toContain("done");
      const maps = await visit.evaluate("document.querySelectorAll('#why .heat').length");
      expect(maps).toBe(model === "fm" ? 1 : 2);
      expect(await visit.evaluate("document.getElementById('fields-card').hidden")).toBe(
        model === "fm" || model === "afm",
      );
    });

    it("reads files of one's own, and says what is wrong with one", async () => {
      const text = await readFile(join(ROOT, "sample/adult.validation.libfm.gz"));
      await visit.open("files", "own.libfm.gz", text);
      await visit.until("document.getElementById('data-summary').innerText === 'own.libfm.gz'");
      expect(await visit.text("data-figures")).toMatch(/3,600.*400/s);
      await visit.open("files", "broken.libfm", Buffer.from("1 0:1\n1 17\n"));
      await visit.until("!document.getElementById('data-error').hidden");
      expect(await visit.text("data-error")).toMatch(
        /^broken\.libfm:2:3: expected "id:value", found "17" — every feature/,
      );
    });

    it("is all named: every control has a name, every table says what its cells are", async () => {
      const unnamed =
        await visit.evaluate(`Array.from(document.querySelectorAll("button, select, input"), (control) => {
        const label = control.labels?.[0]?.textContent ?? control.getAttribute("aria-label") ?? control.textContent;
        return label.trim() === "" ? control.outerHTML : "";
      }).filter(Boolean)`);
      expect(unnamed).toEqual([]);
      const bare = await visit.evaluate(
        "Array.from(document.querySelectorAll('table')).filter((t) => !t.querySelector('th')).length",
      );
      expect(bare).toBe(0);
    });

    it("can be read with the keyboard: arrows go from cell to cell of a heat map", async () => {
      const moved = await visit.evaluate(`(() => {
        const cell = document.querySelector("#why .heat [data-place='3,1']");
        cell.focus();
        cell.dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowLeft", bubbles: true }));
        return document.activeElement.dataset.place;
      })()`);
      expect(moved).toBe("3,0");
    });

    it("is dark when it is asked to", async () => {
      const before = await visit.evaluate("getComputedStyle(document.body).backgroundColor");
      await visit.click("theme");
      expect(await visit.evaluate("getComputedStyle(document.body).backgroundColor")).not.toBe(before);
    });

    it("fits on a telephone", async () => {
      await page.setViewport({ width: 400, height: 800 });
      await visit.until("document.documentElement.scrollWidth <= 400");
    });

    it("has said nothing of errors", () => {
      expect(visit.errors).toEqual([]);
    });
  });
}
