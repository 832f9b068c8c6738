/**
 * What deploy and teardown agree by on one token: a row of the table, changed by compare-and-set only. RunInstances is
 * never called before the row says `launching`, and a token is not gone while a call that it allowed may still be under
 * way. So the two can run at once, be killed anywhere and be repeated, and after `gone` there is no instance.
 *
 *   (none) ──▶ launching ──▶ launched          deploy
 *     │           │  ▲  │        │
 *     │           │  └──┴▶ not-made            deploy: every call was refused for certain
 *     │           │         │    │
 *     │           ▼         │    ▼
 *     └──▶ called-off ◀─────┘  ending ──▶ gone teardown
 */
import { type MachineToken, tableKeys } from '@skep/contract';
import type { Json, Store, Write } from '@skep/control-api';
import * as z from 'zod';

/** What a token's instance is made of beside the order: kept from the first call on, or EC2 takes the next for another. */
export const FrozenParameters = z.object({
  launchTemplateId: z.string(),
  launchTemplateVersion: z.string(),
  image: z.string(),
  subnetId: z.string(),
  securityGroupId: z.string(),
  expiresAt: z.string().optional(),
  stack: z.string().optional(),
  /** Of the user data, in hexadecimal: it holds secrets, and so is not kept itself. */
  userDataSha256: z.string(),
});
export type FrozenParameters = z.infer<typeof FrozenParameters>;

/** When every call that was allowed will have ended, in milliseconds since the epoch. */
const untilMs = z.number();
const instanceId = z.string();

export const LaunchRow = z.discriminatedUnion('state', [
  z.object({ state: z.literal('launching'), untilMs, frozen: FrozenParameters }),
  z.object({ state: z.literal('launched'), untilMs, instanceId }),
  /** Refused for certain: there is no instance, and no call under way, so that nothing is frozen. */
  z.object({ state: z.literal('not-made') }),
  z.object({ state: z.literal('called-off') }),
  z.object({ state: z.literal('ending'), untilMs, instanceId: instanceId.optional() }),
  z.object({ state: z.literal('gone'), instanceId: instanceId.optional() }),
]);
export type LaunchRow = z.infer<typeof LaunchRow>;

/** A row as it was read: what is to change it names its version. */
export interface Agreed {
  readonly row: LaunchRow;
  readonly version: number;
}

/** The longest that EC2 may take to list what it has made, that its clock and ours may differ, and an aborted call lives on. */
export const marginMs = 30_000;

/** Rejects StoreError; ZodError if the row is none of ours. */
export class LaunchAgreements {
  readonly #store: Store;

  constructor({ store }: { store: Store }) {
    this.#store = store;
  }

  /** The key is `tableKeys.launch` of a machine. */
  async read(key: string): Promise<Agreed | undefined> {
    const row = await this.#store.get(key);
    return row && { row: LaunchRow.parse(row.value), version: row.version };
  }

  /** Those of one cluster, or of the deployment, by their keys. */
  async list(clusterUid?: string): Promise<ReadonlyMap<string, Agreed>> {
    const rows = await this.#store.list(tableKeys.launches(clusterUid));
    return new Map(rows.map(({ key, value, version }) => [key, { row: LaunchRow.parse(value), version }]));
  }

  /** False if somebody else was quicker. */
  change(key: string, version: number, row: LaunchRow): Promise<boolean> {
    return this.#store.commit([put(key, version, row)]);
  }

  /**
   * Allows calls until the row's time, unless the cluster or the deployment is closed to launches: one commit, so that
   * whoever closes sees either this row or no launch. False if so, or if somebody else was quicker.
   */
  allow(machine: MachineToken, version: number, row: LaunchRow & { state: 'launching' }): Promise<boolean> {
    return this.#store.commit([
      put(tableKeys.launch(machine), version, row),
      { key: tableKeys.closed(machine.clusterUid), expectedVersion: 0 },
      { key: tableKeys.closed(), expectedVersion: 0 },
    ]);
  }

  async isClosed(clusterUid: string): Promise<boolean> {
    const closed = await Promise.all([
      this.#store.get(tableKeys.closed(clusterUid)),
      this.#store.get(tableKeys.closed()),
    ]);
    return closed.some((row) => row !== undefined);
  }

  /** From now on no launch begins in the cluster, or in the deployment. */
  async close(clusterUid?: string): Promise<void> {
    const key = tableKeys.closed(clusterUid);
    // Refused if it is closed already.
    await this.#store.commit([{ key, expectedVersion: 0, put: { closed: true } }]);
  }

  /** Launches may begin again in the deployment. A cluster stays closed: its uid is never used twice. */
  async reopen(): Promise<void> {
    const key = tableKeys.closed();
    for (;;) {
      const row = await this.#store.get(key);
      if (row === undefined) return;
      if (await this.#store.commit([{ key, expectedVersion: row.version, remove: true }])) return;
    }
  }

  /** Forgets rows of what is closed; those that were changed meanwhile stay. */
  async remove(rows: ReadonlyMap<string, Agreed>): Promise<void> {
    for (const [key, { version }] of rows) {
      await this.#store.commit([{ key, expectedVersion: version, remove: true }]);
    }
  }
}

function put(key: string, expectedVersion: number, row: LaunchRow): Write {
  return { key, expectedVersion, put: row as Json };
}

/**
 * What teardown makes of a row: pure. From then on no call is allowed that is not yet; `untilMs` stays, for a call that
 * is under way may still make an instance until then.
 */
export function ended(row: LaunchRow | undefined): LaunchRow {
  switch (row?.state) {
    case undefined:
    case 'not-made':
    case 'called-off':
      return { state: 'called-off' };
    case 'launching':
      return { state: 'ending', untilMs: row.untilMs };
    case 'launched':
      return { state: 'ending', untilMs: row.untilMs, instanceId: row.instanceId };
    case 'ending':
    case 'gone':
      return row;
  }
}

/**
 * Whether a token that teardown has ended is proven to have no instance, nor ever to have one: pure. `seen` are its
 * instances as they were listed after the row was read; at most one, as EC2 promises of a token.
 */
export function isProvenGone(
  row: LaunchRow,
  seen: readonly { readonly terminated: boolean }[],
  nowMs: number,
): boolean {
  if (seen.length > 0) return seen.every(({ terminated }) => terminated);
  if (row.state === 'called-off' || row.state === 'gone') return true;
  // Nothing is listed: that is proof only once no call can be under way any more and lists have caught up.
  return row.state === 'ending' && nowMs >= row.untilMs + marginMs;
}
