// Two tests share this folder: each has its own cache.
export default { cacheDir: process.env.IFM_VITE_CACHE };
