/** Compiled by the runtime: workerd. */
declare module "*.wasm" {
  const module: WebAssembly.Module;
  export default module;
}

/** Compiled by the runtime: Vercel, Next.js. */
declare module "*.wasm?module" {
  const module: WebAssembly.Module;
  export default module;
}

/** Base64 of the gzipped file; rolldown.config.js makes it. */
declare module "*.wasm?inline" {
  const text: string;
  export default text;
}
