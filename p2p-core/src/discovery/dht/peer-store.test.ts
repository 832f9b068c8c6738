import { describe, expect, it } from 'vitest';
import { formatAddress } from '../../host/address.ts';
import { PeerStore } from './peer-store.ts';
import { seededRandom } from './testing/world.ts';

const hash = (index: number): Uint8Array => Uint8Array.of(index >> 8, index & 255, ...new Uint8Array(18));
const peer = (index: number): { host: string; port: number } => ({
  host: `10.0.${index >> 8}.${index & 255}`,
  port: 5,
});
const make = (options = {}): PeerStore => new PeerStore({ random: seededRandom(1) }, options);
const texts = (store: PeerStore, index: number, nowMs: number): string[] =>
  store.sampleAddresses(hash(index), nowMs).map(formatAddress).sort();

describe('the peer store', () => {
  it('gives back who announced, each once', () => {
    const store = make();
    for (const index of [1, 2, 1]) store.announce(hash(0), peer(index), 0);
    expect(texts(store, 0, 0)).toEqual(['10.0.0.1:5', '10.0.0.2:5']);
    expect(texts(store, 1, 0)).toEqual([]);
    expect(store.peerCount).toBe(2);
  });

  it('forgets who does not announce again', () => {
    const store = make({ lifetimeMs: 1_000 });
    store.announce(hash(0), peer(1), 0);
    store.announce(hash(0), peer(2), 0);
    store.announce(hash(0), peer(2), 500);
    expect(texts(store, 0, 1_000)).toEqual(['10.0.0.2:5']);
    store.expire(1_500);
    expect([store.peerCount, store.infoHashCount]).toEqual([0, 0]);
  });

  it('answers with a random 50 of many', () => {
    const store = make();
    for (let index = 0; index < 300; index++) store.announce(hash(0), peer(index), 0);
    const seen = new Set<string>();
    for (let round = 0; round < 60; round++) {
      const sample = texts(store, 0, 0);
      expect(new Set(sample).size).toBe(50);
      for (const text of sample) seen.add(text);
    }
    expect(seen.size).toBe(300);
  });

  it('stays within its bounds, and the least recently announced give way', () => {
    const store = make({ maxPeersPerInfoHash: 10, maxInfoHashes: 5, maxPeers: 30 });
    for (let index = 0; index < 20; index++) store.announce(hash(0), peer(index), index);
    expect(texts(store, 0, 20)).toEqual(Array.from({ length: 10 }, (_, index) => `10.0.0.${10 + index}:5`));
    for (let index = 1; index < 20; index++)
      for (let of = 0; of < 8; of++) store.announce(hash(index), peer(of), 30);
    expect(store.infoHashCount).toBeLessThanOrEqual(5);
    expect(store.peerCount).toBeLessThanOrEqual(30);
    expect(texts(store, 0, 30)).toEqual([]);
    expect(texts(store, 19, 30).length).toBe(8);
  });

  it('gives way within one infohash when that is all there is', () => {
    const store = make({ maxPeers: 3 });
    for (let index = 0; index < 9; index++) store.announce(hash(0), peer(index), index);
    expect(texts(store, 0, 9)).toEqual(['10.0.0.6:5', '10.0.0.7:5', '10.0.0.8:5']);
  });

  it('takes no peer that it could not name', () => {
    const store = make();
    for (const bad of [
      { host: '::1', port: 5 },
      { host: 'localhost', port: 5 },
      { host: '1.2.3.4', port: 0 },
    ])
      store.announce(hash(0), bad, 0);
    expect([store.peerCount, store.infoHashCount]).toEqual([0, 0]);
  });
});
