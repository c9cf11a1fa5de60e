import handler from "../../runtimes/workerd/predict.js";

addEventListener("fetch", (event) => event.respondWith(handler.fetch(event.request)));
