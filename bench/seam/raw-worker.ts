/** Hashes and writes a piece, for the side of the comparison that has no Host. */
import { hash } from 'node:crypto';
import { writeSync } from 'node:fs';
import { parentPort } from 'node:worker_threads';

interface Work {
  readonly fd: number;
  readonly position: number;
  readonly bytes: Uint8Array;
  readonly expected: Uint8Array;
}

parentPort!.on('message', ({ fd, position, bytes, expected }: Work) => {
  const ok = Buffer.compare(hash('sha1', bytes, 'buffer'), expected) === 0;
  if (ok) writeSync(fd, bytes, 0, bytes.length, position);
  parentPort!.postMessage({ ok, bytes });
});
