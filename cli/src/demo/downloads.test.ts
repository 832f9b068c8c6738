import type { NodeView, TorrentHolding } from '@skep/contract';
import { describe, expect, it } from 'vitest';
import { downloadOf, downloadRows, obstacleOf, shortfall } from './downloads.ts';

const infoHash = 'a'.repeat(40);
const sha256 = 'b'.repeat(64);

function node(slot: string, holding?: Partial<TorrentHolding>): NodeView {
  const torrent: TorrentHolding = {
    infoHash,
    state: 'downloading',
    lengthBytes: 1_048_576,
    haveBytes: 524_288,
    downloadRate: 2_097_152,
    uploadRate: 0,
    downloadedBytes: 0,
    uploadedBytes: 0,
    wastedBytes: 0,
    peers: 3,
    ...holding,
  };
  return {
    slot,
    role: 'peer',
    generation: 1,
    attempt: 1,
    state: 'serving',
    address: { host: '127.0.0.1', port: 1 },
    torrents: holding === undefined ? [] : [torrent],
  };
}

describe('downloads', () => {
  it('count only once read back, and show what was read', () => {
    const complete = { state: 'seeding', haveBytes: 1_048_576, seconds: 0.5 } as const;
    expect(downloadOf(node('peer-2', {}), infoHash, sha256)).toBeUndefined();
    expect(downloadOf(node('peer-2', complete), infoHash, sha256)).toBeUndefined();
    expect(downloadOf(node('peer-2', { ...complete, sha256 }), infoHash, sha256)).toEqual({
      node: 'peer-2',
      seconds: 0.5,
      sha256Ok: true,
    });
    const wrong = { ...complete, sha256: 'c'.repeat(64) };
    expect(downloadOf(node('peer-2', wrong), infoHash, sha256)?.sha256Ok).toBe(false);
  });

  it('are rows for every slot, also before its node is heard of', () => {
    const nodes = [
      node('peer-2', {}),
      node('peer-3'),
      node('peer-5', { state: 'seeding', haveBytes: 1_048_576, seconds: 0.5, sha256 }),
    ];
    expect(downloadRows(nodes, ['peer-2', 'peer-3', 'peer-4', 'peer-5'], infoHash, sha256)).toEqual([
      { label: 'peer-2', fraction: 0.5, detail: '↓ 2.0 MiB/s  3 peers' },
      { label: 'peer-3', fraction: undefined, detail: 'serving' },
      { label: 'peer-4', fraction: undefined, detail: 'starting' },
      { label: 'peer-5', fraction: 1, detail: 'SHA-256 ok, 500 ms, 2.0 MiB/s' },
    ]);
  });

  it('stop at what a node cannot get past', () => {
    const nodes = [node('peer-2', {}), node('peer-3', { state: 'error', message: 'The disk is full.' })];
    expect(obstacleOf(nodes, infoHash)).toBe('peer-3: The disk is full.');
    expect(obstacleOf([node('peer-2', {})], infoHash)).toBeUndefined();
  });

  it('say what is missing', () => {
    expect(shortfall([node('peer-2', {})], ['peer-2', 'peer-3'], infoHash)).toBe(
      'peer-2 (downloading, 512 KiB of 1.0 MiB), peer-3 (unknown)',
    );
  });
});
