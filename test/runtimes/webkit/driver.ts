import { createServer } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { systemProgram } from "../install.js";
import type { Browser } from "../support/browser.js";
import { type Service, startService } from "../support/processes.js";

/** What a call may take: training in a page is one. */
const CALL_MILLISECONDS = 240_000;
const READY_MILLISECONDS = 10_000;

const ENVIRONMENT = {
  WEBKIT_DISABLE_COMPOSITING_MODE: "1",
  LIBGL_ALWAYS_SOFTWARE: "1",
  // Root cannot use its sandbox.
  WEBKIT_DISABLE_SANDBOX_THIS_IS_DANGEROUS: "1",
};

/** A port that nobody uses now. */
async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** Calls of the W3C's WebDriver protocol. */
async function call(url: string, method: string, body?: unknown): Promise<unknown> {
  const signal = AbortSignal.timeout(CALL_MILLISECONDS);
  const init = { method, signal, ...(body === undefined ? {} : { body: JSON.stringify(body) }) };
  const { value } = await (await fetch(url, init)).json();
  if (value?.error) throw new Error(`WebKit: ${value.error}: ${value.message}`);
  return value;
}

async function untilReady(driver: string): Promise<void> {
  const end = Date.now() + READY_MILLISECONDS;
  for (;;) {
    try {
      await call(`${driver}/status`, "GET");
      return;
    } catch (error) {
      if (Date.now() > end) throw error;
      await sleep(50);
    }
  }
}

/**
 * Starts WebKitGTK's MiniBrowser on a display of its own.
 *
 * @param env more of its environment, such as JavaScriptCore's options
 */
export async function launch(env: NodeJS.ProcessEnv = {}): Promise<Browser> {
  const services: Service[] = [];
  const end = async () => {
    for (const service of services.reverse()) await service[Symbol.asyncDispose]();
  };
  try {
    // It takes a display that is free and writes its number where it is told.
    const screen = ["-displayfd", "3", "-screen", "0", "1024x768x24", "-nolisten", "tcp"];
    const display = await startService(systemProgram("xvfb")!, screen, { ready: /(\d+)\n/, channel: 3 });
    services.push(display);

    const port = await freePort();
    const driver = `http://127.0.0.1:${port}`;
    const all = { ...ENVIRONMENT, DISPLAY: `:${display.said[1]}`, ...env };
    services.push(
      await startService(systemProgram("webkitDriver")!, [`--port=${port}`, "--host=127.0.0.1"], { env: all }),
    );
    await untilReady(driver);

    const { sessionId, capabilities } = (await call(`${driver}/session`, "POST", {
      capabilities: {
        alwaysMatch: {
          "webkitgtk:browserOptions": { binary: systemProgram("miniBrowser"), args: ["--automation"] },
          timeouts: { script: CALL_MILLISECONDS },
        },
      },
    })) as { sessionId: string; capabilities: { browserVersion: string } };
    const session = `${driver}/session/${sessionId}`;

    return {
      version: capabilities.browserVersion,
      async open(url) {
        await call(`${session}/url`, "POST", { url });
      },
      async evaluate(expression) {
        const script = `const done = arguments[0];
          Promise.resolve(${expression}).then((value) => done({ value }), (error) => done({ error: String(error) }));`;
        const result = await call(`${session}/execute/async`, "POST", { script, args: [] });
        const { value, error } = result as { value?: unknown; error?: string };
        if (error !== undefined) throw new Error(error);
        return value;
      },
      async [Symbol.asyncDispose]() {
        await call(session, "DELETE").catch(() => undefined);
        await end();
      },
    };
  } catch (error) {
    await end();
    throw error;
  }
}
