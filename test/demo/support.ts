import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { promisify } from "node:util";
import { serveDemo } from "../../demo/server.js";
import { ROOT } from "../runtimes/support/processes.js";
import type { Page } from "../runtimes/support/puppeteer.js";

const execute = promisify(execFile);
const npm = (args: string[]) => execute("npm", args, { cwd: ROOT, shell: process.platform === "win32" });

/** Builds the page; installs before what that takes, if it is not there. Returns why it cannot be built. */
export async function buildDemo(): Promise<string | undefined> {
  if (!existsSync(join(ROOT, "demo/node_modules/vite"))) {
    try {
      await npm(["ci", "--prefix", "demo", "--ignore-scripts", "--no-audit", "--no-fund"]);
    } catch (error) {
      return `what builds the demo cannot be installed (${(error as Error).message.split("\n")[0]})`;
    }
  }
  await npm(["run", "build", "--prefix", "demo"]);
  return undefined;
}

/** A visit to the page, which notes what goes wrong. */
export class Visit {
  readonly errors: string[] = [];
  readonly #page: Page;

  static async begin(page: Page, url: string): Promise<Visit> {
    const visit = new Visit(page);
    await page.goto(url);
    await visit.until("!document.getElementById('train').disabled");
    return visit;
  }

  private constructor(page: Page) {
    this.#page = page;
    page.on("pageerror", (error) => this.errors.push(error.message));
    page.on("console", (message) => {
      if (message.type() === "error" || message.type() === "warn") this.errors.push(message.text());
    });
  }

  evaluate<T>(expression: string): Promise<T> {
    return this.#page.evaluate(expression) as Promise<T>;
  }

  /** Waits until an expression is true. */
  async until(condition: string): Promise<void> {
    const done = await this.evaluate<boolean>(`new Promise((resolve) => {
      const end = Date.now() + 120_000;
      const look = () => (${condition} ? resolve(true) : Date.now() > end ? resolve(false) : setTimeout(look, 50));
      look();
    })`);
    if (!done) throw new Error(`the page never came to: ${condition}`);
  }

  text(id: string): Promise<string> {
    return this.evaluate(`document.getElementById(${JSON.stringify(id)}).innerText`);
  }

  /** Sets options of the form, by name. */
  async fill(options: Record<string, string | number>): Promise<void> {
    await this.evaluate(`for (const [name, value] of Object.entries(${JSON.stringify(options)})) {
      const field = document.getElementById("setup").elements.namedItem(name);
      field.value = value;
      (field instanceof RadioNodeList ? document.getElementById("models") : field).dispatchEvent(new Event("change"));
    }`);
  }

  click(id: string): Promise<void> {
    return this.evaluate(`document.getElementById(${JSON.stringify(id)}).click()`);
  }

  /** Trains to the end, and until the rows are scored and one is explained. */
  async train(): Promise<void> {
    await this.click("train");
    await this.until("!document.getElementById('train').disabled");
    await this.until("!document.getElementById('why-card').hidden");
  }

  /** Gives a file to an input, as if the user had chosen it. */
  async open(id: string, name: string, bytes: Uint8Array): Promise<void> {
    await this.evaluate(`{
      const bytes = Uint8Array.from(atob("${Buffer.from(bytes).toString("base64")}"), (character) => character.charCodeAt(0));
      const files = new DataTransfer();
      files.items.add(new File([bytes], ${JSON.stringify(name)}));
      const input = document.getElementById(${JSON.stringify(id)});
      input.files = files.files;
      input.dispatchEvent(new Event("change"));
    }`);
  }

  /** The bytes that a click lets the user download, and the name of the file. */
  async download(id: string): Promise<{ name: string; bytes: Uint8Array }> {
    const { name, base64 } = await this.evaluate<{ name: string; base64: string }>(`new Promise((resolve, reject) => {
      const { createObjectURL } = URL;
      const { click } = HTMLAnchorElement.prototype;
      let blob;
      URL.createObjectURL = (given) => createObjectURL.call(URL, (blob = given));
      HTMLAnchorElement.prototype.click = function () {
        URL.createObjectURL = createObjectURL;
        HTMLAnchorElement.prototype.click = click;
        const reader = new FileReader();
        reader.onload = () => resolve({ name: this.download, base64: reader.result.split(",")[1] });
        reader.onerror = () => reject(reader.error);
        reader.readAsDataURL(blob);
      };
      document.getElementById(${JSON.stringify(id)}).click();
    })`);
    return { name, bytes: Buffer.from(base64, "base64") };
  }
}

export interface DemoServer extends AsyncDisposable {
  url: string;
}

export async function serve(): Promise<DemoServer> {
  const server = await serveDemo(0);
  return {
    url: `http://localhost:${(server.address() as AddressInfo).port}/`,
    async [Symbol.asyncDispose]() {
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeAllConnections();
      await closed;
    },
  };
}
