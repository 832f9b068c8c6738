/**
 * What each leech slot received over the lives of its machines, by their own reports: whether anything was
 * fetched again that a machine before it, or it itself, had verified.
 *
 * In one life, bytes received and not verified are in flight: blocks of pieces not complete or being stored.
 * They are lost by a kill and nothing else is. So a slot's sum over all lives is the content, and for each
 * kill what was in flight then, and what came twice in the end game; each of which is bounded here.
 */
import type { NodeView, TorrentHolding } from '@skep/contract';

/**
 * In the end game the last blocks are asked of two peers, a few at a time; the first asked is told to cancel,
 * but what its socket holds by then comes all the same: about a mebibyte of each of the other four.
 */
const mostEndGameBytes = 4 * 1024 * 1024;

interface Life {
  readonly generation: number;
  readonly first: TorrentHolding;
  last: TorrentHolding;
}

export class DownloadLedger {
  readonly #infoHash: string;
  readonly #lives: ReadonlyMap<string, Life[]>;

  constructor(infoHash: string, slots: readonly string[]) {
    this.#infoHash = infoHash;
    this.#lives = new Map(slots.map((slot) => [slot, []]));
  }

  note(node: NodeView): void {
    const lives = this.#lives.get(node.slot);
    const holding = node.torrents.find((torrent) => torrent.infoHash === this.#infoHash);
    // Before it downloads a node does not know yet what it has.
    if (holding === undefined || (holding.state !== 'downloading' && holding.state !== 'seeding')) return;
    const life = lives?.at(-1);
    if (life?.generation === node.generation) life.last = holding;
    else lives?.push({ generation: node.generation, first: holding, last: holding });
  }

  /** Everything that must not be, in sentences. `mostInFlightBytes`: what a kill may lose. */
  complaints({ length, mostInFlightBytes }: { length: number; mostInFlightBytes: number }): string[] {
    return [...this.#lives].flatMap(([slot, lives]) => {
      const found: string[] = [];
      if (lives.at(-1)?.last.haveBytes !== length) found.push(`${slot} never told that it has everything`);
      for (const [index, life] of lives.entries()) {
        const name = `${slot}@${life.generation}`;
        const before = lives[index - 1];
        if (before !== undefined && life.first.haveBytes < before.last.haveBytes) {
          found.push(
            `${name} began with ${life.first.haveBytes}; before it there were ${before.last.haveBytes}`,
          );
        }
        const { wastedBytes } = life.last;
        if (wastedBytes > mostEndGameBytes) found.push(`${name} received ${wastedBytes} bytes in vain`);
        const wasKilled = index < lives.length - 1;
        const most = wasKilled ? mostInFlightBytes + mostEndGameBytes : mostEndGameBytes;
        const surplus = surplusOf(life);
        if (surplus > most) found.push(`${name} received ${surplus} bytes more than it verified`);
      }
      return found;
    });
  }

  /** The largest surplus of a life that was killed, and of one that was not. */
  worst(): { killed: number; finished: number } {
    const all = [...this.#lives.values()];
    const most = (lives: readonly Life[]) => Math.max(0, ...lives.map(surplusOf));
    return {
      killed: most(all.flatMap((lives) => lives.slice(0, -1))),
      finished: most(all.flatMap((lives) => lives.slice(-1))),
    };
  }
}

/** Received and not verified, in what of a life was reported. */
function surplusOf({ first, last }: Life): number {
  const received = ({ downloadedBytes, wastedBytes }: TorrentHolding) => downloadedBytes + wastedBytes;
  return received(last) - received(first) - (last.haveBytes - first.haveBytes);
}
