/**
 * Kademlia node ids: 160-bit points under the XOR metric (BEP 5, "Overview"; Maymounkov and Mazières 2002).
 * Functions take offsets, so that ids packed into larger arrays are compared where they lie.
 */
import type { Random } from '../../host/host.ts';

export const ID_LENGTH = 20;
export const ID_BITS = ID_LENGTH * 8;

/** A uniformly random id of 20 bytes. */
export function randomNodeId(random: Random): Uint8Array {
  return random.bytes(ID_LENGTH);
}

/** How many leading bits two 20-byte ids share, 0 to 160. */
export function sharedPrefixBits(
  left: Uint8Array,
  leftAt: number,
  right: Uint8Array,
  rightAt: number,
): number {
  for (let index = 0; index < ID_LENGTH; index++) {
    const difference = left[leftAt + index]! ^ right[rightAt + index]!;
    if (difference !== 0) return index * 8 + Math.clz32(difference) - 24;
  }
  return ID_BITS;
}

/** Negative if `left` is closer to `target` than `right` is, positive if farther, 0 if they are the same id. */
export function compareDistance(
  target: Uint8Array,
  left: Uint8Array,
  leftAt: number,
  right: Uint8Array,
  rightAt: number,
): number {
  for (let index = 0; index < ID_LENGTH; index++) {
    const leftByte = left[leftAt + index]!;
    const rightByte = right[rightAt + index]!;
    if (leftByte !== rightByte) return (leftByte ^ target[index]!) - (rightByte ^ target[index]!);
  }
  return 0;
}

/** Whether the 20 bytes at both places are one id. */
export function sameId(left: Uint8Array, leftAt: number, right: Uint8Array, rightAt: number): boolean {
  for (let index = 0; index < ID_LENGTH; index++) {
    if (left[leftAt + index] !== right[rightAt + index]) return false;
  }
  return true;
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
