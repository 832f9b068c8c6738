/** The tracker client against a real opentracker: two peers announce, find each other, and leave. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { announce } from '@skep/p2p-core/discovery/tracker';
import type { Http } from '@skep/p2p-core/host';
import { afterEach, expect, test } from 'vitest';
import { toHex } from '../../p2p-core/src/bytes.ts';

const isMissing = spawnSync('opentracker', ['-h']).error !== undefined;
const mayBeMissing = process.env.SKEP_TEST_ALL !== '1';

const http = { fetch: (url, init) => fetch(url, { signal: init?.signal }) } as Pick<Http, 'fetch'> as Http;

const cleanups: (() => void | Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

/** opentracker cannot choose a port for itself, so one that was free a moment ago is tried. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}

async function startTracker(infoHash: Uint8Array): Promise<string> {
  const directory = mkdtempSync(join(tmpdir(), 'skep-tracker-'));
  cleanups.push(() => rmSync(directory, { recursive: true, force: true }));
  // Debian's build serves listed torrents only, and reads the list as nobody from inside its directory.
  chmodSync(directory, 0o755);
  writeFileSync(join(directory, 'whitelist'), `${toHex(infoHash)}\n`);
  const port = await freePort();
  const child = spawn(
    'opentracker',
    ['-i', '127.0.0.1', '-p', String(port), '-P', String(port), '-d', directory, '-w', 'whitelist'],
    { cwd: directory, stdio: 'ignore' },
  );
  cleanups.push(() => ended(child));
  const url = `http://127.0.0.1:${port}/announce`;
  for (let attempt = 0; ; attempt++) {
    try {
      await announce(http, url, announceOf(infoHash, 9, 1));
      await announce(http, url, { ...announceOf(infoHash, 9, 1), event: 'stopped' });
      return url;
    } catch (error) {
      if (attempt === 100) throw error;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exit = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGKILL');
  await exit;
}

const announceOf = (infoHash: Uint8Array, port: number, leftBytes: number) => ({
  infoHash,
  peerId: new Uint8Array(20).fill(port & 0xff),
  port,
  uploadedBytes: 0,
  downloadedBytes: 0,
  leftBytes,
});

test.skipIf(isMissing && mayBeMissing)('opentracker brings two peers together', async () => {
  const infoHash = Uint8Array.from({ length: 20 }, (_, index) => 0xff - index * 11);
  const url = await startTracker(infoHash);

  const seed = await announce(http, url, { ...announceOf(infoHash, 7001, 0), event: 'started' });
  expect(seed.intervalMs).toBeGreaterThan(0);
  const leech = await announce(http, url, {
    ...announceOf(infoHash, 7002, 5),
    event: 'started',
    peersWanted: 10,
  });
  expect(leech.peers).toContainEqual({ host: '127.0.0.1', port: 7001 });
  expect(leech).toMatchObject({ seeds: 1, leeches: 1 });

  await announce(http, url, { ...announceOf(infoHash, 7001, 0), event: 'stopped' });
  const after = await announce(http, url, announceOf(infoHash, 7002, 5));
  expect(after.peers).not.toContainEqual({ host: '127.0.0.1', port: 7001 });
  expect(after.seeds).toBe(0);
});
