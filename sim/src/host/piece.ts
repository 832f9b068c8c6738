/** A piece that is being gathered: what of it has arrived, as extents. */
import type { PieceBuffer } from '@skep/p2p-core/host';
import type { Extent } from './extent.ts';
import { ExtentMap } from './extent-map.ts';

const NOTHING = new ExtentMap();

export class SimPiece implements PieceBuffer {
  readonly length: number;
  #arrived: ExtentMap | undefined;
  #isReleased = false;

  constructor(length: number) {
    this.length = length;
  }

  release(): void {
    this.#isReleased = true;
    this.#arrived = undefined;
  }

  /** Discards it if released. */
  put(offset: number, extent: Extent): void {
    if (this.#isReleased) return;
    this.#arrived ??= new ExtentMap();
    this.#arrived.write(offset, extent);
  }

  /** The whole piece; zeros where nothing has arrived. */
  extent(): Extent {
    return (this.#arrived ?? NOTHING).read(0, this.length);
  }
}
