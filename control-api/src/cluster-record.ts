/** One cluster's rows in memory, with their versions: what decisions read, kept equal to the store. */
import type { RingConfiguration } from '@skep/contract';
import type { Change, ClusterState } from './decisions/decision.ts';
import {
  type AboutRow,
  type EffectRow,
  type FaultRow,
  type LeaseRow,
  type MachineRow,
  type MetainfoPartRow,
  machineKey,
  type RedeploymentRow,
  type SlotRow,
  single,
  type TableName,
  type Tables,
  type TestResultRow,
  type TestRow,
  type TorrentRow,
} from './decisions/rows.ts';
import type { Row } from './ports/store.ts';

const tableNames: readonly TableName[] = [
  'about',
  'lease',
  'ring',
  'slots',
  'machines',
  'redeployments',
  'torrents',
  'effects',
  'faults',
  'tests',
  'testResults',
  'metainfoParts',
];

const bearsOnNoCommand: ReadonlySet<TableName> = new Set([
  'lease',
  'effects',
  'redeployments',
  'testResults',
  'metainfoParts',
]);

type Maps = { readonly [T in TableName]: Map<string, Tables[T]> };

export class ClusterRecord implements ClusterState {
  readonly uid: string;
  /** Lamport time of the control API in this cluster. */
  lamport = 0;
  /** Grows with every change of what commands are derived from. */
  commandEpoch = 0;
  /** Deleted: nothing is in the store any more. */
  ended = false;
  readonly #maps = Object.fromEntries(tableNames.map((table) => [table, new Map()])) as unknown as Maps;
  readonly #versions = new Map<string, number>();
  /** Machine keys by the hash of the credential they joined with. */
  readonly #byToken = new Map<string, string>();

  constructor(uid: string) {
    this.uid = uid;
  }

  static prefix(uid: string): string {
    return `cluster/${uid}/`;
  }

  get about(): AboutRow {
    return this.#maps.about.get(single)!;
  }
  get lease(): LeaseRow {
    return this.#maps.lease.get(single)!;
  }
  get ring(): RingConfiguration {
    return this.#maps.ring.get(single)!;
  }
  get slots(): ReadonlyMap<string, SlotRow> {
    return this.#maps.slots;
  }
  get machines(): ReadonlyMap<string, MachineRow> {
    return this.#maps.machines;
  }
  get redeployments(): ReadonlyMap<string, RedeploymentRow> {
    return this.#maps.redeployments;
  }
  get torrents(): ReadonlyMap<string, TorrentRow> {
    return this.#maps.torrents;
  }
  get effects(): ReadonlyMap<string, EffectRow> {
    return this.#maps.effects;
  }
  get faults(): ReadonlyMap<string, FaultRow> {
    return this.#maps.faults;
  }
  get tests(): ReadonlyMap<string, TestRow> {
    return this.#maps.tests;
  }
  get metainfoParts(): ReadonlyMap<string, MetainfoPartRow> {
    return this.#maps.metainfoParts;
  }
  get testResults(): ReadonlyMap<string, TestResultRow> {
    return this.#maps.testResults;
  }

  machineByToken(tokenSha256: string): MachineRow | undefined {
    const key = this.#byToken.get(tokenSha256);
    return key === undefined ? undefined : this.#maps.machines.get(key);
  }

  key(table: TableName, id: string): string {
    return `${ClusterRecord.prefix(this.uid)}${table}/${id}`;
  }

  /** 0 if there is no such row. */
  version(key: string): number {
    return this.#versions.get(key) ?? 0;
  }

  /** Every row's key and version. */
  rows(): IterableIterator<[string, number]> {
    return this.#versions.entries();
  }

  /** Takes over the rows of the store as they are. */
  load(rows: readonly Row[]): void {
    for (const map of Object.values(this.#maps)) map.clear();
    this.#versions.clear();
    this.#byToken.clear();
    this.commandEpoch += 1;
    for (const { key, version, value } of rows) {
      const [table, ...id] = key.slice(ClusterRecord.prefix(this.uid).length).split('/');
      if (!(tableNames as readonly string[]).includes(table!)) continue;
      this.#set(table as TableName, id.join('/'), value);
      this.#versions.set(key, version);
    }
  }

  /** Takes over a change that was committed. */
  apply(change: Change): void {
    if (this.#bearsOnCommands(change)) this.commandEpoch += 1;
    const { table, id, value } = change;
    const key = this.key(table, id);
    if (value !== undefined) {
      this.#set(table, id, value);
      this.#versions.set(key, this.version(key) + 1);
      return;
    }
    if (table === 'machines') this.#forgetToken(id);
    this.#maps[table].delete(id);
    this.#versions.delete(key);
  }

  /** Most commits are of leases, of effects, and of which events of a machine were taken. */
  #bearsOnCommands({ table, id, value }: Change): boolean {
    if (bearsOnNoCommand.has(table)) return false;
    if (table !== 'machines') return true;
    const before = this.#maps.machines.get(id);
    return (
      before?.state !== value?.state ||
      before?.reason !== value?.reason ||
      before?.directories !== value?.directories
    );
  }

  #set(table: TableName, id: string, value: unknown): void {
    if (table === 'machines') this.#forgetToken(id);
    (this.#maps[table] as Map<string, unknown>).set(id, value);
    if (table !== 'machines') return;
    const { tokenSha256, slot, generation } = value as MachineRow;
    if (tokenSha256 !== undefined) this.#byToken.set(tokenSha256, machineKey(slot, generation));
  }

  #forgetToken(id: string): void {
    const { tokenSha256 } = this.#maps.machines.get(id) ?? {};
    if (tokenSha256 !== undefined) this.#byToken.delete(tokenSha256);
  }
}
