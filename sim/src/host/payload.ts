/**
 * Payload of a simulated machine. A piece buffer and a file are extents (see extent.ts), so payload is
 * moved, stored and verified by what it is, and never copied.
 */
import type { Content, ContentLayout, Payload, PieceBuffer } from '@skep/p2p-core/host';
import { HostError } from '@skep/p2p-core/host';
import { SimContent } from './content.ts';
import type { SimDisk } from './disk.ts';
import { SimPiece } from './piece.ts';
import type { SimProcess } from './sim-process.ts';

export class SimPayload implements Payload {
  readonly #process: SimProcess;
  readonly #disk: SimDisk;

  constructor(process: SimProcess, disk: SimDisk) {
    this.#process = process;
    this.#disk = disk;
  }

  openContent(layout: ContentLayout): Promise<Content> {
    const unsafe = layout.files.find((file) => !isSafe(file.path));
    return this.#process.promise((resolve, reject) => {
      this.#process.later(0, () => {
        if (unsafe === undefined) resolve(new SimContent(this.#process, this.#disk, layout));
        else
          reject(
            new HostError('unsafe-path', `"${unsafe.path}" could leave the content's folder. Rename it.`),
          );
      });
    });
  }

  allocatePiece(length: number): PieceBuffer {
    return new SimPiece(length);
  }
}

/** Sanitised already; a Host still refuses what could climb out. */
function isSafe(path: string): boolean {
  return (
    !path.includes('\0') && path.split('/').every((part) => part !== '' && part !== '.' && part !== '..')
  );
}
