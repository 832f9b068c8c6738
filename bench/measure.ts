/** What the benchmarks share: content to move, proof that it arrived, and the middle of several rounds. */
import { createHash, randomFillSync } from 'node:crypto';
import { closeSync, openSync, readSync, writeSync } from 'node:fs';

const CHUNK_BYTES = 2 ** 20;

/** Writes a file of random bytes, chunk by chunk, each of which `onChunk` is shown. Gives its SHA-256 in hex. */
export function writeRandomFile(
  path: string,
  lengthBytes: number,
  onChunk: (chunk: Uint8Array) => void = () => {},
): string {
  const digest = createHash('sha256');
  const buffer = new Uint8Array(CHUNK_BYTES);
  const fd = openSync(path, 'w');
  for (let at = 0; at < lengthBytes; at += CHUNK_BYTES) {
    const bytes = randomFillSync(buffer).subarray(0, lengthBytes - at);
    writeSync(fd, bytes);
    digest.update(bytes);
    onChunk(bytes);
  }
  closeSync(fd);
  return digest.digest('hex');
}

export function sha256Of(path: string): string {
  const digest = createHash('sha256');
  const buffer = new Uint8Array(CHUNK_BYTES);
  const fd = openSync(path, 'r');
  for (let got = readSync(fd, buffer); got > 0; got = readSync(fd, buffer))
    digest.update(buffer.subarray(0, got));
  closeSync(fd);
  return digest.digest('hex');
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}
