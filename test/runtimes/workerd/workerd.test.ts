import { testFixture } from "../support/fixture-tests.js";
import { startWorkerd, workerdInstalled, workerdVersion } from "../support/workerd.js";

testFixture({
  name: "workerd",
  installed: workerdInstalled,
  oneThread: "it starts no threads",
  async run() {
    await using worker = await startWorkerd("workerd/worker.js");
    const response = await fetch(worker.origin);
    if (!response.ok) throw new Error(await response.text());
    return { version: await workerdVersion(), hashes: await response.json() };
  },
});
