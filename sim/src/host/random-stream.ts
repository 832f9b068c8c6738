/**
 * Seeded chance. Each consumer draws from a stream of its own, named by a label, so that one more draw in
 * one place shifts nothing anywhere else. sfc32 (Chris Doty-Humphrey, PractRand), seeded by splitmix32.
 */
import type { Random } from '@skep/p2p-core/host';

const TWO_TO_MINUS_53 = 2 ** -53;
const WARM_UP_DRAWS = 15;

export class RandomStream implements Random {
  #a: number;
  #b: number;
  #c: number;
  #counter = 1;

  /** Streams of equal seed and label are equal; any other two are unrelated. */
  constructor(seed: number | string, label: string) {
    const next = splitmix32(fnv1a(`${seed}/${label}`, 0x811c9dc5));
    const other = splitmix32(fnv1a(`${label}/${seed}`, 0x9747b28c));
    this.#a = next() ^ other();
    this.#b = next();
    this.#c = other();
    for (let draw = 0; draw < WARM_UP_DRAWS; draw++) this.word();
  }

  /** Uniform 32 bits, unsigned. */
  word(): number {
    const sum = (this.#a + this.#b + this.#counter) | 0;
    this.#counter = (this.#counter + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = (((this.#c << 21) | (this.#c >>> 11)) + sum) | 0;
    return sum >>> 0;
  }

  float(): number {
    return ((this.word() >>> 5) * 67_108_864 + (this.word() >>> 6)) * TWO_TO_MINUS_53;
  }

  bytes(length: number): Uint8Array {
    const bytes = new Uint8Array(length);
    for (let at = 0; at < length; at += 4) {
      let word = this.word();
      for (let i = at; i < at + 4 && i < length; i++) {
        bytes[i] = word;
        word >>>= 8;
      }
    }
    return bytes;
  }

  /** Uniform in [min, max). */
  between(min: number, max: number): number {
    return min + (max - min) * this.float();
  }

  /** True with the given probability. Draws nothing where the answer is certain. */
  chance(probability: number): boolean {
    return probability > 0 && (probability >= 1 || this.float() < probability);
  }
}

function splitmix32(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x9e3779b9) | 0;
    let mixed = Math.imul(state ^ (state >>> 16), 0x21f0aaad);
    mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97);
    return mixed ^ (mixed >>> 15);
  };
}

function fnv1a(text: string, basis: number): number {
  let hash = basis;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return hash;
}
