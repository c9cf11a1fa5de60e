// Bundled beside model.safetensors, which workerd gives as bytes.
import { Model } from "ifm-wasm/predict";
import { createHandler } from "ifm-wasm/serve";
import bytes from "./model.safetensors";

let handler;

export default {
  async fetch(request) {
    handler ??= createHandler(await Model.load(new Uint8Array(bytes)), { token: "secret" });
    return handler(request);
  },
};
