import * as api from "ifm-wasm";
import { runFixture } from "./fixture.mjs";

export default {
  async fetch() {
    return Response.json(await runFixture(api));
  },
};
