/** Takes agents' reports, and holds the answer back until there is something to say. */
import type { AgentConfig, Command, Report, ReportAnswer } from '@skep/contract';
import type { Clock } from '@skep/p2p-core/host';
import type { ClusterRecord } from './cluster-record.ts';
import { type Clusters, gone } from './clusters.ts';
import { commandsFor, revisionOf, type Silent } from './decisions/commands.ts';
import type { Surroundings } from './decisions/conditions.ts';
import { changesAnything, decideReport, isOver } from './decisions/report.ts';
import { type MachineRow, machineKey } from './decisions/rows.ts';
import { becoming } from './decisions/spares.ts';
import type { Liveness } from './liveness.ts';
import { ProblemError } from './problems.ts';
import type { SelfTests } from './self-tests.ts';
import type { Silence } from './silence.ts';
import { rowsTopic, silenceTopic, viewTopic, type Wakeups } from './wakeups.ts';

export interface AgentReportsComponents {
  readonly clock: Clock;
  readonly clusters: Clusters;
  readonly liveness: Liveness;
  readonly silence: Silence;
  readonly selfTests: SelfTests;
  readonly wakeups: Wakeups;
  readonly surroundings: () => Surroundings;
  /** What the machine of a row is started with; holds its secrets. */
  readonly configFor: (record: ClusterRecord, machine: MachineRow) => AgentConfig;
  /** SHA-256 to hexadecimal. */
  readonly hash: (text: string) => string;
}

/** The name of a machine's commands, and what they were derived from. */
interface Revision {
  readonly name: string;
  readonly epoch: number;
  readonly surroundings: Surroundings;
  readonly silent: readonly Silent[];
}

const none: readonly Silent[] = [];

export class AgentReports {
  readonly #components: AgentReportsComponents;
  /** The newest report of each machine; an older one still held is let go. */
  readonly #newest = new Map<string, symbol>();
  /** By a machine's row as it is now: hashing every machine's commands at every change would be most of the work. */
  readonly #revisions = new WeakMap<MachineRow, Revision>();

  constructor(components: AgentReportsComponents) {
    this.#components = components;
  }

  /** The caller must be `report.machine`. Rejects ProblemError `generation-over`, or `not-found` once the cluster ended. */
  async answer(record: ClusterRecord, report: Report, signal: AbortSignal): Promise<ReportAnswer> {
    const { clusters, liveness, selfTests, wakeups } = this.#components;
    const eventsTaken = await this.#take(record, report);
    if (report.selfTest !== undefined) await selfTests.take(record, report.machine, report.selfTest);
    // It may have come to be over meanwhile; then nothing is kept of it.
    this.#machine(record, report);
    liveness.record(record.uid, report, clusters.now());
    clusters.mergeLamport(record, report.lamport);
    wakeups.wake(viewTopic(record.uid));
    const answer = await this.#whenDue(record, report, eventsTaken, signal);
    return { ...answer, lamport: record.lamport };
  }

  async #take(record: ClusterRecord, report: Report): Promise<number> {
    const machine = this.#machine(record, report);
    if (!changesAnything(machine, report)) return machine.eventsTaken;
    const { clusters } = this.#components;
    const { eventsTaken } = await clusters.transact(record, (state, now) => decideReport(state, report, now));
    return eventsTaken;
  }

  async #whenDue(
    record: ClusterRecord,
    report: Report,
    eventsTaken: number,
    signal: AbortSignal,
  ): Promise<Omit<ReportAnswer, 'lamport'>> {
    const { clock, wakeups } = this.#components;
    const dueMs = clock.now() + (report.events.length > 0 ? 0 : report.waitMs);
    const key = `${record.uid}/${machineKey(report.machine.slot, report.machine.generation)}`;
    const self = Symbol(key);
    this.#newest.set(key, self);
    wakeups.wake(key);
    try {
      for (;;) {
        const machine = this.#machine(record, report);
        const revision = this.#revision(record, machine);
        if (revision !== report.revision) {
          return { revision, eventsTaken, commands: [...this.#commands(record, machine)] };
        }
        const leftMs = dueMs - clock.now();
        const unheeded = signal.aborted || wakeups.closed || this.#newest.get(key) !== self;
        if (leftMs <= 0 || unheeded) return { revision, eventsTaken };
        await wakeups.wait([rowsTopic(record.uid), silenceTopic(record.uid), key], leftMs, signal);
      }
    } finally {
      if (this.#newest.get(key) === self) this.#newest.delete(key);
    }
  }

  #commands(record: ClusterRecord, machine: MachineRow): readonly Command[] {
    const { clusters, surroundings, configFor } = this.#components;
    const other = becoming(record, machine);
    if (other?.directories !== undefined) return [{ kind: 'become', config: configFor(record, other) }];
    return commandsFor(record, machine, surroundings(), clusters.now(), this.#silent(record, machine));
  }

  /** Always that of `#commands`. */
  #revision(record: ClusterRecord, machine: MachineRow): string {
    const basis = {
      epoch: record.commandEpoch,
      surroundings: this.#components.surroundings(),
      silent: this.#silent(record, machine),
    };
    const known = this.#revisions.get(machine);
    if (
      known?.epoch === basis.epoch &&
      known.surroundings === basis.surroundings &&
      known.silent === basis.silent
    ) {
      return known.name;
    }
    const name = revisionOf(this.#commands(record, machine), this.#components.hash);
    this.#revisions.set(machine, { ...basis, name });
    return name;
  }

  /** Whom nobody hears is the ring's concern only. */
  #silent(record: ClusterRecord, { slot }: MachineRow): readonly Silent[] {
    return record.slots.get(slot)?.role === 'bootstrap' ? this.#components.silence.of(record) : none;
  }

  #machine(record: ClusterRecord, report: Report) {
    if (record.ended) throw gone(record);
    const { slot, generation } = report.machine;
    const machine = record.machines.get(machineKey(slot, generation));
    if (machine !== undefined && !isOver(record, machine, report.attempt)) return machine;
    const current = record.slots.get(slot)?.generation;
    throw new ProblemError({
      code: 'generation-over',
      detail: `${slot}@${generation} is over: stop; another one has its place`,
      ...(current === undefined ? {} : { current }),
    });
  }
}
