/**
 * kill -9 during a download, again and again: the next process begins with what the last one had, nothing
 * that was verified is fetched again, and the content is right in the end.
 */

import { spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { createNode } from '@skep/p2p-core';
import { createNodeHost } from '@skep/p2p-core/host/node';
import { createMetainfo, encodeMetainfo } from '@skep/p2p-core/metainfo';
import { afterEach, expect, test } from 'vitest';

const LENGTH = 24_000_000;
const PIECE_LENGTH = 128 * 1024;
const KILLS = 6;

interface Told {
  readonly begunWith: number;
  readonly have: number;
  readonly complete?: true;
}

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

/** Runs a leech until it told of `untilHave` pieces, then kills it; gives the last it told. */
async function leech(args: string[], untilHave: number): Promise<Told> {
  const child = spawn(process.execPath, [join(import.meta.dirname, 'leech.ts'), ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = new Promise((resolve) => child.once('exit', resolve));
  cleanups.push(() => child.kill('SIGKILL'));
  let last: Told | undefined;
  for await (const line of createInterface({ input: child.stdout })) {
    last = JSON.parse(line) as Told;
    if (last.have >= untilHave && !last.complete) child.kill('SIGKILL');
  }
  await ended;
  return last!;
}

test('a leech that is killed over and over fetches nothing twice', { timeout: 60_000 }, async () => {
  const scratch = mkdtempSync(join(tmpdir(), 'skep-crash-'));
  cleanups.push(() => rmSync(scratch, { recursive: true, force: true }));
  mkdirSync(join(scratch, 'seed'));
  const content = randomBytes(LENGTH);
  writeFileSync(join(scratch, 'seed/content.bin'), content);

  const host = createNodeHost();
  cleanups.push(() => host.close());
  const metainfo = await createMetainfo(host, join(scratch, 'seed/content.bin'), {
    pieceLength: PIECE_LENGTH,
  });
  const torrentFile = join(scratch, 'content.torrent');
  writeFileSync(torrentFile, encodeMetainfo(metainfo));
  const seeder = await createNode({ host }, { listen: { host: '127.0.0.1', port: 0 }, dht: false });
  cleanups.push(() => seeder.close());
  const seed = await seeder.add({ metainfo, contentRoot: join(scratch, 'seed'), mode: 'seed' });
  await seed.waitFor(({ state }) => state === 'seeding');

  const total = metainfo.info.pieceCount;
  const args = (peerPort: string) => [
    torrentFile,
    join(scratch, 'copy'),
    join(scratch, 'state'),
    peerPort,
    '16000000',
  ];
  let before = 0;
  for (let kill = 1; kill <= KILLS; kill++) {
    // The first kills come before the first snapshot, others after one, or in the middle of it.
    const told = await leech(
      args(kill === 1 ? String(seeder.listen.port) : ''),
      (total * kill) / (KILLS + 1),
    );
    expect(told.begunWith).toBeGreaterThanOrEqual(before);
    before = told.have;
  }
  const last = await leech(args(''), Number.POSITIVE_INFINITY);
  expect(last).toMatchObject({ have: total, complete: true });
  expect(last.begunWith).toBeGreaterThanOrEqual(before);
  const digest = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');
  expect(digest(readFileSync(join(scratch, 'copy/content.bin')))).toBe(digest(content));
});
