/**
 * A digest of everything that crossed the simulated network, in order. Two runs with one hash took the
 * same course; the first divergence of a run that should replay is found by `onEntry`.
 */

export type TraceKind =
  | 'udp'
  | 'tcp-connect'
  | 'tcp-accept'
  | 'tcp-data'
  | 'tcp-end'
  | 'tcp-reset'
  | 'crash'
  | 'pause'
  | 'resume'
  | 'start';

export interface TraceEntry {
  readonly timeMs: number;
  readonly kind: TraceKind;
  readonly from: string;
  readonly to: string;
  readonly lengthBytes: number;
}

const KINDS: Record<TraceKind, number> = {
  udp: 1,
  'tcp-connect': 2,
  'tcp-accept': 3,
  'tcp-data': 4,
  'tcp-end': 5,
  'tcp-reset': 6,
  crash: 7,
  pause: 8,
  resume: 9,
  start: 10,
};

const FNV_PRIME = 0x01000193;

/** What the trace needs of a machine: its number in order of creation, and its address for `onEntry`. */
export interface TracedMachine {
  readonly ordinal: number;
  readonly address: string;
}

export class Trace {
  readonly #time = new Float64Array(1);
  readonly #timeWords = new Uint32Array(this.#time.buffer);
  readonly #onEntry: ((entry: TraceEntry) => void) | undefined;
  #low = 0x811c9dc5;
  #high = 0x01000197;

  constructor(onEntry?: (entry: TraceEntry) => void) {
    this.#onEntry = onEntry;
  }

  add(timeMs: number, kind: TraceKind, from: TracedMachine, to: TracedMachine, lengthBytes: number): void {
    this.#time[0] = timeMs;
    this.#mix(this.#timeWords[0]!);
    this.#mix(this.#timeWords[1]!);
    this.#mix(KINDS[kind]);
    this.#mix(from.ordinal);
    this.#mix(to.ordinal);
    this.#mix(lengthBytes);
    this.#onEntry?.({ timeMs, kind, from: from.address, to: to.address, lengthBytes });
  }

  /** 16 hex digits over all entries so far. */
  hash(): string {
    return hex(this.#high) + hex(this.#low);
  }

  #mix(word: number): void {
    const low = Math.imul(this.#low ^ word, FNV_PRIME);
    this.#low = low ^ (low >>> 15);
    const high = Math.imul(this.#high ^ word ^ this.#low, 0x85ebca6b);
    this.#high = high ^ (high >>> 13);
  }
}

function hex(word: number): string {
  return (word >>> 0).toString(16).padStart(8, '0');
}
