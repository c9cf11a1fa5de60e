const { createHash } = require("node:crypto");

/**
 * What Next.js does with `x.wasm?module` in code for its edge runtime: copies the file, and has the runtime compile it
 * and give the module under a name.
 */
module.exports = function wasmModule(source) {
  const name = `wasm_${createHash("sha1").update(source).digest("hex")}`;
  this.emitFile(`${name}.wasm`, source);
  return `module.exports = ${name};`;
};
module.exports.raw = true;
