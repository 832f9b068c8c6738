/** What every store with its journal must do, as a suite. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Journal } from './journal.ts';
import { commitLimits, type NewEvent, type Store, type Write } from './store.ts';

export interface StoreWorld {
  readonly store: Store & Journal;
  close(): void | Promise<void>;
}

export function event(clusterUid: string, kind: string, lamport = 1): NewEvent {
  return {
    clusterUid,
    cluster: 'bees',
    atMs: 1,
    kind,
    slot: 'peer-1',
    generation: 2,
    lamport,
    data: { term: 3 },
  };
}

function rowsOf(count: number, put: string | number = 1): readonly Write[] {
  return Array.from({ length: count }, (_, n) => ({ key: `row/${n}`, expectedVersion: 0, put }));
}

export function describeStore(name: string, make: () => StoreWorld | Promise<StoreWorld>): void {
  describe(`${name} keeps the promises of Store and Journal`, () => {
    let world: StoreWorld;
    let store: Store & Journal;
    beforeEach(async () => {
      world = await make();
      store = world.store;
    });
    afterEach(() => world.close());

    it('makes, changes and removes rows, counting versions', async () => {
      expect(await store.get('a')).toBeUndefined();
      expect(await store.commit([{ key: 'a', expectedVersion: 0, put: { n: 1 } }])).toBe(true);
      expect(await store.get('a')).toEqual({ key: 'a', version: 1, value: { n: 1 } });
      expect(await store.commit([{ key: 'a', expectedVersion: 1, put: [2] }])).toBe(true);
      expect(await store.get('a')).toEqual({ key: 'a', version: 2, value: [2] });
      expect(await store.commit([{ key: 'a', expectedVersion: 2, remove: true }])).toBe(true);
      expect(await store.get('a')).toBeUndefined();
    });

    it.each([
      ['a row that exists where none should', { key: 'a', expectedVersion: 0, put: 2 }],
      ['an old version', { key: 'a', expectedVersion: 2, put: 2 }],
      ['a removal of an old version', { key: 'a', expectedVersion: 2, remove: true as const }],
      ['a removal of nothing', { key: 'none', expectedVersion: 1, remove: true as const }],
      ['a check of an old version', { key: 'a', expectedVersion: 2 }],
      ['a check of nothing', { key: 'none', expectedVersion: 1 }],
      ['a check that there is nothing', { key: 'a', expectedVersion: 0 }],
    ])('changes nothing at all on %s', async (_, conflicting) => {
      await store.commit([{ key: 'a', expectedVersion: 0, put: 1 }]);
      const writes = [{ key: 'b', expectedVersion: 0, put: 1 }, conflicting];
      expect(await store.commit(writes, [event('u', 'x')])).toBe(false);
      expect(await store.list('')).toEqual([{ key: 'a', version: 1, value: 1 }]);
      expect(await store.read('u', 0, 10)).toEqual([]);
    });

    it('checks rows without changing them', async () => {
      await store.commit([{ key: 'a', expectedVersion: 0, put: 1 }]);
      const checks = [
        { key: 'a', expectedVersion: 1 },
        { key: 'none', expectedVersion: 0 },
      ];
      expect(await store.commit(checks)).toBe(true);
      expect(await store.list('')).toEqual([{ key: 'a', version: 1, value: 1 }]);
    });

    it('of many that expect the same version lets one through', async () => {
      const outcomes = await Promise.all(
        Array.from({ length: 20 }, (_, put) => store.commit([{ key: 'a', expectedVersion: 0, put }])),
      );
      expect(outcomes.filter(Boolean)).toHaveLength(1);
    });

    it('lists by prefix, sorted', async () => {
      const keys = ['b/2', 'b/10', 'b', 'a/1', 'b/1/x', 'c'];
      await store.commit(keys.map((key) => ({ key, expectedVersion: 0, put: key })));
      expect((await store.list('b/')).map(({ key }) => key)).toEqual(['b/1/x', 'b/10', 'b/2']);
      expect(await store.list('none')).toEqual([]);
    });

    it('shares no object with its callers', async () => {
      const value = { list: [1] };
      await store.commit([{ key: 'a', expectedVersion: 0, put: value }]);
      value.list.push(2);
      expect((await store.get('a'))?.value).toEqual({ list: [1] });
    });

    it('numbers events without gaps, each cluster by itself', async () => {
      await store.commit([], [event('u', 'one', 5), event('v', 'other', 9), event('u', 'two', 4)]);
      await store.commit([], [event('u', 'three', 3)]);
      const read = await store.read('u', 0, 10);
      expect(read.map(({ sequence, kind }) => [sequence, kind])).toEqual([
        [1, 'one'],
        [2, 'two'],
        [3, 'three'],
      ]);
      const { clusterUid: _, ...rest } = event('u', 'one', 5);
      expect(read[0]).toEqual({ ...rest, sequence: 1 });
      expect((await store.read('u', 1, 1)).map(({ kind }) => kind)).toEqual(['two']);
      expect(await store.read('u', 3, 10)).toEqual([]);
      expect(await store.head('u')).toEqual({ sequence: 3, lamport: 5 });
      expect(await store.head('none')).toEqual({ sequence: 0, lamport: 0 });
    });

    it('tells subscribers of what was committed, until they leave', async () => {
      const told: string[] = [];
      const leave = store.subscribe('u', () => told.push('u'));
      store.subscribe('v', () => told.push('v'));
      await store.commit([], [event('u', 'one'), event('u', 'two')]);
      expect(told).toEqual(['u']);
      leave();
      await store.commit([], [event('u', 'three')]);
      expect(told).toEqual(['u']);
    });

    it('gives events in the parts that are asked for, however they were committed', async () => {
      const kinds = Array.from({ length: 30 }, (_, index) => `kind-${index + 1}`);
      for (const batch of [kinds.slice(0, 12), kinds.slice(12, 13), kinds.slice(13)]) {
        await store.commit(
          [],
          batch.map((kind) => event('u', kind)),
        );
      }
      const read: string[] = [];
      for (let after = 0; after < kinds.length; after = read.length) {
        read.push(...(await store.read('u', after, 7)).map(({ kind }) => kind));
      }
      expect(read).toEqual(kinds);
    });

    it('numbers without gaps what is committed side by side', async () => {
      await Promise.all(
        Array.from({ length: 8 }, (_, n) =>
          store.commit(
            [{ key: `a/${n}`, expectedVersion: 0, put: n }],
            [event('u', 'one'), event('u', 'two')],
          ),
        ),
      );
      const read = await store.read('u', 0, 100);
      expect(read.map(({ sequence }) => sequence)).toEqual(
        Array.from({ length: 16 }, (_, index) => index + 1),
      );
      expect(read.map(({ kind }) => kind)).toEqual(Array.from({ length: 8 }, () => ['one', 'two']).flat());
    });

    it('takes the largest commit there may be, whole', async () => {
      const { writes, events, valueBytes, bytes } = commitLimits;
      const large = 'x'.repeat(valueBytes - 2);
      const largeRows = Math.floor(bytes / valueBytes) - 1;
      const rows = Array.from({ length: writes }, (_, n) => ({
        key: `large/${n}`,
        expectedVersion: 0,
        put: n < largeRows ? large : n,
      }));
      const told = Array.from({ length: events }, (_, n) => event('u', `kind-${n}`));
      expect(await store.commit(rows, told)).toBe(true);
      expect(await store.list('large/')).toHaveLength(writes);
      expect((await store.get('large/0'))?.value).toBe(large);
      expect(await store.read('u', 0, events + 1)).toHaveLength(events);
    });

    it.each([
      ['rows', rowsOf(commitLimits.writes + 1), []],
      ['events', [], Array.from({ length: commitLimits.events + 1 }, () => event('u', 'x'))],
      ['bytes in one row', [{ key: 'a', expectedVersion: 0, put: 'x'.repeat(commitLimits.valueBytes) }], []],
      [
        'bytes in one row, in UTF-8',
        [{ key: 'a', expectedVersion: 0, put: 'ü'.repeat(commitLimits.valueBytes / 2) }],
        [],
      ],
      ['bytes in one event', [], [{ ...event('u', 'x'), data: { x: 'x'.repeat(commitLimits.valueBytes) } }]],
      [
        'clusters with events',
        [],
        Array.from({ length: commitLimits.clusters + 1 }, (_, n) => event(`${n}`, 'x')),
      ],
      ['bytes', rowsOf(10, 'x'.repeat(commitLimits.valueBytes - 2)), []],
    ])('refuses a commit of too many %s', async (_, writes, events) => {
      await expect(store.commit(writes, events)).rejects.toThrow(RangeError);
      expect(await store.list('')).toEqual([]);
      expect(await store.head('u')).toEqual({ sequence: 0, lamport: 0 });
    });

    it('refuses to write a row twice in a commit', async () => {
      const twice = [
        { key: 'a', expectedVersion: 0, put: 1 },
        { key: 'a', expectedVersion: 0, put: 2 },
      ];
      await expect(store.commit(twice)).rejects.toThrow(RangeError);
      expect(await store.get('a')).toBeUndefined();
    });

    it('forgets a journal', async () => {
      await store.commit([], [event('u', 'one'), event('v', 'other')]);
      await store.forget('u');
      await store.forget('u');
      expect(await store.read('u', 0, 10)).toEqual([]);
      expect(await store.read('v', 0, 10)).toHaveLength(1);
    });
  });
}
