/**
 * Carries out effects: what was decided is done to the world, and then said to be done. Every step can be
 * repeated, so a crash between deciding, doing and saying loses and doubles nothing. A slot's effects happen
 * one after the other, those of different slots side by side.
 */
import type { Clock, Random, Timer } from '@skep/p2p-core/host';
import type { ClusterRecord } from './cluster-record.ts';
import type { Clusters } from './clusters.ts';
import { type ClusterState, currentMachine, type Decision } from './decisions/decision.ts';
import { decideDelete, isEnded } from './decisions/deletion.ts';
import { decideDone } from './decisions/faults.ts';
import {
  decideAssigned,
  decideExit,
  decideGivenUp,
  decideLaunched,
  decideLaunchTrouble,
  decideStopped,
} from './decisions/machine-life.ts';
import { placementCount } from './decisions/placement.ts';
import { type Attempt, type EffectRow, effectKey, machineKey } from './decisions/rows.ts';
import { dwellerOf, livesInSpare, refOf } from './decisions/spares.ts';
import {
  LaunchError,
  type Launcher,
  type LaunchRequest,
  type MachineExit,
  type MachineRef,
} from './ports/launcher.ts';
import { ProblemError } from './problems.ts';
import { rowsTopic, type Wakeups } from './wakeups.ts';

export interface ReconcilerComponents {
  readonly clock: Clock;
  readonly random: Random;
  readonly clusters: Clusters;
  readonly launcher: Launcher;
  readonly wakeups: Wakeups;
}

export interface ReconcilerOptions {
  readonly machineRef: (machine: Omit<MachineRef, 'token'>) => MachineRef;
  readonly configFor: (state: ClusterState, machine: MachineRef) => LaunchRequest['config'];
  /** How long a machine told to end is given before it is made to. */
  readonly stopGraceMs: number;
  /** How long a launched machine may take to join before the next attempt. */
  readonly joinTimeoutMs: number;
  readonly onTrouble: (message: string) => void;
}

type Doing = (state: ClusterState, now: number) => Decision<undefined>;

/** Launches and stops under way at once, where the launcher does not say. */
const defaultMostAtOnce = 32;
const firstBackOffMs = 100;
const longestBackOffMs = 10_000;
const longestAttemptBackOffMs = 30_000;
const tickMs = 500;
/** A spare that was assigned is at work within a second; one that is not for the grace, or this if it is longer, is given up. */
const shortestPatienceMs = 5_000;
/** Long enough for streams to read a cluster's last event. */
const sweepEveryTicks = 20;

export class Reconciler {
  readonly #components: ReconcilerComponents;
  readonly #options: ReconcilerOptions;
  readonly #working = new Map<string, Promise<void>>();
  readonly #queue: (() => void)[] = [];
  #underWay = 0;
  #stopped = false;
  #ticks = 0;
  #timer: Timer | undefined;
  #kickTimer: Timer | undefined;
  readonly #kicked = new Set<ClusterRecord>();
  #unsubscribe: (() => void)[] = [];

  constructor(components: ReconcilerComponents, options: ReconcilerOptions) {
    this.#components = components;
    this.#options = options;
  }

  /** Adopts what lives, ends what nobody wants, learns what died meanwhile, and takes up what was not finished. */
  async start(): Promise<void> {
    const { clusters, launcher } = this.#components;
    this.#unsubscribe = [
      launcher.watch((exit) => void this.#onExit(exit)),
      clusters.onChange((record) => this.#kick(record)),
    ];
    await this.#adopt();
    for (const record of clusters.all()) this.#kick(record);
    this.#tick();
  }

  /** Begins nothing more; what is under way is given a moment to finish. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#timer?.cancel();
    this.#kickTimer?.cancel();
    for (const end of this.#unsubscribe) end();
    for (const go of this.#queue.splice(0)) go();
    const settled = Promise.allSettled([...this.#working.values()]);
    const moment = new Promise((resolve) => this.#components.clock.setTimer(1_000, () => resolve(undefined)));
    await Promise.race([settled, moment]);
  }

  async #adopt(): Promise<void> {
    const { clusters, launcher } = this.#components;
    const living = await launcher.list();
    const tokens = new Set(living.map(({ machine }) => machine.token));
    for (const { machine } of living) {
      const record = clusters.all().find(({ uid }) => uid === machine.clusterUid);
      if (record !== undefined && isWanted(record, machine)) continue;
      this.#options.onTrouble(`ending ${machine.slot}@${machine.generation}, which no cluster wants`);
      this.#work(`unwanted/${machine.token}`, () => this.#gated(() => this.#stopMachine(machine)));
    }
    for (const record of clusters.all()) {
      for (const slot of record.slots.values()) {
        const machine = currentMachine(record, slot);
        const ref = this.#launcherRef(record, machine);
        const launched =
          machine.name !== undefined || machine.tokenSha256 !== undefined || livesInSpare(machine);
        if (!launched || machine.gone || tokens.has(ref.token)) continue;
        await this.#onExit({ machine: ref, evidence: 'gone when the control API came back' });
      }
    }
  }

  #kick(record: ClusterRecord): void {
    this.#components.wakeups.wake(rowsTopic(record.uid));
    if (record.ended || this.#stopped) return;
    this.#kicked.add(record);
    this.#kickTimer ??= this.#components.clock.setTimer(0, () => {
      this.#kickTimer = undefined;
      const records = [...this.#kicked];
      this.#kicked.clear();
      for (const kicked of records) this.#look(kicked);
    });
  }

  #look(record: ClusterRecord): void {
    if (record.ended) return;
    if (isEnded(record)) {
      this.#work(`${record.uid}/end`, () => this.#end(record));
      return;
    }
    if (record.about.state === 'deleting')
      this.#work(`${record.uid}/delete`, () => this.#transact(record, decideDelete));
    for (const slot of new Set([...record.effects.values()].map((effect) => effect.slot))) {
      this.#work(`${record.uid}/${slot}`, () => this.#workOff(record, slot));
    }
  }

  /** Runs one worker a key at a time. */
  #work(key: string, worker: () => Promise<void>): void {
    if (this.#working.has(key) || this.#stopped) return;
    const done = this.#persist(worker).finally(() => this.#working.delete(key));
    this.#working.set(key, done);
  }

  async #workOff(record: ClusterRecord, slot: string): Promise<void> {
    for (;;) {
      const effect = firstEffect(record, slot);
      // Another process may have ended the cluster, whose effects are then nobody's.
      if (effect === undefined || this.#stopped || record.ended) return;
      if (effect.kind === 'launch' || effect.kind === 'assign') await this.#launch(record, effect);
      else if (effect.kind === 'stop') await this.#stop(record, effect);
      else await this.#disturb(record, effect);
    }
  }

  async #launch(record: ClusterRecord, effect: EffectRow): Promise<void> {
    const { clusters } = this.#components;
    if (!(await this.#until(record, effect, () => false))) return;
    try {
      const done = await this.#gated(() => this.#make(record, effect));
      await this.#transact(record, done);
    } catch (error) {
      if (this.#stopped || record.ended) return;
      const reason = messageOf(error);
      const code = error instanceof LaunchError ? error.code : undefined;
      if (code === 'called-off' || code === 'no-capacity') {
        // It is certain that there is no machine: only when all placements were tried is there need to wait.
        const round = effect.attempt / (code === 'no-capacity' ? placementCount(record.about.spec) : 1);
        const backOffMs = Number.isInteger(round) ? this.#attemptBackOffMs(round) : 0;
        await this.#giveUp(record, effect, reason, backOffMs);
        return;
      }
      await clusters.transact(record, (state) => decideLaunchTrouble(state, effect, reason));
      throw error;
    }
  }

  /** Has the launcher make the machine, or a spare ready to become it, and resolves with what follows from that. */
  async #make(record: ClusterRecord, effect: EffectRow): Promise<Doing> {
    const { launcher } = this.#components;
    const machine = this.#ref(record, effect);
    const { emptyDisk, placement } = record.machines.get(machineKey(effect.slot, effect.generation)) ?? {};
    const request: LaunchRequest = {
      machine,
      config: this.#options.configFor(record, machine),
      ephemeral: record.about.spec.ephemeral,
      ...(emptyDisk ? { emptyDisk } : {}),
      ...(placement === undefined ? {} : { placement }),
    };
    if (effect.kind === 'launch') {
      const { name } = await launcher.launch(request);
      return (state, now) => decideLaunched(state, effect, name, now);
    }
    if (launcher.assign === undefined) throw new LaunchError('called-off', 'this runner keeps no spares');
    const directories = await launcher.assign(this.#launcherRef(record, effect), request);
    return (state, now) => decideAssigned(state, effect, directories, now);
  }

  async #stop(record: ClusterRecord, effect: EffectRow): Promise<void> {
    const machine = this.#launcherRef(record, effect);
    let exited = false;
    const unwatch = this.#components.launcher.watch((exit) => {
      if (exit.machine.token !== machine.token) return;
      exited = true;
      this.#components.wakeups.wake(rowsTopic(record.uid));
    });
    try {
      if (!(await this.#until(record, effect, () => exited))) return;
    } finally {
      unwatch();
    }
    await this.#gated(() => this.#stopMachine(machine));
    await this.#transact(record, (state, now) => decideStopped(state, effect, now));
  }

  /** What a fault does to a machine. */
  async #disturb(record: ClusterRecord, effect: EffectRow): Promise<void> {
    const { launcher } = this.#components;
    const machine = this.#launcherRef(record, effect);
    if (effect.kind === 'kill') await launcher.kill(machine, { power: effect.power ?? false });
    else if (effect.kind === 'pause') await launcher.pause?.(machine);
    else await launcher.resume?.(machine);
    await this.#transact(record, (state) => decideDone(state, effect));
  }

  #stopMachine(machine: MachineRef): Promise<void> {
    return this.#components.launcher.stop(machine, { graceMs: this.#options.stopGraceMs });
  }

  /** Waits for an effect's time, or for `early`. False if it is not wanted any more. */
  async #until(record: ClusterRecord, effect: EffectRow, early: () => boolean): Promise<boolean> {
    const { clusters, wakeups } = this.#components;
    const key = effectKey(effect);
    for (;;) {
      if (this.#stopped || record.ended || !record.effects.has(key)) return false;
      const leftMs = effect.notBeforeMs - clusters.now();
      // What the wall clock says across a restart is not trusted with more than the longest wait there is.
      if (leftMs <= 0 || leftMs > longestAttemptBackOffMs * 2 || early()) return true;
      await wakeups.wait([rowsTopic(record.uid)], leftMs);
    }
  }

  async #end(record: ClusterRecord): Promise<void> {
    const { launcher, clusters } = this.#components;
    await launcher.forget(record.uid);
    if (!this.#stopped) await clusters.end(record);
  }

  async #onExit(exit: MachineExit): Promise<void> {
    const { clusters } = this.#components;
    const record = clusters.all().find(({ uid }) => uid === exit.machine.clusterUid);
    if (record === undefined) return;
    const { machine, evidence } = exit;
    const backOffMs = this.#attemptBackOffMs(machine.attempt);
    await this.#persist(async () => {
      await clusters.transact(record, (state, now) => decideExit(state, machine, evidence, backOffMs, now));
    });
  }

  #tick(): void {
    this.#timer = this.#components.clock.setTimer(tickMs, () => this.#tick());
    const { clusters } = this.#components;
    this.#ticks += 1;
    if (this.#ticks % sweepEveryTicks === 0) this.#work('sweep', () => clusters.sweep());
    for (const record of clusters.all()) {
      if (record.about.state === 'deleting') {
        this.#kick(record);
        continue;
      }
      for (const slot of record.slots.values()) {
        const machine = currentMachine(record, slot);
        const unjoined = machine.name !== undefined && machine.tokenSha256 === undefined && !slot.held;
        if (!unjoined) continue;
        const { joinTimeoutMs } = this.#options;
        const patienceMs = livesInSpare(machine)
          ? Math.min(joinTimeoutMs, Math.max(shortestPatienceMs, record.about.spec.graceMs))
          : joinTimeoutMs;
        if (clusters.now() - machine.sinceMs < patienceMs) continue;
        this.#work(`${record.uid}/${slot.slot}/late`, () =>
          this.#giveUp(record, machine, `did not join within ${patienceMs} ms`),
        );
      }
    }
  }

  /** Goes on to the next attempt, if this one is still the present one and has not joined after all. */
  #giveUp(
    record: ClusterRecord,
    attempt: Attempt,
    reason: string,
    backOffMs = this.#attemptBackOffMs(attempt.attempt),
  ): Promise<void> {
    return this.#transact(record, (state, now) => decideGivenUp(state, attempt, reason, backOffMs, now));
  }

  async #transact(record: ClusterRecord, decide: Doing): Promise<void> {
    if (!this.#stopped && !record.ended) await this.#components.clusters.transact(record, decide);
  }

  /** Repeats what fails, ever less often, until it succeeds or does not matter any more. */
  async #persist(action: () => Promise<void>): Promise<void> {
    for (let failures = 0; !this.#stopped; failures++) {
      try {
        return await action();
      } catch (error) {
        if (error instanceof ProblemError) return;
        if (failures === 0) this.#options.onTrouble(`trying again: ${messageOf(error)}`);
        const ceiling = Math.min(longestBackOffMs, firstBackOffMs * 2 ** Math.min(failures, 10));
        await this.#components.wakeups.wait([], this.#jittered(ceiling));
      }
    }
  }

  /** At most as many of these are under way as the launcher bears. */
  async #gated<T>(action: () => Promise<T>): Promise<T> {
    const { mostAtOnce = defaultMostAtOnce } = this.#components.launcher;
    if (this.#underWay >= mostAtOnce) await new Promise<void>((go) => this.#queue.push(go));
    if (this.#stopped) throw new Error('the control API is stopping');
    this.#underWay += 1;
    try {
      return await action();
    } finally {
      this.#underWay -= 1;
      this.#queue.shift()?.();
    }
  }

  /** Who it is. */
  #ref(record: ClusterRecord, { slot, generation, attempt }: Attempt): MachineRef {
    return this.#options.machineRef({ clusterUid: record.uid, slot, generation, attempt });
  }

  /** By what name the launcher knows it. */
  #launcherRef(record: ClusterRecord, machine: Attempt): MachineRef {
    return this.#ref(record, refOf(record, machine));
  }

  #attemptBackOffMs(attempt: number): number {
    return this.#jittered(Math.min(longestAttemptBackOffMs, firstBackOffMs * 2 ** Math.min(attempt, 12)));
  }

  #jittered(ceilingMs: number): number {
    return ceilingMs * (0.5 + this.#components.random.float() / 2);
  }
}

function firstEffect(record: ClusterRecord, slot: string): EffectRow | undefined {
  let first: string | undefined;
  for (const [key, effect] of record.effects) {
    if (effect.slot === slot && (first === undefined || key < first)) first = key;
  }
  return first === undefined ? undefined : record.effects.get(first);
}

/** Whether the rows have this machine: as the present one of its slot, or as one still to be stopped. */
function isWanted(record: ClusterRecord, ref: MachineRef): boolean {
  const machine = dwellerOf(record, ref);
  const row = record.machines.get(machineKey(machine.slot, machine.generation));
  const present = row?.attempt === machine.attempt && !row.gone;
  return present || record.effects.has(effectKey({ ...machine, kind: 'stop' }));
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
