/** What runs in the web workers that help the one that trains. */
import { runThread, type ThreadData } from "./wasm/thread.js";

addEventListener("message", ({ data }: MessageEvent<ThreadData>) => {
  runThread(data, () => postMessage("ready"));
  close();
});
