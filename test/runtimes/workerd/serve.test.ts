import { testServing } from "../support/serve-tests.js";
import { startWorkerd, workerdInstalled } from "../support/workerd.js";

testServing({
  name: "workerd",
  installed: workerdInstalled,
  start: (modelFile) => startWorkerd("workerd/serve.js", [modelFile]),
});
