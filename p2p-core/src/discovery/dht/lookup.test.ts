/** Lookups told as transcripts: who is asked after whom, when they end, and what liars achieve. */
import { describe, expect, it } from 'vitest';
import { formatAddress } from '../../host/address.ts';
import type { Address } from '../../host/host.ts';
import { packEndpoint } from './endpoint.ts';
import { type Candidate, Lookup } from './lookup.ts';
import { seededRandom } from './testing/world.ts';

const target = new Uint8Array(20);
const ownId = new Uint8Array(20).fill(0xff);

/** At distance `distance` from the target, in the first byte. */
const idAt = (distance: number): Uint8Array => Uint8Array.of(distance, ...new Uint8Array(19));
const addressAt = (distance: number): Address => ({ host: '10.0.0.1', port: 1000 + distance });

function nodes(...distances: number[]): Uint8Array {
  const bytes = new Uint8Array(distances.length * 26);
  for (const [index, distance] of distances.entries()) {
    bytes.set(idAt(distance), index * 26);
    packEndpoint(addressAt(distance), bytes, index * 26 + 20);
  }
  return bytes;
}

function start(...distances: number[]): Lookup {
  const lookup = new Lookup(target, { ownId, keepsTokens: true });
  lookup.addNodes(nodes(...distances), distances.length * 26);
  return lookup;
}

function askAll(lookup: Lookup): Candidate[] {
  const asked: Candidate[] = [];
  for (let next = lookup.next(); next !== undefined; next = lookup.next()) asked.push(next);
  return asked;
}

/** As `addressAt` tells it. */
const distanceOf = ({ address }: Candidate): number => address.port - 1000;
const distances = (candidates: readonly Candidate[]): number[] => candidates.map(distanceOf);

function answer(lookup: Lookup, candidate: Candidate, ...named: number[]): void {
  const distance = distanceOf(candidate);
  lookup.answered(candidate, idAt(distance), nodes(...named), Uint8Array.of(distance));
}

describe('a lookup', () => {
  it('asks three at once, nearest first, and follows what it learns', () => {
    const lookup = start(90, 50, 70, 60);
    const first = askAll(lookup);
    expect(distances(first)).toEqual([50, 60, 70]);
    answer(lookup, first[0]!, 20, 30);
    expect(distances(askAll(lookup))).toEqual([20]);
    answer(lookup, first[1]!);
    expect(distances(askAll(lookup))).toEqual([30]);
  });

  it('ends when the eight nearest have answered, and asks nobody farther', () => {
    const lookup = start(1, 2, 3, 4, 5, 6, 7, 8, 9, 10);
    const order: number[] = [];
    for (let batch = askAll(lookup); batch.length > 0; batch = askAll(lookup)) {
      expect(lookup.done).toBe(false);
      for (const candidate of batch) {
        order.push(distanceOf(candidate));
        answer(lookup, candidate);
      }
    }
    expect(lookup.done).toBe(true);
    expect(order).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
    expect(lookup.nearest().map(({ token }) => token![0])).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
  });

  it('goes on without the slow, asks them once more at the end, and takes their late answers', () => {
    const lookup = start(1, 2, 3, 4);
    const [one, two, three] = askAll(lookup);
    lookup.slow(one!);
    expect(distances(askAll(lookup))).toEqual([4]);
    lookup.slow(two!);
    expect(distances(askAll(lookup))).toEqual([1]);
    answer(lookup, three!);
    expect(distances(askAll(lookup))).toEqual([2]);
    answer(lookup, two!);
    lookup.slow(one!);
    expect(lookup.done).toBe(false);
    lookup.failed(lookup.nearest().length === 2 ? one! : two!);
    expect(askAll(lookup)).toEqual([]);
  });

  it('widens beyond the dead', () => {
    const lookup = start(1, 2, 3, 4, 5, 6, 7, 8, 9, 10);
    for (let batch = askAll(lookup); batch.length > 0; batch = askAll(lookup))
      for (const candidate of batch) {
        if (distanceOf(candidate) <= 2) lookup.failed(candidate);
        else answer(lookup, candidate);
      }
    expect(lookup.done).toBe(true);
    expect(distances(lookup.nearest())).toEqual([3, 4, 5, 6, 7, 8, 9, 10]);
  });

  it('asks addresses without a known id first, and ranks them by the id that they answer with', () => {
    const lookup = start(50);
    lookup.addSeeds([addressAt(99)]);
    const [seed, near] = askAll(lookup);
    answer(lookup, near!);
    lookup.answered(seed!, idAt(40), nodes(), undefined);
    expect(lookup.done).toBe(true);
    expect(distances(lookup.nearest())).toEqual([99, 50]);
  });

  it('is over at once with nobody to ask', () => {
    expect(start().done).toBe(true);
  });

  it('counts a node where it says it is, not where others put it', () => {
    const lookup = start(1, 9);
    const [liarsFriend, honest] = askAll(lookup);
    lookup.answered(liarsFriend!, idAt(200), nodes(), undefined);
    answer(lookup, honest!);
    expect(distances(lookup.nearest())).toEqual([9, 1]);
  });

  it('sends one query to an address, however many ids point to it', () => {
    const lookup = start(100);
    const [liar] = askAll(lookup);
    const named = nodes(1, 2, 3, 4, 5, 6, 7, 8);
    for (let at = 0; at < named.length; at += 26) packEndpoint({ host: '8.8.8.8', port: 53 }, named, at + 20);
    lookup.answered(liar!, idAt(100), named, undefined);
    expect(askAll(lookup).map(({ address }) => formatAddress(address))).toEqual(['8.8.8.8:53']);
  });

  it('is not kept busy for ever by nodes that name ever nearer ones', () => {
    const random = seededRandom(1);
    const lookup = start(255);
    const ids = new Map([[addressAt(255).port, idAt(255)]]);
    let queries = 0;
    let port = 2000;
    for (let batch = askAll(lookup); batch.length > 0; batch = askAll(lookup))
      for (const candidate of batch) {
        queries++;
        const named = new Uint8Array(20 * 26);
        for (let at = 0; at < named.length; at += 26) {
          named.set(random.bytes(20), at);
          named.fill(0, at, at + Math.min(queries >> 2, 16));
          ids.set(port, named.slice(at, at + 20));
          packEndpoint({ host: '10.9.9.9', port: port++ }, named, at + 20);
        }
        lookup.answered(candidate, ids.get(candidate.address.port)!, named, undefined);
      }
    expect(lookup.done).toBe(true);
    expect(queries).toBeLessThanOrEqual(100);
  });

  it('sends nothing to broadcast, multicast or port 0, nor to itself', () => {
    const lookup = start(100);
    const [asked] = askAll(lookup);
    const named = nodes(1, 2, 3, 4);
    named.set([255, 255, 255, 255, 1, 1], 20);
    named.set([224, 0, 0, 1, 1, 1], 46);
    named.set([10, 0, 0, 3, 0, 0], 72);
    named.set(ownId, 78);
    lookup.answered(asked!, idAt(100), named, undefined);
    expect(askAll(lookup)).toEqual([]);
  });
});
