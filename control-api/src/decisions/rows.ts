/** What the store holds of a cluster: one table each of these rows, under `cluster/<uid>/<table>/<id>`. */
import type {
  ClusterSpec,
  FaultView,
  MachinePlacement,
  NodeState,
  RedeploymentView,
  RingConfiguration,
  Role,
  Seed,
  SelfTestResult,
} from '@skep/contract';
import type { AssignedDirectories, SlotAddresses } from '../ports/launcher.ts';

export interface AboutRow {
  readonly name: string;
  readonly uid: string;
  readonly spec: ClusterSpec;
  readonly state: 'active' | 'deleting';
  readonly createdAtMs: number;
  /** Ordinals are never used twice. */
  readonly nextPeer: number;
  /** Missing before the first bootstrap slot is added. */
  readonly nextBootstrap?: number;
  /** Missing before the first index slot is added. */
  readonly nextIndex?: number;
  /** Missing before the first fault. */
  readonly nextFault?: number;
}

export interface LeaseRow {
  /** 0 before the first lease. */
  readonly term: number;
  /** A slot@generation, or `watchdog`; empty before the first lease. */
  readonly holder: string;
  readonly untilMs: number;
}

export interface SlotRow {
  readonly slot: string;
  readonly role: Role;
  readonly ordinal: number;
  readonly addresses: SlotAddresses;
  /** The generation that everyone accepts; older ones are fenced. */
  readonly generation: number;
  /** Bootstrap slots that it joins the DHT through; missing for all. */
  readonly bootstrap?: readonly string[];
  /** Its redeployment was cancelled: only an operator has it filled again. */
  readonly held?: true;
  /** It is being removed: nothing is launched or redeployed in it any more. */
  readonly leaving?: true;
}

/** One machine's life: (slot, generation). Generations before the slot's own are fenced. */
export interface MachineRow {
  readonly slot: string;
  readonly generation: number;
  readonly attempt: number;
  readonly state: NodeState;
  readonly reason?: string;
  /** The credential that the present attempt joined with; missing until then. */
  readonly tokenSha256?: string;
  /** The runner's name of it. */
  readonly name?: string;
  /** When the present attempt was decided, then launched, then joined. */
  readonly sinceMs: number;
  /** Its events up to this sequence are in the journal. */
  readonly eventsTaken: number;
  /** Proven: no process of any of its attempts lives or will. */
  readonly gone: boolean;
  /** It starts with an empty disk, not with what its slot's disk held. */
  readonly emptyDisk?: true;
  /** Of the present attempt. */
  readonly placement?: MachinePlacement;
  /**
   * The spare that its first attempt took over: until it is gone, the launcher knows the machine by that name only.
   * A spare's machine lives in one slot at most, ever.
   */
  readonly livesIn?: Attempt;
  /** Of a spare's assignment that the launcher has readied. */
  readonly directories?: AssignedDirectories;
  /** Since when its replacement is asked for and refused, and when last. */
  readonly asked?: { readonly sinceMs: number; readonly lastMs: number };
}

export type RedeploymentRow = RedeploymentView;

export interface TorrentRow {
  readonly infoHash: string;
  readonly name: string;
  readonly magnet: string;
  readonly lengthBytes: number;
  /** The .torrent in base64; missing if it lies in parts. */
  readonly metainfo?: string;
  /** In how many rows of its own the .torrent lies. */
  readonly metainfoParts?: number;
  readonly seeds: readonly Seed[];
  readonly leeches: 'all' | readonly string[];
}

/** One row's worth of a .torrent, in base64. */
export interface MetainfoPartRow {
  readonly infoHash: string;
  readonly part: number;
  readonly base64: string;
}

export interface FaultRow extends FaultView {
  /** Of a pause: the machines that stand still. */
  readonly machines?: readonly Attempt[];
  /** Whom it, or its end, is still to strike: a commit has room for so many. */
  readonly left?: readonly Attempt[];
}

/** A run of the self-tests. */
export interface TestRow {
  readonly id: string;
  readonly state: 'running' | 'done';
  readonly startedAtMs: number;
  readonly untilMs: number;
  /** Keys of the machines that are tested, by role and ordinal. */
  readonly machines: readonly string[];
}

/** What one machine told of one run. */
export interface TestResultRow extends Omit<SelfTestResult, 'checks'> {
  /** The id of the run. */
  readonly test: string;
  readonly checks: readonly SelfTestResult['checks'][number][];
}

/** One attempt at one generation of a slot. */
export interface Attempt {
  readonly slot: string;
  readonly generation: number;
  readonly attempt: number;
}

/** Something that the reconciler is to do to the world, and then say so. */
export interface EffectRow extends Attempt {
  readonly kind: 'assign' | 'kill' | 'launch' | 'pause' | 'resume' | 'stop';
  /** Of a kill: what was not synced yet goes too. */
  readonly power?: true;
  /** A launch waits for this (back-off); a stop lets the machine end by itself until then (drain). */
  readonly notBeforeMs: number;
}

export interface Tables {
  about: AboutRow;
  lease: LeaseRow;
  ring: RingConfiguration;
  slots: SlotRow;
  machines: MachineRow;
  redeployments: RedeploymentRow;
  torrents: TorrentRow;
  effects: EffectRow;
  faults: FaultRow;
  tests: TestRow;
  testResults: TestResultRow;
  metainfoParts: MetainfoPartRow;
}

export type TableName = keyof Tables;

/** Id of the only row of a table that has one. */
export const single = 'one';

export function machineKey(slot: string, generation: number): string {
  return `${slot}@${generation}`;
}

/** `machine`: its key. */
export function metainfoPartKey(infoHash: string, part: number): string {
  return `${infoHash}/${digits(part)}`;
}

export function testResultKey(test: string, machine: string): string {
  return `${test}/${machine}`;
}

const digits = (number: number): string => String(number).padStart(7, '0');

/** Sorts a slot's effects in the order in which they must happen. */
export function effectKey(effect: Attempt & Pick<EffectRow, 'kind'>): string {
  const { kind, slot, generation, attempt } = effect;
  return `${slot}/${digits(generation)}.${digits(attempt)}.${kind}`;
}
