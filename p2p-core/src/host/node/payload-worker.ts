/** The thread that hashes and writes pieces and hashes files. It holds no state: each job carries all it needs. */
import { createHash, hash } from 'node:crypto';
import { fstatSync, readSync, writeSync } from 'node:fs';
import { parentPort } from 'node:worker_threads';
import type { HashAlgorithm } from '../host.ts';

/** Bytes of one file: `position` is in the file. */
export interface FileRange {
  readonly fd: number;
  readonly position: number;
  readonly length: number;
}

/**
 * `store` takes the SHA-1 of `length` bytes of `memory`, if `expectedSha1` is given, and when it is right, or
 * not asked for, writes the bytes one range after the other.
 */
export type Job =
  | {
      readonly kind: 'store';
      readonly memory: SharedArrayBuffer;
      readonly length: number;
      readonly expectedSha1: Uint8Array | undefined;
      readonly writes: readonly FileRange[];
    }
  | { readonly kind: 'hash'; readonly algorithm: HashAlgorithm; readonly reads: readonly FileRange[] };

export type JobResult = 'stored' | 'corrupt' | Uint8Array;

export type Reply =
  | { readonly id: number; readonly result: JobResult }
  | { readonly id: number; readonly code: string; readonly message: string };

const READ_BYTES = 2 ** 20;
let readBuffer: Uint8Array | undefined;

function perform(job: Job): JobResult {
  if (job.kind === 'hash') return hashRanges(job.algorithm, job.reads);
  const bytes = new Uint8Array(job.memory, 0, job.length);
  if (job.expectedSha1 !== undefined && Buffer.compare(hash('sha1', bytes, 'buffer'), job.expectedSha1) !== 0)
    return 'corrupt';
  let at = 0;
  for (const range of job.writes) {
    writeRange(range, bytes.subarray(at, at + range.length));
    at += range.length;
  }
  return 'stored';
}

function writeRange({ fd, position }: FileRange, bytes: Uint8Array): void {
  // What is written into a deleted file is lost without a word.
  if (fstatSync(fd).nlink === 0) throw failure('ENOENT', 'the file was deleted');
  let written = 0;
  while (written < bytes.length)
    written += writeSync(fd, bytes, written, bytes.length - written, position + written);
}

function hashRanges(algorithm: HashAlgorithm, ranges: readonly FileRange[]): Uint8Array {
  readBuffer ??= new Uint8Array(READ_BYTES);
  const digest = createHash(algorithm);
  for (const { fd, position, length } of ranges) {
    let done = 0;
    while (done < length) {
      const got = readSync(fd, readBuffer, 0, Math.min(READ_BYTES, length - done), position + done);
      if (got === 0) throw failure('EIO', 'the file is shorter than its content');
      digest.update(readBuffer.subarray(0, got));
      done += got;
    }
  }
  return new Uint8Array(digest.digest());
}

function failure(code: string, message: string): Error {
  return Object.assign(new Error(message), { code });
}

parentPort?.on('message', ({ id, job }: { id: number; job: Job }) => {
  let reply: Reply;
  try {
    reply = { id, result: perform(job) };
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'EIO';
    reply = { id, code, message: error instanceof Error ? error.message : String(error) };
  }
  parentPort?.postMessage(reply);
});
