/**
 * A simulated disk: a tree of files that outlives processes and power, a model of the time that reads and
 * writes take, a capacity, and faults.
 *
 * Reads and writes share the disk: each waits for those before it, moves its head if it does not go on
 * where the last one ended, and takes its bytes' time; a latency on top of that overlaps with others'.
 * What is done becomes true at the end of that time. A crash before that leaves a write torn if the disk
 * had begun with it, and undone if it had not.
 */
import type { DiskConditions } from '@skep/p2p-core/host';
import { HostError } from '@skep/p2p-core/host';
import type { Digests } from './digests.ts';
import { DiskFile, DiskTree } from './disk-tree.ts';
import type { Extent, SyntheticSources } from './extent.ts';
import { joinExtents, SyntheticExtent } from './extent.ts';
import type { RandomStream } from './random-stream.ts';
import type { SimProcess } from './sim-process.ts';

/** What a disk is. What is wrong with it is told by `SimDisk.setConditions`. */
export interface DiskOptions {
  /** Most bytes that all files may take, holes not counted. Default: no limit. */
  readonly capacityBytes?: number;
  /** How long each operation takes beside its turn; waiting operations wait for it together. Default 0.1. */
  readonly latencyMs?: number;
  /** How long the disk is busy before an access that does not go on where the last one ended. Default 0. */
  readonly seekMs?: number;
  /** Of reads and writes together. Default: no limit. */
  readonly bytesPerSecond?: number;
}

const USUAL_DISK: DiskOptions = {};
const GOOD_HEALTH: DiskConditions = {};

/** A disk of turning platters: 7,200 revolutions a minute. */
export const HARD_DISK: DiskOptions = { latencyMs: 0.1, seekMs: 12, bytesPerSecond: 180e6 };

/** A solid-state disk on SATA. */
export const SOLID_STATE_DISK: DiskOptions = { latencyMs: 0.1, bytesPerSecond: 500e6 };

/** What a disk needs of its world; all disks share it. */
export interface DiskWorld {
  readonly digests: Digests;
  readonly sources: SyntheticSources;
  now(): number;
  wallTimeOf(owner: DiskOwner): number;
  /** Equal labels give equal streams. */
  randomOf(label: string): RandomStream;
}

/** The machine that the disk is in. */
export interface DiskOwner {
  readonly address: string;
  readonly clockSkewMs: number;
}

/** What the disk is asked to do, as far as its time and faults depend on it. */
export interface Access {
  /** A `change` moves names only, and goes on when the disk is full or failing. */
  readonly kind: 'read' | 'write' | 'sync' | 'change';
  readonly lengthBytes: number;
  /** Where it begins; without a file it is everywhere, and never sequential. */
  readonly file?: DiskFile | undefined;
  readonly offset?: number;
  /** A crash in the midst of it leaves part of it, which `work` is asked for by being given `torn`. */
  readonly isTearable?: boolean;
}

export type Outcome<T> = { readonly value: T } | { readonly error: unknown };

interface Pending {
  readonly process: SimProcess;
  readonly access: Access;
  readonly beginsAtMs: number;
  readonly endsAtMs: number;
  readonly work: (torn?: RandomStream) => unknown;
  readonly done: (outcome: Outcome<never>) => void;
}

export class SimDisk {
  /** May be changed at any time; what is on the disk stays. */
  capacityBytes: number;
  readonly tree: DiskTree;
  readonly #options: DiskOptions;
  readonly #world: DiskWorld;
  readonly #owner: DiskOwner;
  #randomStream: RandomStream | undefined;
  #conditions = GOOD_HEALTH;
  /** In the order in which they will be done. */
  #pending: Pending[] = [];
  #isWaiting = false;
  #freeAtMs = 0;
  #lastEndMs = 0;
  /** Where the head is: after the last access. */
  #headFile: DiskFile | undefined;
  #headOffset = 0;

  constructor(world: DiskWorld, owner: DiskOwner, options: DiskOptions = USUAL_DISK) {
    this.#world = world;
    this.#owner = owner;
    this.#options = options;
    this.tree = new DiskTree();
    this.capacityBytes = options.capacityBytes ?? Number.POSITIVE_INFINITY;
  }

  get usedBytes(): number {
    return this.tree.usedBytes;
  }

  /** What still fits. */
  get freeBytes(): number {
    if (this.#conditions.full) return 0;
    return Math.max(0, Math.min(this.capacityBytes, Number.MAX_SAFE_INTEGER) - this.tree.usedBytes);
  }

  get digests(): Digests {
    return this.#world.digests;
  }

  /** Of the machine's clock, which may be wrong. */
  wallTime(): number {
    return this.#world.wallTimeOf(this.#owner);
  }

  /** What is wrong with the disk from now on, in place of what was; `{}` is a disk in good health. */
  setConditions(conditions: DiskConditions): this {
    this.#conditions = conditions;
    return this;
  }

  /**
   * Puts a file there, with its directories, whose bytes follow from a seed and are not stored: as long as
   * you like, on as many machines as you like. Takes no time, survives power loss. Throws disk-full.
   */
  putSynthetic(path: string, content: { readonly seed: number | string; readonly length: number }): this {
    const { seed, length } = content;
    const old = this.tree.find(path);
    this.requireRoom(length - (old?.kind === 'file' ? old.data.storedBytes : 0));
    this.tree.makeDirectory(`${path}/..`, this.wallTime());
    const file = new DiskFile(this.wallTime());
    file.data.write(0, new SyntheticExtent(this.#world.sources.of(seed), 0, length));
    file.data.sync();
    this.tree.put(path, file);
    return this;
  }

  /**
   * Makes a range of a file silently wrong, in whole sectors of 4 KiB: reads give other bytes from now on,
   * as hashes will tell. Default: the whole file. Throws not-found.
   */
  corrupt(path: string, range?: { readonly offset: number; readonly length: number }): this {
    const file = this.tree.find(path);
    if (file?.kind !== 'file') throw notFound(path);
    file.data.corrupt(range?.offset ?? 0, range?.length ?? file.data.length);
    return this;
  }

  /** An empty disk in place of this one, of its size and in its condition. */
  erase(): this {
    this.tree.clear();
    return this;
  }

  /** Does `work` for a process once the disk has got to it; `done` learns in the process what came of it. */
  submit<T>(
    process: SimProcess,
    access: Access,
    work: (torn?: RandomStream) => T,
    done: (outcome: Outcome<T>) => void,
  ): void {
    const now = this.#world.now();
    const beginsAtMs = Math.max(now, this.#freeAtMs);
    this.#freeAtMs = beginsAtMs + this.#busyMs(access);
    const latencyMs = (this.#options.latencyMs ?? 0.1) + (this.#conditions.delayMs ?? 0);
    // In order, though the latency shrank meanwhile.
    const endsAtMs = Math.max(this.#freeAtMs + latencyMs, this.#lastEndMs);
    this.#lastEndMs = endsAtMs;
    this.#pending.push({ process, access, beginsAtMs, endsAtMs, work, done });
    this.#wait();
  }

  /** A payload read's bytes, of which one may come back wrong. */
  asRead(extent: Extent): Extent {
    const { corruptReadRate = 0 } = this.#conditions;
    if (corruptReadRate === 0 || extent.length === 0) return extent;
    const random = this.#random;
    if (!random.chance(corruptReadRate)) return extent;
    const at = Math.floor(random.float() * extent.length);
    const wrong = extent.sub(at, at + 1).corrupted();
    return joinExtents([extent.sub(0, at), wrong, extent.sub(at + 1, extent.length)]);
  }

  /** Writes into a linked file if the disk has room for it, else throws disk-full and writes nothing. */
  write(file: DiskFile, offset: number, extent: Extent, torn?: RandomStream): void {
    const growth = file.data.missingIn(offset, extent.length);
    if (growth > 0) this.requireRoom(growth);
    const storedBefore = file.data.storedBytes;
    if (torn === undefined) file.data.write(offset, extent);
    else file.data.writeTorn(offset, extent, torn);
    file.modifiedMs = this.wallTime();
    this.tree.usedBytes += file.data.storedBytes - storedBefore;
  }

  requireRoom(lengthBytes: number): void {
    if (this.tree.usedBytes + lengthBytes > this.capacityBytes) throw diskFull(lengthBytes);
  }

  /** The process died: what the disk is at is torn, what waits is never done. */
  abandon(): void {
    const now = this.#world.now();
    const random = this.#random;
    for (const { access, beginsAtMs, work } of this.#pending)
      if (access.isTearable && beginsAtMs < now)
        try {
          work(random);
        } catch (error) {
          // A write that would have failed leaves nothing.
          if (!(error instanceof HostError)) throw error;
        }
    this.#pending = [];
    this.#isWaiting = false;
    this.#freeAtMs = now;
    this.#lastEndMs = now;
  }

  /** Power loss: each sector written since its file's last sync is lost with this probability. */
  loseUnsynced(lossRate: number): void {
    this.tree.loseUnsynced(lossRate, this.#random);
  }

  get #random(): RandomStream {
    this.#randomStream ??= this.#world.randomOf(`disk/${this.#owner.address}`);
    return this.#randomStream;
  }

  #busyMs({ lengthBytes, file, offset = 0 }: Access): number {
    const { seekMs = 0, bytesPerSecond = Number.POSITIVE_INFINITY } = this.#options;
    const isSequential = file !== undefined && file === this.#headFile && offset === this.#headOffset;
    this.#headFile = file;
    this.#headOffset = offset + lengthBytes;
    const rate = Math.min(bytesPerSecond, this.#conditions.bytesPerSecond ?? Number.POSITIVE_INFINITY);
    return (isSequential ? 0 : seekMs) + (lengthBytes * 1_000) / rate;
  }

  #wait(): void {
    const next = this.#pending[0];
    if (this.#isWaiting || next === undefined) return;
    this.#isWaiting = true;
    next.process.laterInKernel(next.endsAtMs - this.#world.now(), () => this.#doDue());
  }

  #doDue(): void {
    this.#isWaiting = false;
    const now = this.#world.now();
    const pending = this.#pending;
    let due = 0;
    while (due < pending.length && pending[due]!.endsAtMs <= now) due++;
    this.#pending = pending.slice(due);
    for (let i = 0; i < due; i++) this.#do(pending[i]!);
    this.#wait();
  }

  #do({ process, access, work, done }: Pending): void {
    if (process.isDead) return;
    let outcome: Outcome<never>;
    try {
      this.#maybeFail(access.kind);
      outcome = { value: work() as never };
    } catch (error) {
      outcome = { error };
    }
    process.enter(() => done(outcome));
  }

  #maybeFail(kind: Access['kind']): void {
    const { full = false, readErrorRate = 0, writeErrorRate = 0 } = this.#conditions;
    if (kind === 'change') return;
    if (kind === 'write' && full) throw diskFull(0);
    const rate = kind === 'read' ? readErrorRate : writeErrorRate;
    if (rate > 0 && this.#random.chance(rate))
      throw new HostError('io', `The disk failed a ${kind}. Try again, or replace it.`);
  }
}

export function notFound(path: string): HostError {
  return new HostError('not-found', `${path} does not exist. Check the path.`);
}

function diskFull(lengthBytes: number): HostError {
  return new HostError('disk-full', `The disk has no room for ${lengthBytes} bytes more. Free some.`);
}
