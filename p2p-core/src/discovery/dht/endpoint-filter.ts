/**
 * Tells at a glance that an endpoint is surely not among a node's few hundred, so that most of those that are not need no
 * search: a counting Bloom filter with one hash (Fan et al. 2000).
 */

const CELLS = 1_024;
/** A cell that has reached this stays there: it no longer knows how many it counts. */
const FULL = 0xff;

export class EndpointFilter {
  readonly #counts = new Uint8Array(CELLS);

  /** False: it is not there. True: it may be. */
  mayHold(ip: number, port: number): boolean {
    return this.#counts[cellOf(ip, port)] !== 0;
  }

  add(ip: number, port: number): void {
    const cell = cellOf(ip, port);
    if (this.#counts[cell]! < FULL) this.#counts[cell]!++;
  }

  /** Takes back one `add`. */
  remove(ip: number, port: number): void {
    const cell = cellOf(ip, port);
    if (this.#counts[cell]! < FULL) this.#counts[cell]!--;
  }
}

function cellOf(ip: number, port: number): number {
  return Math.imul(ip ^ Math.imul(port, 0x85ebca6b), 0x9e3779b1) >>> 22;
}
