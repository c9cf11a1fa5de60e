// Counts the bytes of typed arrays and WebAssembly memories that the program asks for, and refuses what is beyond the limit:
// a file that asks for gigabytes is found without giving them.

export const allocated = { bytes: 0, limit: Number.POSITIVE_INFINITY };

export class TooMuchMemory extends Error {
  name = "TooMuchMemory";
}

function take(bytes) {
  allocated.bytes += bytes;
  if (allocated.bytes > allocated.limit) throw new TooMuchMemory("the limit of this input is passed");
}

const PAGE = 65536;
let isAccounting = false;

export function accountAllocations() {
  if (isAccounting) return;
  isAccounting = true;
  const wrap = (holder, name, bytesOf) => {
    holder[name] = new Proxy(holder[name], {
      construct(type, args, newTarget) {
        take(bytesOf(args, type));
        return Reflect.construct(type, args, newTarget);
      },
    });
  };
  const lengthOf = ([first]) =>
    typeof first === "number" ? first : (first?.byteLength === undefined && first?.length) || 0;
  for (const name of ["Uint8Array", "Int8Array", "Uint16Array", "Int16Array", "Uint32Array", "Int32Array"]) {
    wrap(globalThis, name, (args, type) => lengthOf(args) * type.BYTES_PER_ELEMENT);
  }
  for (const name of ["Float32Array", "Float64Array", "BigInt64Array", "BigUint64Array"]) {
    wrap(globalThis, name, (args, type) => lengthOf(args) * type.BYTES_PER_ELEMENT);
  }
  wrap(globalThis, "ArrayBuffer", ([bytes]) => Number(bytes) || 0);
  wrap(WebAssembly, "Memory", ([{ initial }]) => initial * PAGE);
}
