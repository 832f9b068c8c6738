/** What the nodes' reports say of the one torrent of the demonstration. Pure functions over views. */
import type { NodeView, TorrentHolding } from '@skep/contract';
import type { BoardRow } from '../terminal/board.ts';
import { formatBytes, formatDuration, formatRate } from '../terminal/format.ts';

export interface Download {
  readonly node: string;
  /** From the command to the last verified piece, as the node measured it. */
  readonly seconds: number;
  /** Whether what the node read back from its disk has the original's SHA-256. */
  readonly sha256Ok: boolean;
}

export function holdingOf(node: NodeView, infoHash: string): TorrentHolding | undefined {
  return node.torrents.find((torrent) => torrent.infoHash === infoHash);
}

/** Present once the node has all of it and has read it back. */
export function downloadOf(node: NodeView, infoHash: string, sha256: string): Download | undefined {
  const holding = holdingOf(node, infoHash);
  if (holding?.sha256 === undefined || holding.seconds === undefined) return undefined;
  return { node: node.slot, seconds: holding.seconds, sha256Ok: holding.sha256 === sha256 };
}

/** A node that cannot go on without help: what to say of it. */
export function obstacleOf(nodes: readonly NodeView[], infoHash: string): string | undefined {
  for (const node of nodes) {
    const holding = holdingOf(node, infoHash);
    if (holding?.state === 'error')
      return `${node.slot}: ${holding.message ?? 'the torrent stopped with an error'}`;
  }
  return undefined;
}

/** One row for each of the slots, whatever state its node is in. */
export function downloadRows(
  nodes: readonly NodeView[],
  slots: readonly string[],
  infoHash: string,
  sha256: string,
): BoardRow[] {
  return slots.map((slot) => {
    const node = nodes.find((candidate) => candidate.slot === slot);
    const holding = node === undefined ? undefined : holdingOf(node, infoHash);
    if (node === undefined || holding === undefined) {
      return { label: slot, fraction: undefined, detail: node?.state ?? 'starting' };
    }
    const fraction = holding.lengthBytes > 0 ? holding.haveBytes / holding.lengthBytes : undefined;
    return { label: slot, fraction, detail: detailOf(holding, sha256) };
  });
}

function detailOf(holding: TorrentHolding, sha256: string): string {
  const up = holding.uploadRate >= 1024 ? `  ↑ ${formatRate(holding.uploadRate)}` : '';
  if (holding.state === 'error') return holding.message ?? 'error';
  if (holding.state === 'metadata') return `asks ${holding.peers} peers for the metadata`;
  if (holding.seconds === undefined) {
    if (holding.state === 'seeding') return `seeds${up}`;
    return `↓ ${formatRate(holding.downloadRate)}${up}  ${holding.peers} peers`;
  }
  const mean = formatRate(holding.lengthBytes / Math.max(holding.seconds, 0.001));
  const took = `${formatDuration(holding.seconds * 1000)}, ${mean}`;
  if (holding.sha256 === undefined) return `${took}; verifying`;
  return holding.sha256 === sha256 ? `SHA-256 ok, ${took}${up}` : 'SHA-256 differs from the original';
}

/** How far the leeches are altogether, for a sentence about what is missing. */
export function shortfall(nodes: readonly NodeView[], slots: readonly string[], infoHash: string): string {
  return slots
    .map((slot) => {
      const node = nodes.find((candidate) => candidate.slot === slot);
      const holding = node === undefined ? undefined : holdingOf(node, infoHash);
      if (holding === undefined) return `${slot} (${node?.state ?? 'unknown'})`;
      return `${slot} (${holding.state}, ${formatBytes(holding.haveBytes)} of ${formatBytes(holding.lengthBytes)})`;
    })
    .join(', ');
}
