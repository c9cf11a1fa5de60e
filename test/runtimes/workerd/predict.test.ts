import { expect, inject, it } from "vitest";
import { createTrainer, readLibfm } from "../../../src/node.js";
import { startWorkerd, workerdInstalled } from "../support/workerd.js";

const ROWS = "1 0:1 2:1\n-1 1:1 2:1\n1 0:1 3:0.5\n";

it("workerd answers requests with the scores that Node computes", async (context) => {
  context.skip(!workerdInstalled, ["workerd is not installed", ...inject("notInstalled")].join("; "));
  const train = await readLibfm(ROWS);
  using trainer = await createTrainer({ model: { model: "ifm" }, train: { epochs: 3 }, data: { train } });
  for await (const _event of trainer);
  using model = trainer.model();

  await using worker = await startWorkerd("../bundlers/edge/handler.js");
  const form = new FormData();
  form.set("model", new Blob([Uint8Array.from(model.toBytes())]), "model.safetensors");
  form.set("rows", new Blob([ROWS]), "rows.libfm");
  const response = await fetch(worker.origin, { method: "POST", body: form });
  expect(await response.json()).toEqual(Array.from(model.predict(train, { link: "sigmoid" })));
});
