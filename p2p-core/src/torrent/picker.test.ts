import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { PieceBuffer } from '../host/host.ts';
import type { Block } from '../wire/peer-messages.ts';
import { Bitfield } from './bitfield.ts';
import { Picker } from './picker.ts';
import { BLOCK_LENGTH, type PickerPeer } from './picks.ts';

type P = PickerPeer<string>;

/** A repeatable Random: a linear congruential generator is chance enough here. */
function chance(seed: number) {
  let state = seed >>> 0;
  const float = () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
  return { float, bytes: (length: number) => Uint8Array.from({ length }, () => float() * 256) };
}

class World {
  readonly have: Bitfield;
  readonly picker: Picker<string>;
  buffers = 0;
  mostBuffers = 0;

  constructor(options: {
    pieces: number;
    blocks?: number;
    tail?: number;
    maxPieces?: number;
    seed?: number;
  }) {
    const pieceLength = (options.blocks ?? 4) * BLOCK_LENGTH;
    this.have = new Bitfield(options.pieces);
    const allocate = (length: number): PieceBuffer => {
      this.mostBuffers = Math.max(this.mostBuffers, ++this.buffers);
      return { length, release: () => this.buffers-- };
    };
    this.picker = new Picker<string>(
      { random: chance(options.seed ?? 1), allocate, have: this.have },
      {
        pieceCount: options.pieces,
        pieceLength,
        length: options.pieces * pieceLength - (options.tail ?? 0),
        maxPieces: options.maxPieces ?? 1000,
      },
    );
  }

  peer(name: string, pieces: number[] | 'all'): P {
    const has = pieces === 'all' ? Bitfield.full(this.have.size) : new Bitfield(this.have.size);
    if (pieces !== 'all') for (const piece of pieces) has.set(piece);
    const peer = this.picker.addPeer(name, has);
    peer.isChoking = false;
    return peer;
  }

  ask(peer: P, count: number): Block[] {
    const blocks: Block[] = [];
    this.picker.pick(peer, count, blocks);
    return blocks;
  }

  /** The peer delivers; a complete piece is stored at once. */
  deliver(peer: P, block: Block, outcome: 'stored' | 'corrupt' = 'stored') {
    const arrival = this.picker.arriving(peer, block);
    if (arrival.discard !== undefined) return { discard: arrival.discard };
    const { complete, cancel } = this.picker.arrived(peer);
    let blamed: string[] | undefined;
    if (complete !== undefined) {
      complete.buffer.release();
      if (outcome === 'stored') this.picker.stored(complete);
      else blamed = this.picker.corrupt(complete).map(({ owner }) => owner);
    }
    return { cancel, blamed };
  }
}

const keys = (blocks: readonly Block[]) =>
  blocks.map(({ index, begin }) => `${index}/${begin / BLOCK_LENGTH}`);

describe('choosing', () => {
  test('takes the rarest piece first, once there is something to trade', () => {
    const world = new World({ pieces: 8, blocks: 1 });
    const seed = world.peer('seed', 'all');
    for (let i = 0; i < 4; i++) world.deliver(seed, world.ask(seed, 1)[0]!);
    const left = [0, 1, 2, 3, 4, 5, 6, 7].filter((piece) => !world.have.has(piece));
    const [rare, ...common] = left;
    for (const name of ['x', 'y']) world.peer(name, common);
    world.peer('z', [common[0]!]);
    expect(world.ask(seed, 1)[0]!.index).toBe(rare);
    expect(world.ask(seed, 3).at(-1)!.index).toBe(common[0]);
  });

  test('finishes pieces begun before it begins others', () => {
    const world = new World({ pieces: 4, blocks: 4 });
    const [a, b] = [world.peer('a', 'all'), world.peer('b', 'all')];
    const [first] = world.ask(a, 1);
    expect(world.ask(b, 3).every(({ index }) => index === first!.index)).toBe(true);
  });

  test('but asks a peer that has something much rarer for that', () => {
    const world = new World({ pieces: 8, blocks: 4 });
    const seed = world.peer('seed', 'all');
    for (let i = 0; i < 16; i++) world.deliver(seed, world.ask(seed, 1)[0]!);
    const [rare, ...common] = [0, 1, 2, 3, 4, 5, 6, 7].filter((piece) => !world.have.has(piece));
    const leech = world.peer('a', common);
    const [begun] = world.ask(leech, 1);
    expect(begun!.index).not.toBe(rare);
    expect(world.ask(seed, 4).every(({ index }) => index === rare)).toBe(true);
    expect(world.ask(seed, 3).every(({ index }) => index === begun!.index)).toBe(true);
  });

  test('heeds what a peer suggests before all else', () => {
    const world = new World({ pieces: 8, blocks: 2 });
    const seed = world.peer('seed', 'all');
    const [begun] = world.ask(seed, 1);
    const suggested = (begun!.index + 3) % 8;
    world.picker.suggested(seed, suggested);
    expect(world.ask(seed, 3).map(({ index }) => index)).toEqual([suggested, suggested, begun!.index]);
  });

  test('asks a peer that had nothing more once something has become free', () => {
    const world = new World({ pieces: 1, blocks: 2 });
    const [a, b] = [world.peer('a', 'all'), world.peer('b', 'all')];
    world.ask(a, 2);
    expect(world.ask(b, 1)).toHaveLength(1); // end game
    world.picker.removePeer(a);
    expect(keys(world.ask(b, 2))).toEqual(['0/0']);
  });

  test('asks of a choking peer only what it allows', () => {
    const world = new World({ pieces: 4, blocks: 2 });
    const peer = world.peer('a', 'all');
    peer.isChoking = true;
    expect(world.ask(peer, 10)).toEqual([]);
    world.picker.allow(peer, 2);
    expect(keys(world.ask(peer, 10))).toEqual(['2/0', '2/1']);
  });

  test('knows the last block and the last piece to be shorter', () => {
    const world = new World({ pieces: 2, blocks: 2, tail: BLOCK_LENGTH + 5 });
    const blocks = world.ask(world.peer('a', [1]), 10);
    expect(blocks).toEqual([{ index: 1, begin: 0, length: BLOCK_LENGTH - 5 }]);
  });

  test('holds no more pieces in memory than it may', () => {
    const world = new World({ pieces: 10, blocks: 2, maxPieces: 3 });
    expect(world.ask(world.peer('a', 'all'), 100)).toHaveLength(6);
    expect(world.mostBuffers).toBe(3);
  });

  test('gives up an idle piece when it needs the room for one that can be had', () => {
    const world = new World({ pieces: 2, blocks: 2, maxPieces: 1 });
    const a = world.peer('a', [0]);
    const [block] = world.ask(a, 1);
    world.deliver(a, block!);
    world.picker.removePeer(a);
    expect(keys(world.ask(world.peer('b', [1]), 10))).toEqual(['1/0', '1/1']);
    expect(world.buffers).toBe(1);
  });
});

describe('end game', () => {
  test('asks a second peer when all is asked for, and cancels at whoever is slower', () => {
    const world = new World({ pieces: 1, blocks: 2 });
    const [a, b, c] = [world.peer('a', 'all'), world.peer('b', 'all'), world.peer('c', 'all')];
    const asked = world.ask(a, 10);
    expect(keys(world.ask(b, 10))).toEqual(keys(asked).reverse());
    expect(world.ask(c, 10)).toEqual([]);
    expect(world.deliver(b, asked[0]!).cancel).toEqual({ block: asked[0], peers: ['a'] });
    expect(world.deliver(a, asked[0]!)).toEqual({ discard: 'duplicate' });
  });

  test('asks for a few blocks at a time, those last that come first, and only who has answered everything', () => {
    const world = new World({ pieces: 2, blocks: 6 });
    const [slow, fast] = [world.peer('slow', 'all'), world.peer('fast', 'all')];
    const asked = keys(world.ask(slow, 12));
    const twice = world.ask(fast, 12);
    expect(keys(twice)).toEqual(asked.slice(-4).reverse());
    expect(world.ask(fast, 12)).toEqual([]);
    for (const block of twice) world.deliver(fast, block);
    expect(keys(world.ask(fast, 12))).toEqual(asked.slice(-8, -4).reverse());
  });

  test('does not begin while a block is free', () => {
    const world = new World({ pieces: 2, blocks: 2 });
    const a = world.peer('a', [0]);
    world.ask(a, 10);
    expect(world.ask(world.peer('b', [0]), 10)).toEqual([]);
  });

  test('a block that is arriving from one peer is not taken from another', () => {
    const world = new World({ pieces: 1, blocks: 1 });
    const [a, b] = [world.peer('a', 'all'), world.peer('b', 'all')];
    const [block] = world.ask(a, 1);
    world.ask(b, 1);
    expect(world.picker.arriving(a, block!).discard).toBeUndefined();
    expect(world.picker.arriving(b, block!).discard).toBe('duplicate');
    world.picker.removePeer(a);
    expect(keys(world.ask(b, 1))).toEqual(['0/0']);
  });
});

describe('what goes wrong', () => {
  test('nobody asked: discarded', () => {
    const world = new World({ pieces: 2 });
    const peer = world.peer('a', 'all');
    for (const block of [
      { index: 0, begin: 0, length: BLOCK_LENGTH },
      { index: 99, begin: 0, length: BLOCK_LENGTH },
      { index: 0, begin: 7, length: BLOCK_LENGTH },
    ]) {
      expect(world.picker.arriving(peer, block)).toEqual({ discard: 'unsolicited' });
    }
  });

  test('a block of the wrong length is discarded and asked for again', () => {
    const world = new World({ pieces: 1, blocks: 1 });
    const peer = world.peer('a', 'all');
    const [block] = world.ask(peer, 1);
    expect(world.picker.arriving(peer, { ...block!, length: 5 })).toEqual({ discard: 'unsolicited' });
    expect(world.ask(peer, 1)).toEqual([block]);
  });

  test('a reject lets another peer be asked', () => {
    const world = new World({ pieces: 1, blocks: 1 });
    const [a, b] = [world.peer('a', 'all'), world.peer('b', 'all')];
    const [block] = world.ask(a, 1);
    expect(world.picker.rejected(a, block!)).toBe(true);
    expect(world.picker.rejected(a, block!)).toBe(false);
    expect(world.ask(b, 1)).toEqual([block]);
  });

  test('what was given up is taken all the same if it comes late', () => {
    const world = new World({ pieces: 1, blocks: 1 });
    const peer = world.peer('a', 'all');
    const [block] = world.ask(peer, 1);
    world.picker.releaseAll(peer);
    expect(world.deliver(peer, block!)).toEqual({ cancel: undefined, blamed: undefined });
    expect(world.have.isFull).toBe(true);
  });

  test('one contributor is to blame; after several, one peer alone gets the piece', () => {
    const world = new World({ pieces: 1, blocks: 2 });
    const [a, b] = [world.peer('a', 'all'), world.peer('b', 'all')];
    const [first] = world.ask(a, 1);
    const [second] = world.ask(b, 1);
    world.deliver(a, first!);
    expect(world.deliver(b, second!, 'corrupt').blamed).toEqual(['a', 'b']);
    expect(world.ask(b, 1)).toHaveLength(1);
    expect(world.ask(a, 2)).toEqual([]);
    world.deliver(b, first!);
    const [rest] = world.ask(b, 1);
    expect(world.deliver(b, rest!, 'corrupt').blamed).toEqual(['b']);
  });

  test('a piece reserved for a peer that leaves goes to another', () => {
    const world = new World({ pieces: 1, blocks: 2 });
    const [a, b] = [world.peer('a', 'all'), world.peer('b', 'all')];
    world.deliver(a, world.ask(a, 1)[0]!);
    world.deliver(b, world.ask(b, 1)[0]!, 'corrupt');
    world.deliver(a, world.ask(a, 1)[0]!);
    world.picker.removePeer(a);
    expect(world.ask(b, 2)).toHaveLength(2);
  });
});

test('under any churn, blocks are wanted, asked once before the end game, and all is had in the end', () => {
  const step = fc.record({
    what: fc.integer({ min: 0, max: 9 }),
    who: fc.nat(),
    count: fc.integer({ min: 1, max: 9 }),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 150 }), fc.integer(), (steps, seed) => {
      const random = chance(seed);
      const world = new World({ pieces: 12, blocks: 3, tail: 20_000, maxPieces: 4, seed });
      const peers: P[] = [];
      const some = () => [...Array(12).keys()].filter(() => random.float() < 0.5);
      const ask = (peer: P, count: number) => {
        const others = new Set(peers.filter((other) => other !== peer).flatMap((other) => [...other.asked]));
        const before = new Set(peer.asked);
        const blocks = world.ask(peer, count);
        const fresh = [...peer.asked].filter((key) => !before.has(key));
        expect(fresh).toHaveLength(blocks.length);
        for (const { index } of blocks) {
          expect(peer.has.has(index)).toBe(true);
          expect(world.have.has(index)).toBe(false);
        }
        // Twice only if nothing is free anywhere: then a newcomer with everything gets nothing new either.
        if (fresh.some((key) => others.has(key))) {
          const probe = world.peer('probe', 'all');
          const extra = world.ask(probe, 1);
          for (const block of extra) {
            expect(peers.some((other) => [...other.asked].some((key) => sameBlock(world, key, block)))).toBe(
              true,
            );
          }
          world.picker.removePeer(probe);
          peer.late?.clear();
        }
      };
      const answer = (peer: P, outcome: 'stored' | 'corrupt') => {
        const [key] = peer.asked;
        if (key !== undefined) world.deliver(peer, world.picker.blockAt(key), outcome);
      };
      for (const { what, who, count } of steps) {
        const peer = peers[who % Math.max(1, peers.length)];
        if (what === 0 || peer === undefined)
          peers.push(world.peer('p', random.float() < 0.3 ? 'all' : some()));
        else if (what === 1) world.picker.removePeer(peers.splice(peers.indexOf(peer), 1)[0]!);
        else if (what === 2) world.picker.releaseAll(peer);
        else if (what === 3) world.picker.peerHas(peer, who % 12);
        else if (what === 4) answer(peer, 'corrupt');
        else if (what < 7) ask(peer, count);
        else for (let i = 0; i < count; i++) answer(peer, 'stored');
        expect(world.buffers).toBeLessThanOrEqual(4);
      }
      for (const peer of peers) world.picker.removePeer(peer);
      const last = world.peer('last', 'all');
      for (let round = 0; round < 200 && !world.have.isFull; round++) {
        world.ask(last, 8);
        while (last.asked.size > 0) answer(last, 'stored');
      }
      expect(world.have.isFull).toBe(true);
      expect(world.buffers).toBe(0);
    }),
    { numRuns: 300 },
  );
});

function sameBlock(world: World, key: number, block: Block): boolean {
  const other = world.picker.blockAt(key);
  return other.index === block.index && other.begin === block.begin;
}
