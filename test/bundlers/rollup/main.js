import { outcome } from "../app.js";

console.log(JSON.stringify(await outcome()));
