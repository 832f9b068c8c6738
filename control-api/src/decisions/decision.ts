/**
 * The form of every decision: from (state, request, now) to what changes, what is told, and what is
 * answered. Decisions are pure; `Clusters.transact` reads their state, commits what they say by
 * compare-and-set, and decides again if another was faster.
 */
import type { ProblemCode, RingConfiguration } from '@skep/contract';
import { commitLimits } from '../ports/store.ts';
import {
  type AboutRow,
  type EffectRow,
  effectKey,
  type FaultRow,
  type LeaseRow,
  type MachineRow,
  type MetainfoPartRow,
  machineKey,
  metainfoPartKey,
  type RedeploymentRow,
  type SlotRow,
  single,
  type TableName,
  type Tables,
  type TestResultRow,
  type TestRow,
  type TorrentRow,
  testResultKey,
} from './rows.ts';

/** A cluster as its rows say, read-only. Maps are by slot name, machine key, redeployment id, infohash, effect key, fault id, test id, test result key. */
export interface ClusterState {
  readonly about: AboutRow;
  readonly lease: LeaseRow;
  readonly ring: RingConfiguration;
  readonly slots: ReadonlyMap<string, SlotRow>;
  readonly machines: ReadonlyMap<string, MachineRow>;
  readonly redeployments: ReadonlyMap<string, RedeploymentRow>;
  readonly torrents: ReadonlyMap<string, TorrentRow>;
  readonly effects: ReadonlyMap<string, EffectRow>;
  readonly faults: ReadonlyMap<string, FaultRow>;
  readonly tests: ReadonlyMap<string, TestRow>;
  readonly testResults: ReadonlyMap<string, TestResultRow>;
  readonly metainfoParts: ReadonlyMap<string, MetainfoPartRow>;
}

export type Change = {
  [T in TableName]: { readonly table: T; readonly id: string; readonly value: Tables[T] | undefined };
}[TableName];

/** An event without what the commit stamps on it. `lamport` and `ageMs` are given only by events that happened elsewhere. */
export interface DecidedEvent {
  readonly kind: string;
  readonly slot?: string;
  readonly generation?: number;
  readonly lamport?: number;
  /** How long ago it happened. */
  readonly ageMs?: number;
  readonly data?: Readonly<Record<string, string | number | boolean>>;
}

export interface Refusal {
  readonly code: ProblemCode;
  readonly detail: string;
  readonly current?: number;
}

interface Said {
  readonly events?: readonly DecidedEvent[];
}

export interface Decided<A> extends Said {
  readonly answer: A;
  readonly changes?: readonly Change[];
  /** Tables of one row that were read and must not have changed when this is committed. */
  readonly guards?: readonly ('about' | 'lease' | 'ring')[];
}

export interface Refused extends Said {
  readonly refusal: Refusal;
  /** What is remembered of having been asked. */
  readonly changes?: readonly Change[];
}

/** The most changes of one decision. The rest of a commit is for guards, and for rows that are no cluster's. */
export const mostChanges = commitLimits.writes - 10;

export type Decision<A> = Decided<A> | Refused;

export function refuse(code: ProblemCode, detail: string, current?: number): Refused {
  return { refusal: { code, detail, ...(current === undefined ? {} : { current }) } };
}

/** Names a row's change by what it is. */
export const put = {
  about: (value: AboutRow): Change => ({ table: 'about', id: single, value }),
  lease: (value: LeaseRow): Change => ({ table: 'lease', id: single, value }),
  ring: (value: RingConfiguration): Change => ({ table: 'ring', id: single, value }),
  slot: (value: SlotRow): Change => ({ table: 'slots', id: value.slot, value }),
  machine: (value: MachineRow): Change => ({
    table: 'machines',
    id: machineKey(value.slot, value.generation),
    value,
  }),
  redeployment: (value: RedeploymentRow): Change => ({ table: 'redeployments', id: value.id, value }),
  torrent: (value: TorrentRow): Change => ({ table: 'torrents', id: value.infoHash, value }),
  effect: (value: EffectRow): Change => ({ table: 'effects', id: effectKey(value), value }),
  fault: (value: FaultRow): Change => ({ table: 'faults', id: value.id, value }),
  test: (value: TestRow): Change => ({ table: 'tests', id: value.id, value }),
  metainfoPart: (value: MetainfoPartRow): Change => ({
    table: 'metainfoParts',
    id: metainfoPartKey(value.infoHash, value.part),
    value,
  }),
  testResult: (value: TestResultRow): Change => ({
    table: 'testResults',
    id: testResultKey(value.test, machineKey(value.slot, value.generation)),
    value,
  }),
};

export function remove(table: TableName, id: string): Change {
  return { table, id, value: undefined };
}

/** The machine that is in a slot now. */
export function currentMachine(state: ClusterState, slot: SlotRow): MachineRow {
  const machine = state.machines.get(machineKey(slot.slot, slot.generation));
  if (machine === undefined) throw new Error(`the store has no machine of ${slot.slot}@${slot.generation}`);
  return machine;
}

/** The pending launches of any attempt of a machine, and the assignment of a spare in the place of one. */
export function pendingLaunches(state: ClusterState, machine: MachineRow): readonly string[] {
  return [...state.effects]
    .filter(
      ([, effect]) =>
        (effect.kind === 'launch' || effect.kind === 'assign') &&
        effect.slot === machine.slot &&
        effect.generation === machine.generation,
    )
    .map(([key]) => key);
}
