/**
 * The small real transfer of a self-test: this node seeds a torrent of its own, and fetches its partner's from it alone.
 *
 * Both know both torrents without a word: they are made from the test's id and the machines' names. They are private
 * (BEP 27), so that nobody is found but whom a node is told of, and neither DHT nor peer exchange hear of them.
 */
import { formatMachineId, type MachineId } from '@skep/contract';
import type { Node, Torrent } from '@skep/p2p-core';
import { concatBytes, equalBytes } from '@skep/p2p-core/bytes';
import type { Address, Host } from '@skep/p2p-core/host';
import { createMetainfo, type Metainfo } from '@skep/p2p-core/metainfo';
import { type Trial, TrialFailure } from './trial.ts';

/** Five pieces of the smallest usual length, and a part of one. */
const pieceLength = 16_384;
const contentBytes = 5 * pieceLength + 1_234;

export interface TestTransferOptions {
  /** Of the test. */
  readonly id: string;
  readonly self: MachineId;
  /** This transfer's own: all that it writes lies below. */
  readonly directory: string;
}

export interface Partner {
  readonly machine: MachineId;
  readonly address: Address;
}

export class TestTransfer {
  readonly #host: Host;
  readonly #node: Node;
  readonly #options: TestTransferOptions;
  readonly #content: Uint8Array;
  #seed: Torrent | undefined;
  /** What `close` waits for: it is given up when its trial is over, but not at that very moment. */
  #underWay: Promise<unknown>[] = [];

  constructor(components: { host: Host; node: Node }, options: TestTransferOptions) {
    this.#host = components.host;
    this.#node = components.node;
    this.#options = options;
    this.#content = contentOf(components.host, options.id);
  }

  /** Seeds this node's own torrent until `close`. Rejects HostError if the disk does not take it. */
  seed(): Promise<void> {
    return this.#untilClosed(this.#begin());
  }

  /** Fetches the partner's torrent from the partner, and compares what came. Call once `seed` is done. */
  fetch(partner: Partner, trial: Trial): Promise<string> {
    return this.#untilClosed(this.#fetch(partner, trial));
  }

  /** Seeds no more. What was written is left to the owner of the directory. */
  async close(): Promise<void> {
    await Promise.allSettled(this.#underWay);
    if (this.#seed !== undefined) await this.#node.remove(this.#seed);
  }

  #untilClosed<T>(work: Promise<T>): Promise<T> {
    this.#underWay.push(work);
    return work;
  }

  async #begin(): Promise<void> {
    const { directory, self } = this.#options;
    await this.#host.files.writeAtomic(this.#seedPath, this.#content);
    this.#seed = await this.#node.add({
      metainfo: await this.#metainfoOf(self),
      contentRoot: `${directory}/seed`,
      stateDirectory: `${directory}/state`,
      mode: 'seed',
    });
  }

  async #fetch({ machine, address }: Partner, trial: Trial): Promise<string> {
    const { clock, files } = this.#host;
    const { directory } = this.#options;
    const name = formatMachineId(machine);
    const contentRoot = `${directory}/fetched`;
    const sinceMs = clock.now();
    trial.awaits(`${name} to give all of what it seeds`);
    const torrent = await this.#node.add({
      metainfo: await this.#metainfoOf(machine),
      contentRoot,
      stateDirectory: `${directory}/state`,
      mode: 'download',
      peers: [address],
    });
    try {
      await trial.unlessOver(torrent.waitFor(({ state }) => state === 'seeding'));
      const fetched = await files.read(`${contentRoot}/${torrentName(machine)}`, contentBytes);
      if (!equalBytes(fetched, this.#content))
        throw new TrialFailure(`What ${name} gave is not what it seeds.`);
      const { pieceCount } = torrent.info!;
      return `${pieceCount} pieces came from ${name} and are right, after ${Math.round(clock.now() - sinceMs)} ms.`;
    } finally {
      await this.#node.remove(torrent);
    }
  }

  get #seedPath(): string {
    return `${this.#options.directory}/seed/${torrentName(this.#options.self)}`;
  }

  /** All share the same content under names of their own, by which they are torrents of their own. */
  #metainfoOf(machine: MachineId): Promise<Metainfo> {
    return createMetainfo(this.#host, this.#seedPath, {
      name: torrentName(machine),
      pieceLength,
      private: true,
    });
  }
}

function torrentName({ slot, generation }: MachineId): string {
  return `self-test-${slot}-${generation}`;
}

/** Bytes that follow from the test's id, no two pieces alike. */
function contentOf({ compute }: Host, id: string): Uint8Array {
  const encoder = new TextEncoder();
  const blocks = Array.from({ length: Math.ceil(contentBytes / 32) }, (_, index) =>
    compute.hash('sha256', encoder.encode(`${id}/${index}`)),
  );
  return concatBytes(blocks).slice(0, contentBytes);
}
