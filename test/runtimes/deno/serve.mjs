// Beside model.safetensors in a folder that has the package installed. Prints where it listens.
import { Model } from "ifm-wasm/predict";
import { createHandler } from "ifm-wasm/serve";

const handler = createHandler(await Model.load("model.safetensors"), { token: "secret" });
const onListen = ({ port }) => console.log(`listening on ${port}`);
Deno.serve({ hostname: "127.0.0.1", port: 0, onListen }, handler);
