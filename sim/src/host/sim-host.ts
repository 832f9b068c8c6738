/**
 * SimHost: one process on a simulated machine, seen from both sides. Protocol code sees a Host; a test or
 * scenario sees the controls: crash, pause, resume, restart, the disk, the clock's error, the link rates.
 */
import { hash } from 'node:crypto';
import type { Clock, Compute, Files, Host, Http, Network, Payload, Random, Timer } from '@skep/p2p-core/host';
import type { SimDisk } from './disk.ts';
import type { Fabric } from './fabric.ts';
import { SimFiles } from './files.ts';
import { SimHttp } from './http.ts';
import type { Machine } from './machine.ts';
import { SimPayload } from './payload.ts';
import type { RandomStream } from './random-stream.ts';
import type { SimProcess } from './sim-process.ts';
import type { Surroundings } from './sockets.ts';
import { SimNetwork } from './sockets.ts';
import type { Trace } from './trace.ts';

export interface CrashOptions {
  /**
   * `process` (the default): the kernel lives, resets its connections and refuses new ones, and the disk
   * keeps all that was done. `machine`: power loss; peers hear nothing at all.
   */
  readonly kind?: 'process' | 'machine';
  /** On a machine's crash: the chance of each sector written since its file's last sync to be lost. Default 0.5. */
  readonly unsyncedLossRate?: number;
}

/** What a SimHost needs of its world; all hosts share it. */
export interface HostWorld {
  readonly fabric: Fabric;
  readonly trace: Trace;
  readonly surroundings: Surroundings;
  now(): number;
  wallTimeOf(machine: Machine): number;
  /** Equal labels give equal streams. */
  randomOf(label: string): RandomStream;
}

/** One life of a machine's process. */
export interface Life {
  readonly machine: Machine;
  readonly process: SimProcess;
  /** How many processes the machine has had, this one counted. */
  readonly generation: number;
  /** Makes the next one, with the options of this one. */
  restart(): SimHost;
}

/** Its parts are made when they are first asked for: of ten thousand hosts few need them all. */
export class SimHost implements Host {
  readonly compute: Compute = COMPUTE;
  readonly #world: HostWorld;
  readonly #life: Life;
  #clock: Clock | undefined;
  #random: Random | undefined;
  #net: SimNetwork | undefined;
  #http: Http | undefined;
  #files: Files | undefined;
  #payload: Payload | undefined;

  constructor(world: HostWorld, life: Life) {
    this.#world = world;
    this.#life = life;
  }

  get clock(): Clock {
    this.#clock ??= new SimClock(this.#world, this.#life);
    return this.#clock;
  }

  get random(): Random {
    this.#random ??= this.#world.randomOf(`host/${this.address}/${this.generation}`);
    return this.#random;
  }

  get net(): Network {
    return this.#network;
  }

  get http(): Http {
    const { process } = this.#life;
    this.#http ??= new SimHttp({ process, net: this.#network, now: this.#world.now });
    return this.#http;
  }

  get files(): Files {
    this.#files ??= new SimFiles(this.#life.process, this.disk);
    return this.#files;
  }

  get payload(): Payload {
    this.#payload ??= new SimPayload(this.#life.process, this.disk);
    return this.#payload;
  }

  /** How many processes the machine has had, this one counted. */
  get generation(): number {
    return this.#life.generation;
  }

  get address(): string {
    return this.#life.machine.address;
  }

  get state(): 'running' | 'paused' | 'dead' {
    return this.#life.process.state;
  }

  get disk(): SimDisk {
    return this.#life.machine.disk;
  }

  /** By how much this machine's wallTime is wrong; `now` is not moved by it. */
  get clockSkewMs(): number {
    return this.#life.machine.clockSkewMs;
  }

  set clockSkewMs(skewMs: number) {
    this.#life.machine.clockSkewMs = skewMs;
  }

  /** Rates of the machine's link, each way; they count for what is sent from now on. */
  setLink(rates: { readonly upBytesPerSecond?: number; readonly downBytesPerSecond?: number }): void {
    const { machine } = this.#life;
    machine.upBytesPerSecond = rates.upBytesPerSecond ?? machine.upBytesPerSecond;
    machine.downBytesPerSecond = rates.downBytesPerSecond ?? machine.downBytesPerSecond;
  }

  /** SIGKILL or power loss. What the dead code still calls does nothing, and what it awaits never comes. */
  crash({ kind = 'process', unsyncedLossRate = 0.5 }: CrashOptions = {}): void {
    const { machine, process } = this.#life;
    if (process.isDead) return;
    this.#trace('crash');
    for (const connection of [...machine.connections]) connection.abandon(kind === 'process');
    machine.connections.clear();
    machine.listeners.clear();
    machine.udp.clear();
    process.die();
    machine.disk.abandon();
    if (kind === 'process') return;
    machine.isOn = false;
    machine.disk.loseUnsynced(unsyncedLossRate);
  }

  /** SIGSTOP: timers and deliveries wait while the clock goes on; the kernel goes on acknowledging. */
  pause(): void {
    this.#trace('pause');
    this.#life.process.pause();
  }

  /** SIGCONT: what waited happens now, in the order it came. */
  resume(): void {
    this.#trace('resume');
    this.#life.process.resume();
  }

  /** Ends this process, if it still lives, and starts the next on the same address and disk. */
  restart(): SimHost {
    this.crash();
    return this.#life.restart();
  }

  get #network(): SimNetwork {
    if (this.#net === undefined) {
      const { machine, process } = this.#life;
      const { fabric, trace, now, surroundings } = this.#world;
      this.#net = new SimNetwork({ machine, process, fabric, trace, now }, surroundings);
    }
    return this.#net;
  }

  #trace(kind: 'crash' | 'pause' | 'resume'): void {
    const { machine, generation } = this.#life;
    this.#world.trace.add(this.#world.now(), kind, machine, machine, generation);
  }
}

class SimClock implements Clock {
  readonly #world: HostWorld;
  readonly #life: Life;

  constructor(world: HostWorld, life: Life) {
    this.#world = world;
    this.#life = life;
  }

  now(): number {
    return this.#world.now();
  }

  wallTime(): number {
    return this.#world.wallTimeOf(this.#life.machine);
  }

  setTimer(delayMs: number, callback: () => void): Timer {
    const { process } = this.#life;
    return process.isDead ? NEVER : process.later(Math.max(delayMs || 0, 0), callback);
  }
}

/** The timer of dead code. */
const NEVER: Timer = { cancel: () => undefined };

const HMAC_BLOCK_BYTES = 64;

const COMPUTE: Compute = {
  parallelism: 1,
  hash: (algorithm, bytes) => new Uint8Array(hash(algorithm, bytes, 'buffer')),
  // RFC 2104 by hand: node:crypto's Hmac makes a key object each time, which costs more than the hashing.
  hmacSha256: (key, bytes) => {
    const short = key.length > HMAC_BLOCK_BYTES ? hash('sha256', key, 'buffer') : key;
    const inner = new Uint8Array(HMAC_BLOCK_BYTES + bytes.length).fill(0x36, 0, HMAC_BLOCK_BYTES);
    const outer = new Uint8Array(HMAC_BLOCK_BYTES + 32).fill(0x5c, 0, HMAC_BLOCK_BYTES);
    for (let i = 0; i < short.length; i++) {
      inner[i]! ^= short[i]!;
      outer[i]! ^= short[i]!;
    }
    inner.set(bytes, HMAC_BLOCK_BYTES);
    outer.set(hash('sha256', inner, 'buffer'), HMAC_BLOCK_BYTES);
    return new Uint8Array(hash('sha256', outer, 'buffer'));
  },
};
