import { expect, test } from 'vitest';
import { type Host, HostError } from '../host/host.ts';
import type { TorrentInfo } from '../metainfo/index.ts';
import { PieceStore } from './piece-store.ts';
import type { ResumeFiles } from './resume.ts';

test('a checkpoint whose log cannot be written fails at once, whatever the content is doing', async () => {
  const full = new HostError('disk-full', 'no space is left');
  const content = { sync: () => new Promise<void>(() => {}) };
  const host = {
    files: { stat: async () => undefined },
    payload: { openContent: async () => content },
  } as unknown as Host;
  const resume = {
    load: async () => undefined,
    rotateLog: () => Promise.reject(full),
  } as unknown as ResumeFiles;
  const info = {
    pieceCount: 1,
    pieceLength: 16_384,
    length: 5,
    files: [{ path: 'x', length: 5 }],
  } as unknown as TorrentInfo;
  const { store } = await PieceStore.open(
    { host, resume },
    { info, contentRoot: '/content', readOnly: false },
  );
  await expect(store.checkpoint(() => ({ uploadedBytes: 0, downloadedBytes: 0, peers: [] }))).rejects.toBe(
    full,
  );
});
