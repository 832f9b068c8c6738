/**
 * Kademlia node ids: 160-bit points under the XOR metric (BEP 5, "Overview"; Maymounkov and Mazières 2002).
 * Those that are compared much are kept as 32-bit words, packed into larger arrays and compared where they lie.
 */
import type { Random } from '../../host/host.ts';

export const ID_LENGTH = 20;
export const ID_BITS = ID_LENGTH * 8;
/** An id as signed 32-bit words, the most significant first. */
export const ID_WORDS = ID_LENGTH / 4;

/** A uniformly random id of 20 bytes. */
export function randomNodeId(random: Random): Uint8Array {
  return random.bytes(ID_LENGTH);
}

/** The id of 20 bytes at `at` as words, to the start of `words`. */
export function readIdWords(bytes: Uint8Array, at: number, words: Int32Array): void {
  for (let word = 0; word < ID_WORDS; word++) words[word] = readWord(bytes, at + word * 4);
}

/** The signed 32-bit word in the 4 bytes at `at`, in network order. */
export function readWord(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!;
}

/** Writes a word as `readWord` reads it. */
export function writeWord(word: number, bytes: Uint8Array, at: number): void {
  bytes[at] = word >>> 24;
  bytes[at + 1] = word >>> 16;
  bytes[at + 2] = word >>> 8;
  bytes[at + 3] = word;
}

/** How many leading bits the ids in the 5 words at the start of `left` and at `rightAt` of `right` share, 0 to 160. */
export function sharedPrefixBits(left: Int32Array, right: Int32Array, rightAt: number): number {
  for (let word = 0; word < ID_WORDS; word++) {
    const difference = left[word]! ^ right[rightAt + word]!;
    if (difference !== 0) return word * 32 + Math.clz32(difference);
  }
  return ID_BITS;
}

/**
 * A random id that shares exactly `prefixBits` leading bits with `ownId` (0 to 159): a target for refreshing
 * the bucket at that depth.
 */
export function randomIdSharingPrefix(random: Random, ownId: Uint8Array, prefixBits: number): Uint8Array {
  const id = randomNodeId(random);
  const wholeBytes = prefixBits >> 3;
  id.set(ownId.subarray(0, wholeBytes));
  const bit = 0x80 >> (prefixBits & 7);
  const keep = 0xff & ~(bit * 2 - 1);
  const own = ownId[wholeBytes]!;
  id[wholeBytes] = (own & keep) | (~own & bit) | (id[wholeBytes]! & (bit - 1));
  return id;
}
