/** The transfer as Skep does it: through NodeHost's data path. */

import { readFileSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import type { OutgoingBlock, PieceBuffer, TcpConnection } from '../../p2p-core/src/host/host.ts';
import { createNodeHost } from '../../p2p-core/src/host/node/index.ts';
import {
  BLOCK_BYTES,
  HEADER_BYTES,
  PIECE_BYTES,
  type Plan,
  pieceCount,
  pieceLength,
  type Side,
  WINDOW_PIECES,
} from './plan.ts';

const LOOPBACK = '127.0.0.1';

export const throughHost: Side = {
  async send(plan) {
    const host = createNodeHost();
    const content = await host.payload.openContent({
      root: dirname(plan.source),
      files: [{ path: basename(plan.source), length: plan.lengthBytes }],
      readOnly: true,
    });
    const done = Promise.withResolvers<void>();
    const listener = await host.net.listenTcp({ host: LOOPBACK, port: 0 }, (connection) => {
      const wanted: number[] = [];
      const pump = (): void => {
        while (wanted.length > 0 && connection.queuedBytes <= connection.highWaterBytes)
          connection.sendBlocks(content, blocksOf(plan, wanted.shift()!));
      };
      return {
        onBytes(view) {
          const asked = view.length - (view.length % 4);
          const words = new DataView(view.buffer, view.byteOffset, asked);
          for (let at = 0; at < asked; at += 4) wanted.push(words.getUint32(at));
          pump();
          return asked;
        },
        onDrain: pump,
        onClose: () => done.resolve(host.close()),
      };
    });
    return { port: listener.local.port, done: done.promise };
  },

  async receive(plan, port) {
    const host = createNodeHost();
    const hashes = readFileSync(plan.hashes);
    const content = await host.payload.openContent({
      root: dirname(plan.target),
      files: [{ path: basename(plan.target), length: plan.lengthBytes }],
    });
    const started = performance.now();
    await new Promise<void>((resolve, reject) => {
      const pieces = new Map<number, { buffer: PieceBuffer; left: number }>();
      let arriving = -1;
      let asked = 0;
      let stored = 0;
      const ask = (): void => {
        const word = new Uint8Array(4);
        new DataView(word.buffer).setUint32(0, asked);
        pieces.set(asked, {
          buffer: host.payload.allocatePiece(pieceLength(plan, asked)),
          left: pieceLength(plan, asked),
        });
        asked++;
        connection.send(word);
      };
      const store = async (index: number, buffer: PieceBuffer): Promise<void> => {
        const result = await content.storePiece(
          buffer,
          index * PIECE_BYTES,
          hashes.subarray(index * 20, index * 20 + 20),
        );
        buffer.release();
        if (result === 'corrupt') throw new Error(`piece ${index} is corrupt`);
        if (++stored === pieceCount(plan)) return resolve();
        if (asked < pieceCount(plan)) ask();
      };
      const connection: TcpConnection = host.net.connectTcp(
        { host: LOOPBACK, port },
        {
          onOpen() {
            for (let index = 0; index < Math.min(WINDOW_PIECES, pieceCount(plan)); index++) ask();
          },
          onBytes(view) {
            if (view.length < HEADER_BYTES) return 0;
            const header = new DataView(view.buffer, view.byteOffset, HEADER_BYTES);
            arriving = header.getUint32(5);
            const offset = header.getUint32(9);
            const length = header.getUint32(0) - 9;
            const piece = pieces.get(arriving)!;
            piece.left -= length;
            connection.receivePayload(length, piece.buffer, offset);
            return HEADER_BYTES;
          },
          onPayload() {
            const piece = pieces.get(arriving)!;
            if (piece.left > 0) return;
            pieces.delete(arriving);
            store(arriving, piece.buffer).catch(reject);
          },
          onClose: (error) => reject(error ?? new Error('the sender left')),
        },
      );
    });
    const seconds = (performance.now() - started) / 1000;
    await host.close();
    return { seconds };
  },
};

function blocksOf(plan: Plan, index: number): OutgoingBlock[] {
  const blocks: OutgoingBlock[] = [];
  const total = pieceLength(plan, index);
  for (let offset = 0; offset < total; offset += BLOCK_BYTES) {
    const length = Math.min(BLOCK_BYTES, total - offset);
    const header = new Uint8Array(HEADER_BYTES);
    const words = new DataView(header.buffer);
    words.setUint32(0, 9 + length);
    words.setUint8(4, 7);
    words.setUint32(5, index);
    words.setUint32(9, offset);
    blocks.push({ header, offset: index * PIECE_BYTES + offset, length });
  }
  return blocks;
}
