/**
 * kill -9 of any process at random moments while a content spreads, fifty times in one long-lived cluster:
 * every download ends verified, nothing is fetched twice but what was in flight, and every slot has exactly
 * one machine in the end.
 *
 * SKEP_CHAOS_SEED replays a course (as far as real processes can be replayed), SKEP_CHAOS_ROUNDS makes it
 * longer or shorter.
 */
import { createHash, randomBytes } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import type { NodeView } from '@skep/contract';
import { toHex } from '@skep/p2p-core/bytes';
import { createMetainfo, encodeMetainfo } from '@skep/p2p-core/metainfo';
import { expect, test } from 'vitest';
import { ChaosCluster } from './cluster.ts';
import { type Dice, seededDice } from './dice.ts';
import { DownloadLedger } from './download-ledger.ts';
import { pause, until } from './waiting.ts';

const seed = Number(process.env.SKEP_CHAOS_SEED ?? Math.floor(Math.random() * 2 ** 31));
const rounds = Number(process.env.SKEP_CHAOS_ROUNDS ?? 50);
const mebibyte = 1024 * 1024;
const pieceLength = 128 * 1024;
/** A download lasts one to two seconds, and kills fall into it. */
const rateBytesPerSecond = 24 * mebibyte;
const latestKillMs = 1_500;
const sampleMs = 25;
const seedSlot = 'peer-1';
const slots = ['bootstrap-1', 'bootstrap-2', 'bootstrap-3', 'peer-1', 'peer-2', 'peer-3', 'peer-4', 'peer-5'];
const leeches = slots.slice(4);
const api = 'control-api';

test(`${rounds} rounds of kill -9 while contents spread, seed ${seed}`, {
  timeout: 20 * 60_000,
}, async () => {
  const dice = seededDice(seed);
  const cluster = await ChaosCluster.start({
    bootstrap: 3,
    peers: 5,
    graceMs: 6_000,
    leaseMs: 2_000,
    watchdogMs: 1_500,
    reportIntervalMs: 100,
    redeploymentsPerSlot: 100,
    redeploymentsPerCluster: 1_000,
    downloadBytesPerSecond: rateBytesPerSecond,
  });
  try {
    for (let round = 1; round <= rounds; round++) {
      const victims = dice.pick([...slots, api], 1 + dice.below(2));
      const kills = victims.map((victim) => ({ victim, afterMs: dice.below(latestKillMs) }));
      const lengthMebibytes = 16 + dice.below(33);
      const told = kills.map(({ victim, afterMs }) => `${victim} after ${afterMs} ms`).join(', ');
      await playRound(cluster, {
        round,
        length: lengthMebibytes * mebibyte - dice.below(pieceLength),
        kills,
        dice,
      }).catch(async (error) => {
        throw new Error(`seed ${seed}, round ${round} (${lengthMebibytes} MiB; ${told}): ${error.message}`, {
          cause: error,
        });
      });
    }
  } finally {
    expect(await cluster.end()).toEqual({ processes: [], files: [] });
  }
});

interface Round {
  readonly round: number;
  readonly length: number;
  readonly kills: readonly { readonly victim: string; readonly afterMs: number }[];
  readonly dice: Dice;
}

async function playRound(cluster: ChaosCluster, { round, length, kills, dice }: Round): Promise<void> {
  const content = await shareContent(cluster, `round-${round}.bin`, length);
  const ledger = new DownloadLedger(content.infoHash, leeches);
  const sampling = sample(cluster, ledger);
  await Promise.all(
    kills.map(async ({ victim, afterMs }) => {
      await pause(afterMs);
      if (victim === api) {
        await cluster.killApi();
        await pause(dice.below(300));
        await cluster.startApi();
        return;
      }
      // While the control API is away it cannot name the process, but the process list can.
      for (const { process: target } of cluster.machines(victim)) process.kill(target.pid, 'SIGKILL');
    }),
  );
  try {
    await until(
      'every download to be verified',
      async () => (await cluster.nodes())?.every((node) => isDone(node, content)),
      { timeoutMs: 120_000, state: () => cluster.describe() },
    );
  } finally {
    await sampling.stop();
  }
  expect(ledger.complaints({ length, pieceLength })).toEqual([]);
  for (const slot of leeches) {
    expect(await sha256Of(join(cluster.dataOf(slot), 'content', content.name)), slot).toBe(content.sha256);
  }
  await settle(cluster);
  await cluster.api.removeTorrent({ params: { ...cluster.params, infoHash: content.infoHash } });
  await until('every node to drop the torrent', async () =>
    (await cluster.nodes())?.every(({ torrents }) => torrents.length === 0),
  );
  for (const slot of leeches) await rm(join(cluster.dataOf(slot), 'content', content.name));
  await rm(content.root, { recursive: true });
}

interface Content {
  readonly root: string;
  readonly name: string;
  readonly infoHash: string;
  readonly sha256: string;
}

async function shareContent(cluster: ChaosCluster, name: string, length: number): Promise<Content> {
  const root = join(cluster.scratch, `seed-${name}`);
  const bytes = randomBytes(length);
  await mkdir(root);
  await writeFile(join(root, name), bytes);
  const metainfo = await createMetainfo(cluster.host, join(root, name), { pieceLength });
  await cluster.api.addTorrent({
    params: cluster.params,
    body: {
      metainfo: Buffer.from(encodeMetainfo(metainfo)).toString('base64'),
      seeds: [{ slot: seedSlot, contentRoot: root }],
    },
  });
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  return { root, name, infoHash: toHex(metainfo.info.infoHash), sha256 };
}

/** Bootstrap nodes hold no torrent; a node between two generations has not told of it yet. */
function isDone(node: NodeView, { infoHash, sha256 }: Content): boolean {
  if (node.role === 'bootstrap') return true;
  const holding = node.torrents.find((torrent) => torrent.infoHash === infoHash);
  if (holding?.state === 'error') throw new Error(`${node.slot}: ${holding.message}`);
  return holding?.sha256 === sha256;
}

/** Keeps the ledger until stopped. */
function sample(cluster: ChaosCluster, ledger: DownloadLedger): { stop(): Promise<void> } {
  let stopped = false;
  const running = (async () => {
    while (!stopped) {
      for (const node of (await cluster.nodes()) ?? []) ledger.note(node);
      await pause(sampleMs);
    }
    for (const node of (await cluster.nodes()) ?? []) ledger.note(node);
  })();
  return {
    async stop() {
      stopped = true;
      await running;
    },
  };
}

/** Everything that died is replaced, the replaced are proven gone, and the process list says the same. */
async function settle(cluster: ChaosCluster): Promise<void> {
  await cluster.awaitServing();
  await until(
    'every redeployment to be over',
    async () =>
      (await cluster.redeployments()).every(
        ({ state, goneAtMs }) => state === 'cancelled' || (state === 'complete' && goneAtMs !== undefined),
      ),
    { state: () => cluster.describe() },
  );
  const nodes = await cluster.awaitServing();
  const named = nodes.map(({ slot, generation, machine }) => `${slot}@${generation} is ${machine}`);
  const living = cluster
    .machines()
    .map((machine) => `${machine.slot}@${machine.generation} is ${machine.process.pid}`);
  expect(living.sort()).toEqual(named.sort());
}

async function sha256Of(path: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path, { highWaterMark: mebibyte }), hash);
  return hash.digest('hex');
}
