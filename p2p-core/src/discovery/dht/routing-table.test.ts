/** The routing table's rules one by one, and its promises against any order of events. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compareBytes, toHex } from '../../bytes.ts';
import { formatAddress } from '../../host/address.ts';
import type { Address } from '../../host/host.ts';
import { unpackEndpoint } from './endpoint.ts';
import { randomIdSharingPrefix, readIdWords, sharedPrefixBits } from './node-id.ts';
import { BUCKET_SIZE, QUESTIONABLE_AFTER_MS, RoutingTable } from './routing-table.ts';
import { seededRandom } from './testing/world.ts';

const ownId = new Uint8Array(20);
const random = seededRandom(5);
const at = (index: number): Address => ({ host: `10.1.${index >> 8}.${index & 255}`, port: 7000 });
/** In bucket 0, which never splits once there is a second one. */
const far = (): Uint8Array => randomIdSharingPrefix(random, ownId, 0);

/** A table whose bucket 0 is full with nodes 0 to 7, heard from at their index in ms. */
function fullFarBucket(): { table: RoutingTable; ids: Uint8Array[] } {
  const table = new RoutingTable(ownId, 0);
  const ids = Array.from({ length: BUCKET_SIZE }, far);
  for (const [index, id] of ids.entries()) table.heardResponse(id, at(index), index);
  return { table, ids };
}

/** Whom the table would have us ask, the closest first. */
function askable(
  table: RoutingTable,
  target: Uint8Array,
  count: number,
): { id: Uint8Array; address: Address }[] {
  const bytes = new Uint8Array(count * 26);
  const length = table.writeAskable(target, count, bytes);
  return Array.from({ length: length / 26 }, (_, index) => ({
    id: bytes.slice(index * 26, index * 26 + 20),
    address: unpackEndpoint(bytes, index * 26 + 20),
  }));
}

const distance = (left: Uint8Array, right: Uint8Array): Uint8Array =>
  left.map((byte, index) => byte ^ right[index]!);

function words(id: Uint8Array): Int32Array {
  const words = new Int32Array(5);
  readIdWords(id, 0, words);
  return words;
}

function contents(table: RoutingTable): { id: string; address: string }[] {
  const seen = new Map<string, { id: string; address: string }>();
  const bytes = table.export();
  for (let offset = 0; offset < bytes.length; offset += 26) {
    const id = bytes.slice(offset, offset + 20);
    const [contact] = askable(table, id, 1);
    seen.set(toHex(id), { id: toHex(contact!.id), address: formatAddress(contact!.address) });
  }
  return [...seen.values()];
}

describe('node ids', () => {
  it('drawn for a depth share exactly so many bits', () => {
    const own = random.bytes(20);
    for (let depth = 0; depth < 160; depth++)
      expect(sharedPrefixBits(words(own), words(randomIdSharingPrefix(random, own, depth)), 0)).toBe(depth);
    expect(sharedPrefixBits(words(own), words(own), 0)).toBe(160);
  });
});

describe('the routing table', () => {
  it('splits only the bucket around its own id', () => {
    const table = new RoutingTable(ownId, 0);
    for (let index = 0; index < 40; index++) table.heardResponse(far(), at(index), 0);
    expect(table.size).toBe(BUCKET_SIZE);
    for (let depth = 1; depth < 6; depth++)
      for (let index = 0; index < 20; index++)
        table.heardResponse(randomIdSharingPrefix(random, ownId, depth), at(depth * 100 + index), 0);
    expect(table.size).toBe(6 * BUCKET_SIZE);
    expect(table.bucketCount).toBe(7);
  });

  it('keeps newcomers of a full bucket waiting and has a questionable node pinged', () => {
    const { table } = fullFarBucket();
    expect(table.heardResponse(far(), at(100), QUESTIONABLE_AFTER_MS - 1)).toBeUndefined();
    const doubtful = table.heardResponse(far(), at(101), QUESTIONABLE_AFTER_MS);
    expect(doubtful).toEqual(at(0));
  });

  it('wants nobody new in a full bucket until one of its nodes is questionable or bad', () => {
    const { table } = fullFarBucket();
    table.heardResponse(randomIdSharingPrefix(random, ownId, 1), at(50), 0);
    expect(table.wants(far(), at(100), QUESTIONABLE_AFTER_MS - 1)).toBe(false);
    expect(table.wants(far(), at(100), QUESTIONABLE_AFTER_MS)).toBe(true);
    table.failed(at(3));
    table.failed(at(3));
    expect(table.wants(far(), at(100), 100)).toBe(true);
  });

  it('replaces a node by the newest replacement after the second failure in a row, not the first', () => {
    const { table, ids } = fullFarBucket();
    table.heardResponse(far(), at(100), 100);
    const newest = far();
    table.heardResponse(newest, at(101), 101);
    expect(table.failed(at(0))).toEqual(at(0));
    expect(askable(table, ids[0]!, 1)[0]!.id).toEqual(ids[0]);
    table.failed(at(0));
    expect(askable(table, newest, 1)[0]!.address).toEqual(at(101));
    expect(contents(table).map(({ address }) => address)).not.toContain(formatAddress(at(0)));
    expect(table.size).toBe(BUCKET_SIZE);
  });

  it('forgives a failure when the node answers again', () => {
    const { table, ids } = fullFarBucket();
    for (let round = 0; round < 5; round++) {
      table.failed(at(3));
      table.heardResponse(ids[3]!, at(3), 1_000 + round);
    }
    expect(table.size).toBe(BUCKET_SIZE);
  });

  it('names no bad node to others, asks it a while itself, and lets it come back', () => {
    const table = new RoutingTable(ownId, 0);
    const id = far();
    table.heardResponse(id, at(1), 0);
    table.failed(at(1));
    table.failed(at(1));
    expect(table.size).toBe(0);
    expect(table.writeClosest(id, 8, new Uint8Array(208))).toBe(0);
    expect(askable(table, id, 8).length).toBe(1);
    for (let count = 0; count < 8; count++) table.failed(at(1));
    expect(askable(table, id, 8)).toEqual([]);
    table.heardResponse(id, at(1), 5);
    expect(table.size).toBe(1);
  });

  it('gives one address one entry: a new id there takes the place of the old', () => {
    const table = new RoutingTable(ownId, 0);
    const [old, young] = [far(), randomIdSharingPrefix(random, ownId, 30)];
    table.heardResponse(old, at(1), 0);
    expect(table.wants(young, at(1), 0)).toBe(true);
    table.heardResponse(young, at(1), 1);
    expect(contents(table)).toEqual([{ id: toHex(young), address: formatAddress(at(1)) }]);
  });

  it('lets nobody take over the id of a live node from another address', () => {
    const table = new RoutingTable(ownId, 0);
    const id = far();
    table.heardResponse(id, at(1), 0);
    table.heardResponse(id, at(2), 1);
    expect(table.wants(id, at(2), 0)).toBe(false);
    expect(contents(table)).toEqual([{ id: toHex(id), address: formatAddress(at(1)) }]);
    table.failed(at(1));
    table.failed(at(1));
    table.heardResponse(id, at(2), 2);
    expect(contents(table)).toEqual([{ id: toHex(id), address: formatAddress(at(2)) }]);
  });

  it('never holds itself, nor addresses that nothing can be sent to', () => {
    const table = new RoutingTable(ownId, 0);
    table.heardResponse(ownId, at(1), 0);
    table.heardResponse(far(), { host: '::1', port: 5 }, 0);
    table.heardResponse(far(), { host: '10.0.0.1', port: 0 }, 0);
    expect(table.size).toBe(0);
    expect(table.wants(ownId, at(1), 0)).toBe(false);
  });

  it('asks for a refresh of what did not change for 15 minutes, once', () => {
    const { table } = fullFarBucket();
    expect(table.takeStaleBuckets(QUESTIONABLE_AFTER_MS)).toEqual([]);
    expect(table.takeStaleBuckets(QUESTIONABLE_AFTER_MS + BUCKET_SIZE)).toEqual([0]);
    expect(table.takeStaleBuckets(QUESTIONABLE_AFTER_MS + BUCKET_SIZE + 1)).toEqual([]);
  });

  it('finds exactly the closest, whatever happened before', () => {
    const events = fc.array(
      fc.record({
        kind: fc.constantFrom('response', 'response', 'response', 'failure', 'query'),
        depth: fc.nat(12),
        salt: fc.nat(30),
        address: fc.nat(60),
      }),
      { maxLength: 300 },
    );
    fc.assert(
      fc.property(events, fc.nat(), (list, seed) => {
        const own = seededRandom(seed).bytes(20);
        const table = new RoutingTable(own, 0);
        for (const [nowMs, { kind, depth, salt, address }] of list.entries()) {
          const id = randomIdSharingPrefix(seededRandom(salt), own, depth);
          if (kind === 'response') table.heardResponse(id, at(address), nowMs * 10_000);
          else if (kind === 'query') table.heardQuery(id, at(address), nowMs * 10_000);
          else table.failed(at(address));
        }
        const bytes = table.export();
        const ids: Uint8Array[] = [];
        for (let offset = 0; offset < bytes.length; offset += 26) ids.push(bytes.slice(offset, offset + 20));
        expect(ids.length).toBe(table.size);
        expect(new Set(ids.map(toHex)).size).toBe(ids.length);
        const endpoints = ids.map((_, index) => toHex(bytes.subarray(index * 26 + 20, index * 26 + 26)));
        expect(new Set(endpoints).size).toBe(endpoints.length);
        for (let depth = 0; depth < 14; depth++) {
          const target = randomIdSharingPrefix(seededRandom(seed + depth), own, depth);
          const expected = [...ids]
            .sort((left, right) => compareBytes(distance(target, left), distance(target, right)))
            .slice(0, 8);
          const compact = new Uint8Array(8 * 26);
          expect(table.writeClosest(target, 8, compact)).toBe(expected.length * 26);
          for (const [index, id] of expected.entries())
            expect(toHex(compact.subarray(index * 26, index * 26 + 20))).toBe(toHex(id));
        }
      }),
      { numRuns: 60 },
    );
  });
});
