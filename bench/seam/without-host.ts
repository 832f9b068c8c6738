/**
 * The same transfer by hand on node:net, node:fs and worker threads, for this one purpose and with nothing
 * in between: what the seam is measured against. It uses the same tricks as NodeHost (vectored reads between
 * the headers, one read buffer, pieces in shared memory), so that the difference is the indirection alone.
 */
import { closeSync, constants, openSync, readFileSync, readv } from 'node:fs';
import { type AddressInfo, connect, createServer } from 'node:net';
import { Worker } from 'node:worker_threads';
import {
  BLOCK_BYTES,
  HEADER_BYTES,
  PIECE_BYTES,
  pieceCount,
  pieceLength,
  type Side,
  WINDOW_PIECES,
} from './plan.ts';

const LOOPBACK = '127.0.0.1';
const BLOCKS_A_READ = 15;
const READS_AHEAD = 4;
const WORKERS = 2;
const READ_BYTES = 256 * 2 ** 10;

export const withoutHost: Side = {
  async send(plan) {
    const fd = openSync(plan.source, 'r');
    const done = Promise.withResolvers<void>();
    const server = createServer({ noDelay: true }, (socket) => {
      /** Runs of blocks to send, and the buffers they are in once read, in order. */
      const runs: { piece: number; from: number; to: number }[] = [];
      const ready = new Map<number, Uint8Array>();
      const free: Uint8Array[] = Array.from(
        { length: READS_AHEAD },
        () => new Uint8Array(BLOCKS_A_READ * (BLOCK_BYTES + HEADER_BYTES)),
      );
      let nextRead = 0;
      let nextWrite = 0;
      const write = (): void => {
        for (let bytes = ready.get(nextWrite); bytes !== undefined; bytes = ready.get(nextWrite)) {
          ready.delete(nextWrite++);
          const whole = bytes;
          socket.write(whole, () => {
            free.push(new Uint8Array(whole.buffer));
            read();
          });
        }
      };
      const read = (): void => {
        while (runs.length > 0 && free.length > 0) {
          const { piece, from, to } = runs.shift()!;
          const buffer = free.pop()!;
          const turn = nextRead++;
          const { views, used } = layOut(buffer, piece, from, to);
          readv(fd, views, piece * PIECE_BYTES + from, (error) => {
            if (error !== null) return void socket.destroy(error);
            ready.set(turn, buffer.subarray(0, used));
            write();
          });
        }
      };
      socket.on('data', (chunk: Buffer) => {
        for (let at = 0; at + 4 <= chunk.length; at += 4) {
          const piece = chunk.readUInt32BE(at);
          const length = pieceLength(plan, piece);
          for (let from = 0; from < length; from += BLOCKS_A_READ * BLOCK_BYTES)
            runs.push({ piece, from, to: Math.min(length, from + BLOCKS_A_READ * BLOCK_BYTES) });
        }
        read();
      });
      socket.on('close', () => {
        server.close();
        closeSync(fd);
        done.resolve();
      });
      socket.on('error', done.reject);
    });
    await new Promise<void>((resolve) => server.listen(0, LOOPBACK, resolve));
    return { port: (server.address() as AddressInfo).port, done: done.promise };
  },

  async receive(plan, port) {
    const hashes = readFileSync(plan.hashes);
    const started = performance.now();
    const fd = openSync(plan.target, constants.O_RDWR | constants.O_CREAT);
    const workers = Array.from(
      { length: WORKERS },
      () => new Worker(new URL('./raw-worker.ts', import.meta.url)),
    );
    await new Promise<void>((resolve, reject) => {
      const free = Array.from(
        { length: WINDOW_PIECES },
        () => new Uint8Array(new SharedArrayBuffer(PIECE_BYTES)),
      );
      const pieces = new Map<number, { bytes: Uint8Array; left: number }>();
      const header = new Uint8Array(HEADER_BYTES);
      const words = new DataView(header.buffer);
      const readBuffer = new Uint8Array(READ_BYTES);
      let headerLength = 0;
      let left = 0;
      let target = 0;
      let arriving = 0;
      let asked = 0;
      let stored = 0;
      const ask = (): void => {
        const bytes = free.pop()!;
        pieces.set(asked, { bytes, left: pieceLength(plan, asked) });
        const word = Buffer.alloc(4);
        word.writeUInt32BE(asked++);
        socket.write(word);
      };
      const take = (chunk: Uint8Array): void => {
        let at = 0;
        while (at < chunk.length) {
          if (left === 0) {
            const part = Math.min(HEADER_BYTES - headerLength, chunk.length - at);
            header.set(chunk.subarray(at, at + part), headerLength);
            headerLength += part;
            at += part;
            if (headerLength < HEADER_BYTES) return;
            headerLength = 0;
            left = words.getUint32(0) - 9;
            arriving = words.getUint32(5);
            target = words.getUint32(9);
          }
          const piece = pieces.get(arriving)!;
          const part = Math.min(left, chunk.length - at);
          Buffer.prototype.copy.call(chunk, piece.bytes, target, at, at + part);
          at += part;
          target += part;
          left -= part;
          piece.left -= part;
          if (piece.left > 0) continue;
          pieces.delete(arriving);
          workers[arriving % WORKERS]!.postMessage({
            fd,
            index: arriving,
            position: arriving * PIECE_BYTES,
            bytes: piece.bytes.subarray(0, pieceLength(plan, arriving)),
            expected: hashes.subarray(arriving * 20, arriving * 20 + 20),
          });
        }
      };
      for (const worker of workers)
        worker.on('message', ({ ok, bytes }: { ok: boolean; bytes: Uint8Array<SharedArrayBuffer> }) => {
          if (!ok) return reject(new Error('a piece is corrupt'));
          free.push(new Uint8Array(bytes.buffer));
          if (++stored === pieceCount(plan)) return resolve();
          if (asked < pieceCount(plan)) ask();
        });
      const socket = connect(
        {
          host: LOOPBACK,
          port,
          noDelay: true,
          onread: {
            buffer: readBuffer,
            callback: (length) => {
              take(readBuffer.subarray(0, length));
              return true;
            },
          },
        },
        () => {
          for (let index = 0; index < Math.min(WINDOW_PIECES, pieceCount(plan)); index++) ask();
        },
      );
      socket.on('error', reject);
    });
    const seconds = (performance.now() - started) / 1000;
    closeSync(fd);
    await Promise.all(workers.map((worker) => worker.terminate()));
    return { seconds };
  },
};

/** Writes the headers of blocks [from, to) of a piece into `buffer` and gives the gaps for their bytes. */
function layOut(
  buffer: Uint8Array,
  piece: number,
  from: number,
  to: number,
): { views: Uint8Array[]; used: number } {
  const words = new DataView(buffer.buffer);
  const views: Uint8Array[] = [];
  let used = 0;
  for (let offset = from; offset < to; offset += BLOCK_BYTES) {
    const length = Math.min(BLOCK_BYTES, to - offset);
    words.setUint32(used, 9 + length);
    words.setUint8(used + 4, 7);
    words.setUint32(used + 5, piece);
    words.setUint32(used + 9, offset);
    views.push(buffer.subarray(used + HEADER_BYTES, used + HEADER_BYTES + length));
    used += HEADER_BYTES + length;
  }
  return { views, used };
}
