/** Writes a run's bundle beside its final place and moves it there when it is whole: no half of one is ever seen. */
import { closeSync, mkdirSync, openSync, renameSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import { bundleFiles, type RunEvent, type RunRecord, type RunSample } from '@skep/contract';

export class BundleWriter {
  readonly directory: string;
  readonly #partial: string;
  readonly #events: LineFile;
  readonly #samples: LineFile;

  /** `directory`: where the bundle is to be; what is there already is replaced when this one is finished. */
  constructor(directory: string, scenario: Uint8Array) {
    this.directory = directory;
    this.#partial = `${directory}.partial-${process.pid}`;
    mkdirSync(dirname(directory), { recursive: true });
    rmSync(this.#partial, { recursive: true, force: true });
    mkdirSync(this.#partial);
    writeFileSync(this.#path('scenario'), scenario);
    this.#events = new LineFile(this.#path('events'));
    this.#samples = new LineFile(this.#path('samples'));
  }

  event(event: RunEvent): void {
    this.#events.add(JSON.stringify(event));
  }

  sample(sample: RunSample): void {
    this.#samples.add(JSON.stringify(sample));
  }

  /** The bundle is whole and at its place afterwards. */
  finish(record: RunRecord): void {
    this.#events.close();
    this.#samples.close();
    writeFileSync(this.#path('run'), `${JSON.stringify(record, undefined, 2)}\n`);
    rmSync(this.directory, { recursive: true, force: true });
    renameSync(this.#partial, this.directory);
  }

  /** Leaves nothing. Harmless once finished. */
  discard(): void {
    this.#events.close();
    this.#samples.close();
    rmSync(this.#partial, { recursive: true, force: true });
  }

  #path(file: keyof typeof bundleFiles): string {
    return `${this.#partial}/${bundleFiles[file]}`;
  }
}

const flushChars = 65_536;

/** A file of lines that is written in pieces worth a system call. */
export class LineFile {
  #file: number | undefined;
  #text = '';

  constructor(path: string) {
    this.#file = openSync(path, 'w');
  }

  add(line: string): void {
    this.#text += `${line}\n`;
    if (this.#text.length >= flushChars) this.#flush();
  }

  /** Harmless twice. */
  close(): void {
    if (this.#file === undefined) return;
    this.#flush();
    closeSync(this.#file);
    this.#file = undefined;
  }

  #flush(): void {
    const bytes = new TextEncoder().encode(this.#text);
    this.#text = '';
    for (let at = 0; at < bytes.length && this.#file !== undefined; ) at += writeSync(this.#file, bytes, at);
  }
}
