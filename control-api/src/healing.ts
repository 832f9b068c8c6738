/**
 * Redeployment as leaders and the watchdog ask for it, and the watchdog itself: a timer over pure decisions, which
 * looks at once where the evidence of a death shows that a majority is lost.
 */
import type { Clock, Timer } from '@skep/p2p-core/host';
import type { ClusterRecord } from './cluster-record.ts';
import type { Clusters } from './clusters.ts';
import { currentMachine } from './decisions/decision.ts';
import { isHeld } from './decisions/lease.ts';
import { decideRedeployNode } from './decisions/operator.ts';
import { decideRedeployment, type RedeploymentAsk } from './decisions/redeployment.ts';
import { machineKey, type RedeploymentRow } from './decisions/rows.ts';
import { decideSpareSilent } from './decisions/spare-renewal.ts';
import { decideWatchdog, lostVoters, watchdogHolder } from './decisions/watchdog.ts';
import { Hearing, latenessMs } from './hearing.ts';
import type { Liveness } from './liveness.ts';
import { ProblemError } from './problems.ts';
import type { Silence } from './silence.ts';
import { silenceTopic, type Wakeups } from './wakeups.ts';

const tickMs = 250;
/** A machine that reported within this many intervals is heard, and let finish. */
const heardIntervals = 2;

/** What the control API itself knows of a machine that is to be replaced. */
type Observed = Pick<RedeploymentAsk, 'heard' | 'heardAgoMs' | 'drainMs' | 'reportedTerm' | 'sparesHeard'>;
type Asked = Omit<RedeploymentAsk, keyof Observed>;

export interface HealingComponents {
  readonly clock: Clock;
  readonly clusters: Clusters;
  readonly liveness: Liveness;
  readonly silence: Silence;
  readonly wakeups: Wakeups;
}

export class Healing {
  readonly #components: HealingComponents;
  readonly #drainMs: number;
  readonly #onTrouble: (message: string) => void;
  readonly #busy = new Set<ClusterRecord>();
  /** To be looked at once more as soon as the look that is under way is over. */
  readonly #again = new Set<ClusterRecord>();
  /** Voters that were dead by evidence when last a row changed. */
  readonly #lost = new WeakMap<ClusterRecord, number>();
  readonly #hearing: Hearing;
  /** When a node, and not the watchdog, was last seen to lead. */
  readonly #ledAtMs = new WeakMap<ClusterRecord, number>();
  #timer: Timer | undefined;
  #unsubscribe: () => void = () => undefined;

  constructor(
    components: HealingComponents,
    options: { readonly drainMs: number; readonly onTrouble: (message: string) => void },
  ) {
    this.#components = components;
    this.#hearing = new Hearing(components.liveness, tickMs);
    this.#drainMs = options.drainMs;
    this.#onTrouble = options.onTrouble;
  }

  start(): void {
    const { clusters } = this.#components;
    this.#hearing.start(clusters.now());
    this.#unsubscribe = clusters.onChange((record) => this.#onChange(record));
    this.#tick();
  }

  stop(): void {
    this.#unsubscribe();
    this.#again.clear();
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  /** Rejects ProblemError as decideRedeployment refuses. */
  redeploy(record: ClusterRecord, ask: Asked): Promise<RedeploymentRow> {
    return this.#components.clusters.transact(record, (state, now) =>
      decideRedeployment(state, { ...ask, ...this.#observed(record, ask, now) }, now),
    );
  }

  /** As an operator wants it. Rejects ProblemError as decideRedeployNode refuses. */
  redeployNode(record: ClusterRecord, slot: string): Promise<RedeploymentRow> {
    return this.#components.clusters.transact(record, (state, now) => {
      const generation = state.slots.get(slot)?.generation ?? 0;
      return decideRedeployNode(state, { slot, ...this.#observed(record, { slot, generation }, now) }, now);
    });
  }

  #observed(record: ClusterRecord, machine: { slot: string; generation: number }, now: number): Observed {
    const heardAtMs = this.#components.liveness.of(record.uid, machine)?.atMs;
    const heardAgoMs = heardAtMs === undefined ? undefined : now - heardAtMs;
    const dead = record.machines.get(machineKey(machine.slot, machine.generation))?.state === 'dead';
    const recentMs = heardIntervals * record.about.spec.reportIntervalMs;
    return {
      heard: !dead && heardAgoMs !== undefined && heardAgoMs <= recentMs,
      ...(heardAgoMs === undefined ? {} : { heardAgoMs }),
      drainMs: this.#drainMs,
      reportedTerm: this.reportedTerm(record),
      ...this.#sparesHeard(record, now),
    };
  }

  #sparesHeard(record: ClusterRecord, now: number): Pick<Observed, 'sparesHeard'> {
    if (record.about.spec.spares === 0) return {};
    const sinceMs = now - latenessMs(record);
    return { sparesHeard: this.#components.liveness.heardSince(record.uid, 'spare', sinceMs) };
  }

  /** The highest term that a bootstrap node has reported. */
  reportedTerm(record: ClusterRecord): number {
    const terms = record.ring.members.map(
      (member) => this.#components.liveness.of(record.uid, member)?.report.ring?.term ?? 0,
    );
    return Math.max(0, ...terms);
  }

  #tick(): void {
    this.#timer = this.#components.clock.setTimer(tickMs, () => this.#tick());
    this.#hearing.tick(this.#components.clusters.now());
    for (const record of this.#components.clusters.all()) this.#look(record);
  }

  /** A look for each death, not for each change: what the watchdog does changes rows too. */
  #onChange(record: ClusterRecord): void {
    if (record.ended) return;
    const { lost, canElect } = lostVoters(record);
    const before = this.#lost.get(record) ?? 0;
    this.#lost.set(record, lost);
    if (lost <= before || canElect) return;
    if (this.#busy.has(record)) this.#again.add(record);
    else this.#look(record);
  }

  #look(record: ClusterRecord): void {
    if (this.#busy.has(record)) return;
    this.#busy.add(record);
    this.#watch(record)
      .catch((error) => {
        const expected = error instanceof ProblemError;
        if (!expected) this.#onTrouble(`the watchdog could not act: ${String(error)}`);
      })
      .finally(() => {
        this.#busy.delete(record);
        if (this.#again.delete(record)) this.#look(record);
      });
  }

  async #watch(record: ClusterRecord): Promise<void> {
    const { clusters, silence } = this.#components;
    this.#lookForSilence(record, clusters.now());
    // Each decision may have waited for the store, or with the whole process: who is silent is asked when it is taken.
    for (const spare of silence.sparesOf(record)) {
      await clusters.transact(record, (state, now) => {
        this.#lookForSilence(record, now);
        const isSilent = silence.sparesOf(record).some(({ slot }) => slot === spare.slot);
        return isSilent ? decideSpareSilent(state, spare, now) : { answer: undefined };
      });
    }
    const order = await clusters.transact(record, (state, now) => {
      const { sinceMs, silenceSinceMs } = this.#hearing.of(record, now);
      const silent = this.#silent(record, silenceSinceMs, now);
      return decideWatchdog(state, silent, Math.max(sinceMs, this.#ledMs(record, now)), now);
    });
    for (const victim of order?.victims ?? []) {
      try {
        await this.redeploy(record, { ...victim, cause: 'silence', term: order!.term, by: watchdogHolder });
      } catch (error) {
        // A budget or a race; the next tick looks again.
        if (!(error instanceof ProblemError)) throw error;
      }
    }
  }

  #lookForSilence(record: ClusterRecord, now: number): void {
    const { silence, wakeups } = this.#components;
    const { silenceSinceMs } = this.#hearing.of(record, now);
    if (silence.look(record, silenceSinceMs, now)) wakeups.wake(silenceTopic(record.uid));
  }

  #ledMs(record: ClusterRecord, now: number): number {
    const { lease } = record;
    if (isHeld(lease, now) && lease.holder !== watchdogHolder) this.#ledAtMs.set(record, now);
    return this.#ledAtMs.get(record) ?? 0;
  }

  /**
   * Bootstrap slots unheard for longer than the grace and the watchdog's own patience together, counted from
   * when their next report was due: a held one may be as old as the interval.
   */
  #silent(record: ClusterRecord, silenceSinceMs: number, now: number): ReadonlySet<string> {
    const { graceMs, watchdogMs, reportIntervalMs } = record.about.spec;
    const silent = new Set<string>();
    for (const slot of record.slots.values()) {
      if (slot.role !== 'bootstrap') continue;
      const machine = currentMachine(record, slot);
      if (machine.tokenSha256 === undefined) continue;
      const heardAtMs = this.#components.liveness.of(record.uid, machine)?.atMs;
      const sinceMs = Math.max(heardAtMs ?? machine.sinceMs, silenceSinceMs);
      if (now - sinceMs > reportIntervalMs + graceMs + watchdogMs) silent.add(slot.slot);
    }
    return silent;
  }
}
