/**
 * Heals in place of a control API that is gone: runs the control API's own decisions, for as long as one call may take or
 * until the control API is back. Machines cannot report to it, so silence counts against nobody: it acts on what EC2 says.
 * Should both run for a moment, they are two over one store, which its compare-and-set keeps apart.
 */
import { type ApiClient, type RedeploymentView, tableKeys, type WatchdogAnswer } from '@skep/contract';
import type { Store } from '@skep/control-api';
import type { Clock } from '@skep/p2p-core/host';
import * as z from 'zod';
import { pause } from '../patience.ts';

/** A control API without an address. */
export interface StandIn {
  readonly client: ApiClient;
  start(): Promise<void>;
  stop(): Promise<void>;
}

export interface WatchdogComponents {
  readonly clock: Clock;
  readonly store: Store;
  /** Made only if it is needed. */
  readonly standIn: () => Promise<StandIn>;
}

export interface WatchdogOptions {
  /** How long it may run. */
  readonly forMs: number;
  /** ISO 8601: a deployment that is past its time is not healed. */
  readonly expiresAt?: string;
}

/** Six times as long as the control API lets pass between two beats. */
const goneAfterMs = 60_000;
const pollMs = 3_000;

const Heartbeat = z.object({ atMs: z.number() });

export async function watchOver(
  components: WatchdogComponents,
  { forMs, expiresAt }: WatchdogOptions,
): Promise<z.infer<typeof WatchdogAnswer>> {
  const { clock, store, standIn } = components;
  const dueMs = clock.now() + forMs;
  const silentMs = await silence(clock, store);
  const isExpired = expiresAt !== undefined && Date.parse(expiresAt) <= clock.wallTime();
  // One that never lived has nothing that could be healed.
  if (silentMs === undefined) return { acted: false, redeployments: [] };
  const nothing = { controlApiSilentMs: silentMs, acted: false, redeployments: [] };
  if (silentMs < goneAfterMs || isExpired) return nothing;
  const api = await standIn();
  const before = new Set(await redeployments(api.client));
  await api.start();
  try {
    while (clock.now() + pollMs <= dueMs) {
      await pause(clock, pollMs);
      const now = await silence(clock, store);
      if (now !== undefined && now < goneAfterMs) break;
    }
    const after = await redeployments(api.client);
    return { ...nothing, acted: true, redeployments: after.filter((each) => !before.has(each)) };
  } finally {
    await api.stop();
  }
}

/** How long the control API has not said that it lives; undefined if it never has. */
async function silence(clock: Clock, store: Store): Promise<number | undefined> {
  const row = await store.get(tableKeys.heartbeat);
  return row && clock.wallTime() - Heartbeat.parse(row.value).atMs;
}

async function redeployments(client: ApiClient): Promise<string[]> {
  const clusters = await client.listClusters({});
  const all = await Promise.all(
    clusters.map(async ({ name }) => {
      const found: RedeploymentView[] = await client.listRedeployments({ params: { cluster: name } });
      return found.map(({ id }) => `${name} ${id}`);
    }),
  );
  return all.flat();
}
