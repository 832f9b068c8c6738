/**
 * SipHash-2-4 (Aumasson and Bernstein 2012): a keyed hash of 64 bits that nobody without the key can predict, some
 * ten times cheaper for a few bytes than a cryptographic hash through the Host. Words of 64 bits are pairs of 32.
 */

/** Bytes of a key. */
export const SIPHASH_KEY_LENGTH = 16;

/** The state v0 to v3 as four pairs, low halves first: hashing is synchronous, so one serves all. */
const v = new Int32Array(8);

/** Writes the hash of `message` under a key of 16 bytes to the first 8 bytes of `out`, the least significant first. */
export function sipHash(key: Uint8Array, message: Uint8Array, out: Uint8Array): void {
  const k0 = wordAt(key, 0);
  const k1 = wordAt(key, 4);
  const k2 = wordAt(key, 8);
  const k3 = wordAt(key, 12);
  v[0] = k0 ^ 0x70736575;
  v[1] = k1 ^ 0x736f6d65;
  v[2] = k2 ^ 0x6e646f6d;
  v[3] = k3 ^ 0x646f7261;
  v[4] = k0 ^ 0x6e657261;
  v[5] = k1 ^ 0x6c796765;
  v[6] = k2 ^ 0x79746573;
  v[7] = k3 ^ 0x74656462;
  const { length } = message;
  let at = 0;
  for (; at + 8 <= length; at += 8) compress(wordAt(message, at), wordAt(message, at + 4));
  compress(wordAt(message, at), wordAt(message, at + 4) | (length << 24));
  v[4]! ^= 0xff;
  for (let count = 0; count < 4; count++) round();
  const low = v[0] ^ v[2] ^ v[4] ^ v[6];
  const high = v[1] ^ v[3] ^ v[5] ^ v[7];
  for (let index = 0; index < 4; index++) {
    out[index] = low >>> (8 * index);
    out[index + 4] = high >>> (8 * index);
  }
}

/** 4 bytes, little endian; what lies behind the end counts as zeros. */
function wordAt(bytes: Uint8Array, at: number): number {
  let word = 0;
  for (let index = Math.min(3, bytes.length - 1 - at); index >= 0; index--)
    word = (word << 8) | bytes[at + index]!;
  return word;
}

function compress(low: number, high: number): void {
  v[6]! ^= low;
  v[7]! ^= high;
  round();
  round();
  v[0]! ^= low;
  v[1]! ^= high;
}

function round(): void {
  addRotateXor(0, 2, 13);
  swapHalves(0);
  addRotateXor(4, 6, 16);
  addRotateXor(0, 6, 21);
  addRotateXor(4, 2, 17);
  swapHalves(4);
}

/** a += b; b = (b rotated left by `bits`) xor a; for the pairs at `a` and `b`. */
function addRotateXor(a: number, b: number, bits: number): void {
  const bLow = v[b]!;
  const bHigh = v[b + 1]!;
  const low = (v[a]! + bLow) | 0;
  const carry = low >>> 0 < bLow >>> 0 ? 1 : 0;
  const high = (v[a + 1]! + bHigh + carry) | 0;
  v[a] = low;
  v[a + 1] = high;
  v[b] = ((bLow << bits) | (bHigh >>> (32 - bits))) ^ low;
  v[b + 1] = ((bHigh << bits) | (bLow >>> (32 - bits))) ^ high;
}

function swapHalves(a: number): void {
  const low = v[a]!;
  v[a] = v[a + 1]!;
  v[a + 1] = low;
}
