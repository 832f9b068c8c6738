/**
 * Pooled memory of the data path. Pieces live in shared memory, so that a worker hashes and writes them
 * where they lie; read buffers carry blocks from file to socket. Both are recycled, since at full rate
 * fresh ones would cost more than the work done on them.
 */
import type { PieceBuffer } from '../host.ts';

/** Free memory kept for reuse, per pool; what is released beyond that goes to the garbage collector. */
const KEPT_BYTES = 64 * 2 ** 20;
const SMALLEST = 2 ** 14;

/** Recycles blocks of memory by size class, a class being twice the one before. */
class Pool<T extends { readonly byteLength: number }> {
  readonly #make: (byteLength: number) => T;
  readonly #free = new Map<number, T[]>();
  #keptBytes = 0;

  constructor(make: (byteLength: number) => T) {
    this.#make = make;
  }

  /** At least `length` bytes of undefined content. */
  take(length: number): T {
    const size = Math.max(SMALLEST, 2 ** Math.ceil(Math.log2(length)));
    const recycled = this.#free.get(size)?.pop();
    if (recycled === undefined) return this.#make(size);
    this.#keptBytes -= size;
    return recycled;
  }

  give(memory: T): void {
    if (this.#keptBytes + memory.byteLength > KEPT_BYTES) return;
    const free = this.#free.get(memory.byteLength);
    if (free === undefined) this.#free.set(memory.byteLength, [memory]);
    else free.push(memory);
    this.#keptBytes += memory.byteLength;
  }
}

/** Buffers that blocks are read into on their way to a socket. */
export class ReadBuffers extends Pool<Uint8Array<ArrayBuffer>> {
  constructor() {
    super((length) => new Uint8Array(new ArrayBuffer(length)));
  }
}

export class PiecePool extends Pool<SharedArrayBuffer> {
  constructor() {
    super((length) => new SharedArrayBuffer(length));
  }

  allocate(length: number): SharedPiece {
    if (!Number.isSafeInteger(length) || length < 0)
      throw new RangeError(`a piece cannot have ${length} bytes`);
    return new SharedPiece(this, length);
  }
}

/** A piece in shared memory. Its memory goes back to the pool once it is released and no job uses it. */
export class SharedPiece implements PieceBuffer {
  readonly length: number;
  readonly memory: SharedArrayBuffer;
  readonly bytes: Uint8Array<SharedArrayBuffer>;
  readonly #pool: PiecePool;
  #released = false;
  #users = 1;

  constructor(pool: PiecePool, length: number) {
    this.#pool = pool;
    this.length = length;
    this.memory = pool.take(length);
    this.bytes = new Uint8Array(this.memory, 0, length);
  }

  get released(): boolean {
    return this.#released;
  }

  release(): void {
    if (this.#released) return;
    this.#released = true;
    this.unpin();
  }

  /** Keeps the memory from reuse until `unpin`, even if the owner releases too early. */
  pin(): void {
    this.#users++;
  }

  unpin(): void {
    if (--this.#users === 0) this.#pool.give(this.memory);
  }
}
