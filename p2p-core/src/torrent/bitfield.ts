/** A set of piece indices as BitTorrent writes it: one bit a piece, the first in the highest bit (BEP 3). */
export class Bitfield {
  readonly size: number;
  readonly #bytes: Uint8Array;
  #count = 0;

  constructor(size: number) {
    this.size = size;
    this.#bytes = new Uint8Array((size + 7) >>> 3);
  }

  /** Copies `bytes`; undefined if their number is not what `size` bits take, or a spare bit is set. */
  static from(bytes: Uint8Array, size: number): Bitfield | undefined {
    if (bytes.length !== (size + 7) >>> 3) return undefined;
    const spare = bytes.length * 8 - size;
    if (spare > 0 && (bytes[bytes.length - 1]! & ((1 << spare) - 1)) !== 0) return undefined;
    const field = new Bitfield(size);
    field.#bytes.set(bytes);
    for (const byte of bytes) field.#count += POPULATION[byte]!;
    return field;
  }

  static full(size: number): Bitfield {
    const field = new Bitfield(size);
    field.setAll();
    return field;
  }

  /** How many bits are set. */
  get count(): number {
    return this.#count;
  }

  get isFull(): boolean {
    return this.#count === this.size;
  }

  /** An index out of range is not in the set. */
  has(index: number): boolean {
    return (this.#bytes[index >>> 3]! & (0x80 >>> (index & 7))) !== 0;
  }

  /** True if the bit was clear. The index must be in range. */
  set(index: number): boolean {
    if (this.has(index)) return false;
    this.#bytes[index >>> 3]! |= 0x80 >>> (index & 7);
    this.#count++;
    return true;
  }

  /** True if the bit was set. */
  clear(index: number): boolean {
    if (!this.has(index)) return false;
    this.#bytes[index >>> 3]! &= ~(0x80 >>> (index & 7));
    this.#count--;
    return true;
  }

  setAll(): void {
    this.#bytes.fill(0xff);
    const spare = this.#bytes.length * 8 - this.size;
    if (spare > 0) this.#bytes[this.#bytes.length - 1] = (0xff << spare) & 0xff;
    this.#count = this.size;
  }

  /** A copy in wire form. */
  toBytes(): Uint8Array {
    return this.#bytes.slice();
  }

  *[Symbol.iterator](): Generator<number> {
    for (const [at, byte] of this.#bytes.entries()) {
      if (byte === 0) continue;
      for (let index = at * 8; index < at * 8 + 8; index++) if (this.has(index)) yield index;
    }
  }
}

const POPULATION = new Uint8Array(256);
for (let byte = 1; byte < 256; byte++) POPULATION[byte] = POPULATION[byte >>> 1]! + (byte & 1);
