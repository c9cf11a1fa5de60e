/** onnxruntime-web, or undefined where it is not installed (npm ci in bench/peers). */
export async function onnxruntimeWeb() {
  try {
    return await import("onnxruntime-web");
  } catch {
    return undefined;
  }
}
