/** Bytes of base64 of gzip data, which is half the size of base64 alone. */
export function unpack(text: string): Response {
  const zipped = new Blob([Uint8Array.from(atob(text), (character) => character.charCodeAt(0))]);
  return new Response(zipped.stream().pipeThrough(new DecompressionStream("gzip")));
}
