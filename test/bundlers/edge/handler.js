import { Model, readLibfm } from "ifm-wasm/predict";

/** A form with a model file and rows, to scores: a handler of `fetch` that has nothing but web standards. */
export default {
  async fetch(request) {
    const form = await request.formData();
    const rows = await readLibfm(form.get("rows"));
    const model = await Model.load(form.get("model"));
    const scores = model.predict(rows, { link: "sigmoid" });
    model.dispose();
    return Response.json(Array.from(scores));
  },
};
