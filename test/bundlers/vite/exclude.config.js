export default { cacheDir: process.env.IFM_VITE_CACHE, optimizeDeps: { exclude: ["ifm-wasm"] } };
