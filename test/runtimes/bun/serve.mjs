// Beside model.safetensors in a folder that has the package installed. Prints where it listens.
import { Model } from "ifm-wasm/predict";
import { createHandler } from "ifm-wasm/serve";

const fetch = createHandler(await Model.load("model.safetensors"), { token: "secret" });
const server = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch });
console.log(`listening on ${server.port}`);
