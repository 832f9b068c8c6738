/**
 * kill -9 of any process at random moments while a content spreads, fifty times in one long-lived cluster:
 * every download ends verified, nothing is fetched twice but what was in flight, and every slot has exactly
 * one machine in the end.
 *
 * SKEP_CHAOS_SEED replays a course (as far as real processes can be replayed), SKEP_CHAOS_ROUNDS makes it
 * longer or shorter.
 */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { NodeView } from '@skep/contract';
import { signalProcess } from '@skep/p2p-core/process-identity';
import { afterEach, expect, test } from 'vitest';
import { ChaosCluster } from './cluster.ts';
import { type Content, sha256Of, shareContent } from './content.ts';
import { seededDice } from './dice.ts';
import { DownloadLedger } from './download-ledger.ts';
import { pause, until } from './waiting.ts';

const seed = Number(process.env.SKEP_CHAOS_SEED ?? Math.floor(Math.random() * 2 ** 31));
const rounds = Number(process.env.SKEP_CHAOS_ROUNDS ?? 50);
const mebibyte = 1024 * 1024;
const pieceLength = 128 * 1024;
/** A download lasts one to two seconds, and kills fall into it. */
const rateBytesPerSecond = 24 * mebibyte;
/** What is asked for and not complete when a kill comes: never more than a second's worth. */
const mostInFlightBytes = rateBytesPerSecond;
const latestKillMs = 1_500;
const longestAwayMs = 300;
const sampleMs = 25;
const seedSlot = 'peer-1';
const slots = ['bootstrap-1', 'bootstrap-2', 'bootstrap-3', 'peer-1', 'peer-2', 'peer-3', 'peer-4', 'peer-5'];
const leeches = slots.slice(4);
const api = 'control-api';

interface Kill {
  readonly victim: string;
  readonly afterMs: number;
  /** How long the control API, if it is the one, stays away. */
  readonly awayMs: number;
}

interface Round {
  readonly round: number;
  readonly length: number;
  readonly kills: readonly Kill[];
}

let cluster: ChaosCluster;

afterEach(async () => {
  expect(await cluster.end()).toEqual({ processes: [], files: [] });
});

test(`${rounds} rounds of kill -9 while contents spread, seed ${seed}`, {
  timeout: 20 * 60_000,
}, async () => {
  const dice = seededDice(seed);
  cluster = await ChaosCluster.start({
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
  const lost = { killed: 0, finished: 0 };
  for (let round = 1; round <= rounds; round++) {
    const length = (16 + dice.below(33)) * mebibyte - dice.below(pieceLength);
    const kills = dice
      .pick([...slots, api], 1 + dice.below(2))
      .map((victim) => ({ victim, afterMs: dice.below(latestKillMs), awayMs: dice.below(longestAwayMs) }));
    try {
      const { killed, finished } = await playRound({ round, length, kills });
      lost.killed = Math.max(lost.killed, killed);
      lost.finished = Math.max(lost.finished, finished);
    } catch (cause) {
      const told = kills.map(({ victim, afterMs }) => `${victim} after ${afterMs} ms`).join(', ');
      const what = cause instanceof Error ? cause.message : String(cause);
      throw new Error(`seed ${seed}, round ${round} (${length} bytes; ${told}): ${what}`, { cause });
    }
  }
  console.log(
    `seed ${seed}: a kill lost at most ${lost.killed} bytes in flight; ` +
      `who was not killed received at most ${lost.finished} bytes too many`,
  );
});

async function playRound({ round, length, kills }: Round): Promise<{ killed: number; finished: number }> {
  const content = await shareContent(cluster, { name: `round-${round}.bin`, length, pieceLength, seedSlot });
  const ledger = new DownloadLedger(content.infoHash, leeches);
  const sampling = sample(ledger);
  await Promise.all(kills.map(carryOut));
  try {
    await until(
      'every download to be verified',
      async () => (await cluster.nodes())?.every((node) => isDone(node, content)),
      { timeoutMs: 120_000, state: () => cluster.describe() },
    );
  } finally {
    await sampling.stop();
  }
  expect(ledger.complaints({ length, mostInFlightBytes })).toEqual([]);
  for (const slot of leeches) {
    expect(await sha256Of(join(cluster.dataOf(slot), 'content', content.name)), slot).toBe(content.sha256);
  }
  await settle();
  await cluster.api.removeTorrent({ params: { ...cluster.params, infoHash: content.infoHash } });
  await until('every node to drop the torrent', async () =>
    (await cluster.nodes())?.every(({ torrents }) => torrents.length === 0),
  );
  for (const slot of leeches) await rm(join(cluster.dataOf(slot), 'content', content.name));
  await rm(content.root, { recursive: true });
  return ledger.worst();
}

async function carryOut({ victim, afterMs, awayMs }: Kill): Promise<void> {
  await pause(afterMs);
  if (victim === api) {
    await cluster.killApi();
    await pause(awayMs);
    await cluster.startApi();
  } else {
    // While the control API is away it cannot name the process, but the process list can.
    for (const { process } of cluster.machines(victim)) signalProcess(process, 'SIGKILL');
  }
}

/** Bootstrap nodes hold no torrent; a node between two generations has not told of it yet. */
function isDone(node: NodeView, { infoHash, sha256 }: Content): boolean {
  if (node.role === 'bootstrap') return true;
  const holding = node.torrents.find((torrent) => torrent.infoHash === infoHash);
  if (holding?.state === 'error') throw new Error(`${node.slot}: ${holding.message}`);
  return holding?.sha256 === sha256;
}

/** Keeps the ledger until stopped. */
function sample(ledger: DownloadLedger): { stop(): Promise<void> } {
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
async function settle(): Promise<void> {
  await cluster.awaitServing();
  await until(
    'every redeployment to be over',
    async () =>
      (await cluster.redeployments()).every(
        ({ state, times }) => state === 'cancelled' || (state === 'complete' && times.goneMs !== undefined),
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
