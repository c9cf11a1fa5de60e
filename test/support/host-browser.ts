/* What the tests' helpers need of a browser, with the names of host.ts. */

/** A file of this checkout, from the server of the tests. It waits, as Node does. */
export function readFile(path: string): Uint8Array<ArrayBuffer> {
  const request = new XMLHttpRequest();
  request.open("GET", `/${path}`, false);
  // Bytes as characters: a request that waits gives no buffer.
  request.overrideMimeType("text/plain; charset=x-user-defined");
  request.send();
  if (request.status !== 200) throw new Error(`${path}: ${request.status}`);
  return Uint8Array.from(request.responseText, (character) => character.charCodeAt(0) & 0xff);
}

/** Whatever tells two contents apart: the bytes themselves, for browsers' hashes are promises. */
export function fingerprint(parts: Iterable<Uint8Array>): string {
  return Array.from(parts, (part) => part.join()).join();
}
