/** Payload: blocks from file to socket, socket to piece, piece to file and hashed. */
import { describe, expect } from 'vitest';
import type { HostWorld, Machine, WorldTest } from '../compliance.ts';
import type { Content, ContentLayout, OutgoingBlock, PieceBuffer } from '../host.ts';
import { codeOf, connectPair, Probe, pattern, sameBytes } from './probe.ts';

const BLOCK = 16_384;
const HEADER = 13;

/** Files `a`, `sub/empty`, `sub/b`, `c` with no boundary on a block's. */
const FILES = [
  { path: 'a', length: 70_001 },
  { path: 'sub/empty', length: 0 },
  { path: 'sub/b', length: 1 },
  { path: 'c', length: 129_999 },
];
const LENGTH = 200_001;

async function seed(machine: Machine, bytes: Uint8Array): Promise<Content> {
  const root = `${machine.scratch}/seed`;
  let at = 0;
  for (const file of FILES) {
    await machine.host.files.writeAtomic(`${root}/${file.path}`, bytes.slice(at, at + file.length));
    at += file.length;
  }
  return machine.host.payload.openContent({ root, files: FILES, readOnly: true });
}

async function emptyLayout(machine: Machine): Promise<ContentLayout> {
  const root = `${machine.scratch}/leech`;
  await machine.host.files.makeDirectory(root);
  return { root, files: FILES };
}

function blocksOf(offset: number, length: number): OutgoingBlock[] {
  const blocks: OutgoingBlock[] = [];
  for (let at = 0; at < length; at += BLOCK)
    blocks.push({
      header: new Uint8Array(HEADER).fill(0xee),
      offset: offset + at,
      length: Math.min(BLOCK, length - at),
    });
  return blocks;
}

/** A handler that reads header, payload, header, payload… into `piece` until it is full. */
class PieceReceiver extends Probe {
  readonly piece: PieceBuffer;
  filled = 0;
  constructor(piece: PieceBuffer) {
    super();
    this.piece = piece;
    this.consume = (view) => {
      if (this.filled >= piece.length) return view.length;
      if (view.length < HEADER) return 0;
      const length = Math.min(BLOCK, piece.length - this.filled);
      this.connection.receivePayload(length, piece, this.filled);
      this.filled += length;
      return HEADER;
    };
  }
}

/** Moves [offset, offset + length) of `content` on the first machine into a piece of the second. */
async function transfer(
  world: HostWorld,
  content: Content,
  offset: number,
  length: number,
): Promise<PieceBuffer> {
  const piece = world.machines[1].host.payload.allocatePiece(length);
  const receiver = new PieceReceiver(piece);
  const { server } = await connectPair(world, receiver);
  const blocks = blocksOf(offset, length);
  server.connection.sendBlocks(content, blocks);
  await receiver.until(() => receiver.calls.filter((call) => call === 'payload').length === blocks.length);
  receiver.connection.close();
  return piece;
}

export function describePayload(test: WorldTest): void {
  describe('Payload', () => {
    test('a piece travels from files to socket to files, hashed, and reads back the same', async (world) => {
      const [first, second] = world.machines;
      const bytes = pattern(LENGTH);
      const from = await seed(first, bytes);
      const layout = await emptyLayout(second);
      const to = await second.host.payload.openContent(layout);
      expect([from.length, to.length]).toEqual([LENGTH, LENGTH]);
      expect(await second.host.files.list(layout.root)).toEqual([]);
      // Three pieces, the middle one first and the last one short.
      for (const [offset, length] of [
        [65_536, 65_536],
        [0, 65_536],
        [131_072, LENGTH - 131_072],
      ] as const) {
        const expected = await from.hashRange(offset, length, 'sha1');
        expect(expected).toEqual(first.host.compute.hash('sha1', bytes.slice(offset, offset + length)));
        const piece = await transfer(world, from, offset, length);
        expect(piece.length).toBe(length);
        expect(await to.storePiece(piece, offset, expected)).toBe('stored');
        piece.release();
        expect(await to.hashRange(offset, length, 'sha1')).toEqual(expected);
      }
      await to.createFiles();
      await to.sync();
      expect(await to.hashRange(0, LENGTH, 'sha256')).toEqual(second.host.compute.hash('sha256', bytes));
      let at = 0;
      for (const file of FILES) {
        const read = await second.host.files.read(`${layout.root}/${file.path}`, LENGTH);
        expect(sameBytes(read, bytes.slice(at, at + file.length))).toBe(true);
        at += file.length;
      }
      await Promise.all([from.close(), to.close()]);
    });

    test('a piece with another hash is corrupt and nothing of it is written', async (world) => {
      const [first, second] = world.machines;
      const from = await seed(first, pattern(LENGTH));
      const layout = await emptyLayout(second);
      const to = await second.host.payload.openContent(layout);
      const piece = await transfer(world, from, 0, 32_768);
      expect(await to.storePiece(piece, 0, new Uint8Array(20))).toBe('corrupt');
      piece.release();
      expect(await second.host.files.list(layout.root)).toEqual([]);
      await Promise.all([from.close(), to.close()]);
    });

    test('send and sendBlocks keep their order, and ordinary readers see plain bytes', async (world) => {
      const bytes = pattern(LENGTH);
      const from = await seed(world.machines[0], bytes);
      const { client, server } = await connectPair(world);
      const expected: Uint8Array[] = [];
      for (let turn = 0; turn < 20; turn++) {
        const word = Uint8Array.of(turn, turn, turn);
        const blocks = [turn * 9_000, turn * 9_000 + 5_000, turn].map((offset, index) => ({
          header: Uint8Array.of(0xaa, index),
          offset,
          length: [5_000, 12_345, 0][index]!,
        }));
        server.connection.send(word);
        server.connection.sendBlocks(from, blocks);
        expected.push(word.slice());
        for (const { header, offset, length } of blocks)
          expected.push(header.slice(), bytes.slice(offset, offset + length));
      }
      expect(server.connection.queuedBytes).toBeGreaterThan(0);
      server.connection.close();
      await client.until(() => client.closed);
      const total = expected.reduce((sum, part) => sum + part.length, 0);
      const whole = new Uint8Array(total);
      let at = 0;
      for (const part of expected) {
        whole.set(part, at);
        at += part.length;
      }
      expect(client.received).toHaveLength(total);
      expect(sameBytes(client.received, whole)).toBe(true);
      expect(client.closeError).toBeUndefined();
      await from.close();
    });

    test('payload is not shown to onBytes; what follows it is, even in one packet', async (world) => {
      const client = new Probe();
      const { server } = await connectPair(world, client);
      const piece = world.machines[1].host.payload.allocatePiece(10);
      const shown: number[][] = [];
      client.consume = (view) => {
        shown.push([...view]);
        if (shown.length === 1) {
          client.connection.receivePayload(5, piece, 2);
          return 1;
        }
        if (shown.length === 2) {
          client.connection.receivePayload(3, undefined, 0);
          return 1;
        }
        return view.length;
      };
      server.connection.send(Uint8Array.of(1, 9, 9, 9, 9, 9, 2, 8, 8, 8, 3, 4));
      server.connection.close();
      await client.until(() => client.closed);
      expect(client.calls).toEqual(['open', 'payload', 'payload', 'close']);
      expect([...client.received]).toEqual([1, 2, 3, 4]);
      expect(shown.at(-1)?.at(-1)).toBe(4);
      piece.release();
    });

    test('a released piece discards what still arrives for it; releasing twice is harmless', async (world) => {
      const client = new Probe();
      const { server } = await connectPair(world, client);
      const piece = world.machines[1].host.payload.allocatePiece(100_000);
      client.consume = (view) => {
        if (client.received.length > 0) return view.length;
        client.connection.receivePayload(100_000, piece, 0);
        piece.release();
        return 1;
      };
      server.connection.send(Uint8Array.of(1));
      server.connection.send(pattern(100_000));
      server.connection.send(Uint8Array.of(2));
      await client.until(() => client.received.length === 2);
      expect(client.calls).toEqual(['open', 'payload']);
      piece.release();
    });

    test('payload that does not fit its piece is a mistake that costs the connection', async (world) => {
      const client = new Probe();
      const { server } = await connectPair(world, client);
      const piece = world.machines[1].host.payload.allocatePiece(10);
      client.consume = () => {
        client.connection.receivePayload(5, piece, 6);
        return 1;
      };
      server.connection.send(pattern(20));
      await client.until(() => client.closed);
      expect(world.uncaught.splice(0)).toMatchObject([{ name: 'RangeError' }]);
      piece.release();
    });

    test('a connection that ends inside a payload closes without onPayload', async (world) => {
      const client = new Probe();
      const { server } = await connectPair(world, client);
      const piece = world.machines[1].host.payload.allocatePiece(1_000);
      client.consume = () => {
        client.connection.receivePayload(1_000, piece, 0);
        return 1;
      };
      server.connection.send(pattern(500));
      server.connection.close();
      await client.until(() => client.closed);
      expect(client.calls).toEqual(['open', 'close']);
      piece.release();
    });

    test('a block that cannot be read ends the connection with onReadError first', async (world) => {
      const [first] = world.machines;
      const content = await first.host.payload.openContent(await emptyLayout(first));
      const { client, server } = await connectPair(world);
      server.connection.sendBlocks(content, blocksOf(0, 32_768));
      await server.until(() => server.closed);
      await client.until(() => client.closed);
      expect(server.calls).toEqual(['open', 'read-error', 'close']);
      expect(server.readError?.code).toBe('not-found');
      await content.close();
    });

    test('createFiles makes every file at its length; a range never stored reads as zeros', async (world) => {
      const [machine] = world.machines;
      const layout = await emptyLayout(machine);
      const content = await machine.host.payload.openContent(layout);
      expect(await codeOf(content.hashRange(0, LENGTH, 'sha1'))).toBe('not-found');
      await content.createFiles();
      await content.createFiles();
      for (const file of FILES)
        expect(await machine.host.files.stat(`${layout.root}/${file.path}`)).toMatchObject({
          kind: 'file',
          sizeBytes: file.length,
        });
      expect(await content.hashRange(0, LENGTH, 'sha1')).toEqual(
        machine.host.compute.hash('sha1', new Uint8Array(LENGTH)),
      );
      await content.close();
    });

    test('a file shorter than its layout is io; a range outside the content is a RangeError', async (world) => {
      const [machine] = world.machines;
      const content = await seed(machine, pattern(LENGTH));
      await machine.host.files.writeAtomic(`${machine.scratch}/seed/c`, pattern(10));
      expect(await codeOf(content.hashRange(0, LENGTH, 'sha1'))).toBe('io');
      await expect(content.hashRange(1, LENGTH, 'sha1')).rejects.toThrow(RangeError);
      await content.close();
    });

    test('a read-only content stores nothing', async (world) => {
      const [machine] = world.machines;
      const content = await seed(machine, pattern(LENGTH));
      const piece = machine.host.payload.allocatePiece(100);
      expect(await codeOf(content.storePiece(piece, 0, new Uint8Array(20)))).toBe('permission');
      expect(await codeOf(content.createFiles())).toBe('permission');
      piece.release();
      await content.close();
    });

    test('a root that is not there is not-found, and is not made', async (world) => {
      const [machine] = world.machines;
      const content = await machine.host.payload.openContent({
        root: `${machine.scratch}/gone`,
        files: FILES,
      });
      const piece = machine.host.payload.allocatePiece(100);
      expect(await codeOf(content.createFiles())).toBe('not-found');
      // Whatever the fresh buffer holds, this is not its hash: corrupt is told without touching the disk.
      expect(await content.storePiece(piece, 0, new Uint8Array(20))).toBe('corrupt');
      expect(await machine.host.files.list(machine.scratch)).toEqual([]);
      piece.release();
      await content.close();
    });

    test('a path that could leave the root is refused before anything is opened', async (world) => {
      const [machine] = world.machines;
      const { root } = await emptyLayout(machine);
      for (const path of ['../out', '/abs', 'a/../../out', 'a//b', '.', '..', '', 'a/./b', 'a/', 'nul\0byte'])
        expect([
          path,
          await codeOf(machine.host.payload.openContent({ root, files: [{ path, length: 5 }] })),
        ]).toEqual([path, 'unsafe-path']);
      expect(await machine.host.files.list(root)).toEqual([]);
    });
  });
}
