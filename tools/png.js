import { crc32, deflateSync, inflateSync } from "node:zlib";

const SIGNATURE = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
const COLORS = 256;
/** Bits of a channel that colours are told apart by. */
const KEPT_BITS = 5;

function chunk(type, data) {
  const body = Buffer.concat([Buffer.from(type, "latin1"), data]);
  const ends = Buffer.alloc(8);
  ends.writeUInt32BE(data.length, 0);
  ends.writeUInt32BE(crc32(body), 4);
  return Buffer.concat([ends.subarray(0, 4), body, ends.subarray(4)]);
}

/** Pixels of a PNG of 8 bits a channel without interlacing, as browsers write it: 3 or 4 bytes each. */
function decode(png) {
  const parts = [];
  let header;
  for (let at = SIGNATURE.length; at < png.length; ) {
    const length = png.readUInt32BE(at);
    const type = png.toString("latin1", at + 4, at + 8);
    const data = png.subarray(at + 8, at + 8 + length);
    if (type === "IHDR") header = data;
    if (type === "IDAT") parts.push(data);
    at += length + 12;
  }
  const [width, height] = [header.readUInt32BE(0), header.readUInt32BE(4)];
  const channels = { 2: 3, 6: 4 }[header[9]];
  if (header[8] !== 8 || channels === undefined || header[12] !== 0)
    throw new Error("png: another kind than browsers write");
  const stride = width * channels;
  const filtered = inflateSync(Buffer.concat(parts));
  const pixels = new Uint8Array(stride * height);
  for (let y = 0; y < height; y++) {
    const filter = filtered[y * (stride + 1)];
    for (let i = 0; i < stride; i++) {
      const left = i < channels ? 0 : pixels[y * stride + i - channels];
      const up = y === 0 ? 0 : pixels[(y - 1) * stride + i];
      const corner = i < channels || y === 0 ? 0 : pixels[(y - 1) * stride + i - channels];
      const guess = [0, left, up, (left + up) >> 1, paeth(left, up, corner)][filter];
      pixels[y * stride + i] = filtered[y * (stride + 1) + 1 + i] + guess;
    }
  }
  return { width, height, channels, pixels };
}

function paeth(left, up, corner) {
  const [a, b, c] = [Math.abs(up - corner), Math.abs(left - corner), Math.abs(left + up - 2 * corner)];
  return a <= b && a <= c ? left : b <= c ? up : corner;
}

/** The picture with its 256 commonest colours, a byte a pixel: a third of the size for a page of few colours. */
export function withPalette(png) {
  const { width, height, channels, pixels } = decode(png);
  const sums = new Map();
  const keyAt = (p) => {
    const shift = 8 - KEPT_BITS;
    return (
      ((pixels[p] >> shift) << (2 * KEPT_BITS)) | ((pixels[p + 1] >> shift) << KEPT_BITS) | (pixels[p + 2] >> shift)
    );
  };
  for (let p = 0; p < pixels.length; p += channels) {
    const key = keyAt(p);
    const sum = sums.get(key) ?? [0, 0, 0, 0];
    if (sum[0] === 0) sums.set(key, sum);
    sum[0]++;
    for (let i = 0; i < 3; i++) sum[1 + i] += pixels[p + i];
  }
  const colors = [...sums.entries()].map(([key, [count, ...rgb]]) => ({
    key,
    count,
    rgb: rgb.map((x) => Math.round(x / count)),
  }));
  const palette = colors.sort((a, b) => b.count - a.count).slice(0, COLORS);
  const distance = (a, b) => a.reduce((sum, x, i) => sum + (x - b[i]) ** 2, 0);
  const indexOf = new Map();
  for (const { key, rgb } of colors) {
    let nearest = 0;
    for (let i = 1; i < palette.length; i++)
      if (distance(palette[i].rgb, rgb) < distance(palette[nearest].rgb, rgb)) nearest = i;
    indexOf.set(key, nearest);
  }
  const rows = Buffer.alloc(height * (width + 1));
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) rows[y * (width + 1) + 1 + x] = indexOf.get(keyAt((y * width + x) * channels));
  }
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([8, 3], 8);
  return Buffer.concat([
    SIGNATURE,
    chunk("IHDR", header),
    chunk("PLTE", Buffer.from(palette.flatMap(({ rgb }) => rgb))),
    chunk("IDAT", deflateSync(rows, { level: 9 })),
    chunk("IEND", Buffer.alloc(0)),
  ]);
}
