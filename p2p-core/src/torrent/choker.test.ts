import { describe, expect, test } from 'vitest';
import { Choker, type ChokerPeer, slotsFor } from './choker.ts';

interface TestPeer extends ChokerPeer {
  readonly name: string;
  isInterested: boolean;
  isSnubbed: boolean;
  connectedMs: number;
  down: number;
  up: number;
}

function peer(name: string, more: Partial<TestPeer> = {}): TestPeer {
  return {
    name,
    isInterested: true,
    isSnubbed: false,
    connectedMs: -1_000_000,
    down: 0,
    up: 0,
    downloadRate() {
      return this.down;
    },
    uploadRate() {
      return this.up;
    },
    ...more,
  };
}

/** Two slots and the optimistic one. */
function makeChoker(draw = 0) {
  const random = { float: () => draw, bytes: (length: number) => new Uint8Array(length) };
  return new Choker<TestPeer>({ random }, { uploadBytesPerSecond: 1_000 });
}

const names = (choker: Choker<TestPeer>) => [...choker.unchoked.keys()].map(({ name }) => name).sort();

test.each([
  [1_000, 2],
  [10 * 1024, 3],
  [40 * 1024, 4],
  [100 * 1024, 7],
  [1e9, 50],
  [Infinity, 8],
])('an upload of %d bytes per second is shared by %d', (rate, slots) => {
  expect(slotsFor(rate)).toBe(slots);
});

describe('as a leech', () => {
  const five = () => [1, 2, 3, 4, 5].map((down) => peer(`p${down}`, { down }));

  test('those that give most are served, and one by chance', () => {
    const choker = makeChoker();
    expect(choker.tick(five(), false, 0)).toBe(true);
    expect(names(choker)).toEqual(['p1', 'p4', 'p5']);
  });

  test('decides every 10 s', () => {
    const choker = makeChoker();
    const peers = five();
    choker.tick(peers, false, 0);
    peers[1]!.down = 100;
    expect(choker.tick(peers, false, 9_999)).toBe(false);
    expect(choker.tick(peers, false, 10_000)).toBe(true);
    expect(names(choker)).toEqual(['p1', 'p2', 'p5']);
  });

  test('the chance passes to another after 30 s', () => {
    let draw = 0;
    const random = { float: () => draw, bytes: () => new Uint8Array(0) };
    const choker = new Choker<TestPeer>({ random }, { uploadBytesPerSecond: 1_000 });
    const peers = five();
    choker.tick(peers, false, 0);
    draw = 0.99;
    choker.tick(peers, false, 10_000);
    choker.tick(peers, false, 20_000);
    expect(names(choker)).toContain('p1');
    choker.tick(peers, false, 30_000);
    expect(names(choker)).toEqual(['p3', 'p4', 'p5']);
  });

  test('a newcomer is three times as likely to get the chance', () => {
    const peers = [
      peer('new', { connectedMs: 0 }),
      peer('old'),
      peer('a', { down: 9 }),
      peer('b', { down: 9 }),
    ];
    const below = makeChoker(0.74);
    below.tick(peers, false, 1);
    expect(names(below)).toContain('new');
    const above = makeChoker(0.76);
    above.tick(peers, false, 1);
    expect(names(above)).toContain('old');
  });

  test('who snubs us is served by chance only, who wants nothing not at all', () => {
    const choker = makeChoker();
    const peers = [
      peer('snub', { down: 9, isSnubbed: true }),
      peer('sated', { down: 9, isInterested: false }),
      peer('a'),
      peer('b'),
    ];
    choker.tick(peers, false, 0);
    expect(names(choker)).toEqual(['a', 'b', 'snub']);
  });
});

describe('free slots', () => {
  test('are given away at once, while there are any', () => {
    const choker = makeChoker();
    const peers = [peer('a'), peer('b'), peer('c'), peer('d')];
    expect(peers.map((each) => choker.interested(each, 0))).toEqual([true, true, true, false]);
    choker.gone(peers[0]!);
    expect(choker.interested(peers[3]!, 1)).toBe(true);
  });
});

describe('as a seed', () => {
  test('everyone has a turn, however slow', () => {
    const choker = makeChoker(0.5);
    const peers = [1, 2, 3, 4, 5, 6].map((up) => peer(`p${up}`, { up }));
    const served = new Set<string>();
    for (let nowMs = 0; nowMs <= 240_000; nowMs += 10_000) {
      choker.tick(peers, true, nowMs);
      expect(choker.unchoked.size).toBeLessThanOrEqual(3);
      for (const name of names(choker)) served.add(name);
    }
    expect(served.size).toBe(6);
  });
});
