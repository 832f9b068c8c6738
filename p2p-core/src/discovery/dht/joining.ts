/**
 * Gets a node into the DHT and keeps it there: looks up its own id from the bootstrap addresses until it knows a bucketful of
 * nodes, with growing pauses, because bootstrap nodes may start at the same moment as we do, or be away.
 */
import type { Address, Clock, Random, Timer } from '../../host/host.ts';
import { shuffle } from '../../host/random.ts';
import type { DhtNode } from './dht-node.ts';
import { randomIdSharingPrefix } from './node-id.ts';
import { BUCKET_SIZE } from './routing-table.ts';

const FIRST_PAUSE_MS = 100;
const MAX_PAUSE_MS = 30_000;

/** Asked in one attempt: a few live ones are enough to enter by. */
const MAX_SEEDS = 16;
const MAX_HINTS = 8 * MAX_SEEDS;

/** A bucket with so many is left to fill by itself, from our own lookups and from who asks us. */
const ENOUGH_IN_BUCKET = BUCKET_SIZE / 2;

export interface JoiningComponents {
  readonly clock: Clock;
  readonly random: Random;
  readonly node: DhtNode;
}

export class Joining {
  readonly #components: JoiningComponents;
  readonly #bootstrap: readonly Address[];
  /** The latest addresses that were known to someone, tried beside the bootstrap nodes until the table fills. */
  readonly #hints: Address[];
  #nextHint: number;
  readonly #waiting = new Set<() => void>();
  #pauseMs = FIRST_PAUSE_MS;
  #timer: Timer | undefined;
  #cancelLookup: (() => void) | undefined;
  #hasSpread = false;
  #cancelSpread: (() => void) | undefined;
  #isClosed = false;

  constructor(components: JoiningComponents, bootstrap: readonly Address[], hints: readonly Address[]) {
    this.#components = components;
    this.#bootstrap = bootstrap;
    this.#hints = hints.slice(0, MAX_HINTS);
    this.#nextHint = this.#hints.length;
  }

  /** Begins, or begins anew with short pauses. */
  start(): void {
    if (this.#isClosed) return;
    this.#pauseMs = FIRST_PAUSE_MS;
    this.#timer?.cancel();
    this.#attempt();
  }

  /** More addresses to enter by. Who is in already only asks whether they are there. */
  addHints(addresses: readonly Address[]): void {
    for (const address of addresses) this.#hints[this.#nextHint++ % MAX_HINTS] = address;
    if (this.#isThin()) this.start();
    else for (const address of addresses) this.#components.node.ping(address);
  }

  /** Addresses that a lookup may start from while the table is thin. */
  seeds(): readonly Address[] {
    return this.#isThin() ? this.#drawSeeds() : [];
  }

  /** The routing table may have grown: whoever waits for it goes on. */
  #noteNode(): void {
    const { node } = this.#components;
    if (!node.table.hasAtLeast(1)) return;
    node.onNode = undefined;
    const callbacks = [...this.#waiting];
    this.#waiting.clear();
    for (const callback of callbacks) callback();
  }

  /** Calls back, never from inside this call, as soon as the table has a node. Returns what cancels that. */
  whenJoined(callback: () => void): () => void {
    if (this.#components.node.table.hasAtLeast(1)) {
      const timer = this.#components.clock.setTimer(0, callback);
      return () => timer.cancel();
    }
    this.#waiting.add(callback);
    this.#components.node.onNode = () => this.#noteNode();
    return () => this.#waiting.delete(callback);
  }

  /** Called once a minute or so: a table that ran empty is filled again. */
  check(): void {
    if (this.#isThin() && this.#timer === undefined) this.start();
  }

  close(): void {
    this.#isClosed = true;
    this.#timer?.cancel();
    this.#cancelLookup?.();
    this.#cancelSpread?.();
    this.#waiting.clear();
  }

  #isThin(): boolean {
    return !this.#components.node.table.hasAtLeast(BUCKET_SIZE);
  }

  #drawSeeds(): Address[] {
    const { random } = this.#components;
    return [...shuffle(random, [...this.#bootstrap]), ...shuffle(random, [...this.#hints])].slice(
      0,
      MAX_SEEDS,
    );
  }

  /**
   * Once, after the first look-up of our own id has filled the near buckets: fills the far ones (Kademlia, section 2.3). Without
   * it a node knows its own corner only, and reaches the rest through the bootstrap nodes alone.
   */
  #spread(): void {
    if (this.#hasSpread || this.#components.node.table.bucketCount < 2) return;
    this.#hasSpread = true;
    this.#fillFrom(0);
  }

  /**
   * One bucket after another, for where many join at once bursts of all of them would meet; and no further than a
   * few answers: the nearest to the random target are of no use.
   */
  #fillFrom(firstDepth: number): void {
    const { node, random } = this.#components;
    let depth = firstDepth;
    while (depth < node.table.bucketCount - 1 && node.table.countAt(depth) >= ENOUGH_IN_BUCKET) depth++;
    if (depth >= node.table.bucketCount - 1) return;
    this.#cancelSpread = node.lookup({
      target: randomIdSharingPrefix(random, node.table.ownId, depth),
      method: 'find_node',
      maxQueries: BUCKET_SIZE,
      onDone: () => {
        this.#cancelSpread = undefined;
        this.#fillFrom(depth + 1);
      },
    });
  }

  /** Does not wait for the attempt before: what still answers to that one enters the table all the same. */
  #attempt(): void {
    const { node, clock } = this.#components;
    this.#cancelLookup?.();
    this.#cancelLookup = node.lookup({
      target: node.table.ownId,
      method: 'find_node',
      seeds: this.#drawSeeds(),
      onDone: () => {
        this.#cancelLookup = undefined;
        this.#spread();
      },
    });
    this.#timer = clock.setTimer(this.#pauseMs, () => {
      this.#timer = undefined;
      if (this.#isThin()) this.#attempt();
    });
    this.#pauseMs = Math.min(this.#pauseMs * 2, MAX_PAUSE_MS);
  }
}
