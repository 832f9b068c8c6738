/**
 * All that can happen next in a state of the model. Whoever asks is as unkind as can be: every machine that ever
 * joined may ask for anything in any order, late, twice, after its death; launches land late; the control API may
 * crash between doing and saying, which is why both are steps of their own.
 */
import type { MachineId, Report, SlotName } from '@skep/contract';
import type { Change, Decided, Decision } from '../../control-api/src/decisions/decision.ts';
import { currentMachine } from '../../control-api/src/decisions/decision.ts';
import { isHeld } from '../../control-api/src/decisions/lease.ts';
import type { RingReports } from '../../control-api/src/decisions/ring-change.ts';
import {
  type Attempt,
  type EffectRow,
  type MachineRow,
  machineKey,
} from '../../control-api/src/decisions/rows.ts';
import { becoming, dwellerOf, refOf } from '../../control-api/src/decisions/spares.ts';
import { watchdogHolder } from '../../control-api/src/decisions/watchdog.ts';
import type { Rules, Surroundings } from './rules.ts';
import {
  addressesOf,
  type Body,
  bodyKey,
  committed,
  identityOf,
  longAgo,
  type ModelState,
  now,
  withBody,
} from './state.ts';

export interface Bounds {
  readonly generations: number;
  readonly terms: number;
  readonly attempts: number;
  /** Whether disks are lost, so that a machine comes back without its credential. */
  readonly reboots?: boolean;
  /** Whether an operator cancels redeployments and has nodes redeployed. */
  readonly operator?: boolean;
  /** Whether the cluster is deleted. */
  readonly deletion?: boolean;
  /** Whether an operator has slots added to the ring and removed: to so many, and how often one is added. */
  readonly sizes?: { readonly least: number; readonly most: number; readonly added: number };
  /** Whether two processes of the control API decide at once. */
  readonly races?: boolean;
}

/** What happened, as far as invariants ask for it. */
export type Move =
  | { readonly kind: 'world' }
  | { readonly kind: 'rows' }
  | { readonly kind: 'lease'; readonly holder: MachineId }
  | {
      readonly kind: 'ask';
      readonly by: string;
      readonly term: number;
      readonly slot: string;
      readonly generation: number;
      readonly fromGeneration: number;
      readonly toGeneration: number;
    }
  | { readonly kind: 'redeploy-node' }
  | {
      readonly kind: 'join';
      readonly body: Body;
      readonly hasSecret: boolean;
      readonly credential: string;
    }
  | { readonly kind: 'report'; readonly machine: MachineRow };

export interface Step {
  readonly label: string;
  readonly move: Move;
  readonly after: ModelState;
  /** Where a commit overtook it, the state that it left; else where the step began. */
  readonly before?: ModelState;
  /** Nothing goes wrong with it: what heals does so by such steps alone. */
  readonly benign: boolean;
  /** Of a commit: what it wrote, and what it relied on. */
  readonly changes?: readonly Change[];
  readonly guards?: Decided<unknown>['guards'];
}

const secretName = (credential: number): string => ['one', 'two'][credential - 1]!;

export class Steps {
  readonly #rules: Rules;
  readonly #bounds: Bounds;
  #steps: Step[] = [];
  #state!: ModelState;

  constructor(rules: Rules, bounds: Bounds) {
    this.#rules = rules;
    this.#bounds = bounds;
  }

  from(state: ModelState): readonly Step[] {
    this.#steps = [];
    this.#state = state;
    if (this.#rules.decisions.isEnded(state)) {
      // The rows are forgotten; what was begun may still land.
      this.#launcher();
      return this.#steps;
    }
    this.#launcher();
    this.#machines();
    this.#effects();
    this.#agents();
    this.#leaders();
    if (this.#bounds.operator) this.#operator();
    if (this.#bounds.sizes) this.#sizes(this.#bounds.sizes);
    if (this.#bounds.deletion) {
      this.#decided('delete', { kind: 'rows' }, false, this.#rules.decisions.decideDelete(state, now));
    }
    if (this.#bounds.races) this.#races();
    return this.#steps;
  }

  // ---- the world around

  #launcher(): void {
    const { callOffLasts } = this.#rules.surroundings;
    for (const body of this.#state.bodies.values()) {
      const key = bodyKey(body);
      if (body.life === 'asked' || (body.life === 'off' && !callOffLasts)) {
        this.#world(`the launch of ${key} lands`, true, { ...body, life: 'booting' });
      }
    }
  }

  #machines(): void {
    const { reboots } = this.#bounds;
    for (const body of this.#state.bodies.values()) {
      const key = bodyKey(body);
      if (body.life === 'booting') this.#world(`${key} boots`, true, { ...body, life: 'alive' });
      if (body.life !== 'alive') continue;
      const row = this.#rowOf(body);
      const stops = row?.state === 'stopping' && becoming(this.#state, row) === undefined;
      const other = row === undefined ? undefined : becoming(this.#state, row);
      if (other?.directories !== undefined) {
        const as: Attempt = { slot: other.slot, generation: other.generation, attempt: other.attempt };
        this.#world(`${key} becomes ${bodyKey(as)}`, true, { ...body, as });
      }
      if (!this.#mayEnd(identityOf(body))) continue;
      // Refused for its credential, or having said that it stops, it ends itself.
      this.#world(`${key} exits`, stops || body.credential === 2, { ...body, life: 'exited' });
      if (reboots && body.credential === 1) {
        this.#world(`${key} loses its disk`, false, { ...body, credential: 2 });
      }
    }
  }

  #rowOf(body: Body): MachineRow | undefined {
    const { slot, generation } = identityOf(body);
    return this.#state.machines.get(machineKey(slot, generation));
  }

  /** What could not be replaced any more within the bounds does not end by itself. */
  #mayEnd({ slot, generation, attempt }: Attempt): boolean {
    const row = this.#state.slots.get(slot);
    const machine = this.#state.machines.get(machineKey(slot, generation));
    if (row?.generation !== generation || machine?.attempt !== attempt) return true;
    if (this.#state.about.state === 'deleting') return true;
    return machine.tokenSha256 === undefined
      ? attempt < this.#bounds.attempts
      : generation < this.#bounds.generations;
  }

  // ---- the reconciler, which does and then says

  #effects(): void {
    const { surroundings, decisions } = this.#rules;
    const first = new Map<string, string>();
    for (const [key, { slot }] of this.#state.effects) {
      const known = first.get(slot);
      if (known === undefined || key < known) first.set(slot, key);
    }
    for (const [key, effect] of this.#state.effects) {
      if (surroundings.effectsInOrder && first.get(effect.slot) !== key) continue;
      if (effect.kind === 'launch') this.#launch(effect);
      else if (effect.kind === 'assign') this.#assign(effect);
      else if (effect.kind === 'stop') this.#stop(effect);
    }
    for (const body of this.#state.bodies.values()) {
      const ended = body.life === 'exited' || body.life === 'off';
      if (ended || !surroundings.exitsAreTrue) this.#exit(body);
    }
    for (const slot of this.#state.slots.values()) {
      const machine = currentMachine(this.#state, slot);
      const unjoined = machine.name !== undefined && machine.tokenSha256 === undefined && !slot.held;
      if (!unjoined || machine.attempt >= this.#bounds.attempts) continue;
      this.#decided(
        `${bodyKey(machine)} did not join in time`,
        { kind: 'rows' },
        false,
        decisions.decideGivenUp(this.#state, machine, 'late', 0, now),
      );
    }
  }

  #launch(effect: EffectRow): void {
    const { decisions, surroundings } = this.#rules;
    const { slot, generation, attempt } = effect;
    const key = bodyKey(effect);
    const body = this.#state.bodies.get(key);
    const told: Move = { kind: 'rows' };
    if (body === undefined) {
      const asked: Body = { slot, generation, attempt, life: 'asked', credential: 1, twins: 0 };
      this.#world(`${key} is launched`, true, asked);
    } else if (body.life === 'off') {
      if (attempt < this.#bounds.attempts) {
        this.#decided(
          `${key} is told to be called off`,
          told,
          true,
          decisions.decideGivenUp(this.#state, effect, 'called off', 0, now),
        );
      }
    } else if (body.life !== 'asked') {
      this.#decided(
        `${key} is told to be launched`,
        told,
        true,
        decisions.decideLaunched(this.#state, effect, 'machine', now),
      );
      if (!surroundings.tokensAreUnique && body.twins === 0) {
        this.#world(`${key} is launched again`, true, { ...body, twins: 1 });
      }
    }
    this.#decided(
      `the launch of ${key} has no known outcome`,
      told,
      false,
      decisions.decideLaunchTrouble(this.#state, effect, 'no answer'),
    );
  }

  #assign(effect: EffectRow): void {
    const { decisions } = this.#rules;
    const { slot, generation, attempt } = effect;
    const body = this.#state.bodies.get(bodyKey(refOf(this.#state, effect)));
    const told: Move = { kind: 'rows' };
    const isFit = body?.life === 'alive' && bodyKey(body.assigned ?? effect) === bodyKey(effect);
    if (!isFit) {
      if (attempt >= this.#bounds.attempts) return;
      const decision = decisions.decideGivenUp(this.#state, effect, 'called off', 0, now);
      this.#decided(`${bodyKey(effect)} is told to have no spare`, told, true, decision);
    } else if (body.assigned === undefined) {
      const assigned: Attempt = { slot, generation, attempt };
      this.#world(`${bodyKey(body)} is readied for ${bodyKey(effect)}`, true, { ...body, assigned });
    } else {
      const decision = decisions.decideAssigned(this.#state, effect, { dataDirectory: '/' }, now);
      this.#decided(`${bodyKey(effect)} is told to have its spare`, told, true, decision);
    }
  }

  #stop(effect: EffectRow): void {
    const { slot, generation, attempt } = this.#rules.surroundings.sparesAreStopped
      ? refOf(this.#state, effect)
      : effect;
    const key = bodyKey({ slot, generation, attempt });
    const body = this.#state.bodies.get(key);
    const isOver = body?.life === 'off' || body?.life === 'exited';
    if (!isOver) {
      const life = body?.life === 'alive' ? 'exited' : 'off';
      const ended: Body = { slot, generation, attempt, credential: 1, twins: 0, ...body, life };
      this.#world(`${key} is stopped`, true, ended);
    }
    if (isOver || !this.#rules.surroundings.stopsProve) {
      this.#decided(
        `${key} is told to be gone`,
        { kind: 'rows' },
        true,
        this.#rules.decisions.decideStopped(this.#state, effect, now),
      );
    }
  }

  #exit(body: Body): void {
    const { slot, generation, attempt } = dwellerOf(this.#state, body);
    const machine = this.#state.machines.get(machineKey(slot, generation));
    const unjoined = machine?.attempt === attempt && machine.tokenSha256 === undefined;
    if (unjoined && attempt >= this.#bounds.attempts) return;
    this.#decided(
      `${bodyKey(body)} is told to have exited`,
      { kind: 'rows' },
      true,
      this.#rules.decisions.decideExit(this.#state, body, 'exited', 0, now),
    );
  }

  // ---- what machines ask

  #agents(): void {
    const { decisions } = this.#rules;
    for (const body of this.#state.bodies.values()) {
      if (body.life !== 'alive' && body.life !== 'exited') continue;
      const identity = identityOf(body);
      const { slot, generation, attempt } = identity;
      // Its join may have been on its way as it ended.
      if (body.life === 'exited' && generation >= this.#bounds.generations) continue;
      const credential = `${bodyKey(identity)}:${secretName(body.credential)}`;
      for (const hasSecret of [true, false]) {
        const decision = decisions.decideJoin(
          this.#state,
          { machine: { slot, generation }, attempt, joinSecret: '', tokenSha256: credential } as never,
          hasSecret,
          now,
        );
        const move: Move = { kind: 'join', body: { ...body, ...identity }, hasSecret, credential };
        this.#decided(`${credential} joins${hasSecret ? '' : ' without the secret'}`, move, true, decision);
      }
    }
    for (const machine of this.#state.machines.values()) {
      if (machine.tokenSha256 === undefined) continue;
      for (const state of ['serving', 'stopping'] as const) {
        const { slot, generation, attempt } = machine;
        // It says so as it ends.
        if (state === 'stopping' && !this.#mayEnd(machine)) continue;
        const report = { machine: { slot, generation }, attempt, state, events: [] } as unknown as Report;
        const move: Move = { kind: 'report', machine };
        this.#decided(
          `${bodyKey(machine)} reports ${state}`,
          move,
          state === 'serving',
          decisions.decideReport(this.#state, report, now),
        );
      }
    }
  }

  /** Everybody who ever joined, as a leader. */
  #leaders(): void {
    const { decisions } = this.#rules;
    const { lease, slots, machines } = this.#state;
    const askers: string[] = lease.holder === watchdogHolder ? [watchdogHolder] : [];
    for (const { slot, generation, tokenSha256 } of machines.values()) {
      if (tokenSha256 === undefined || slots.get(slot)?.role !== 'bootstrap') continue;
      askers.push(machineKey(slot, generation));
      for (let term = 1; term <= Math.min(lease.term + 1, this.#bounds.terms); term++) {
        const request = { action: 'acquire' as const, holder: { slot, generation }, term };
        this.#decided(
          `${slot}@${generation} asks for the lease of term ${term}`,
          { kind: 'lease', holder: request.holder },
          true,
          decisions.decideLease(this.#state, request as never, now),
        );
      }
    }
    for (const by of askers) {
      for (const term of new Set([lease.term, Math.max(1, lease.term - 1)])) this.#asks(by, term);
    }
    if (isHeld(lease, now) && lease.term < this.#bounds.terms) {
      const ended = { ...lease, untilMs: longAgo };
      this.#steps.push({
        label: `the lease of ${lease.holder} runs out`,
        move: { kind: 'world' },
        benign: true,
        after: { ...this.#state, lease: ended },
      });
    }
    if ([...this.#state.redeployments.values()].some(({ times }) => times.acceptedMs > longAgo))
      this.#minute();
    this.#watchdog();
    this.#spares();
  }

  #spares(): void {
    for (const { slot, generation, role } of this.#state.slots.values()) {
      if (role !== 'spare' || generation >= this.#bounds.generations) continue;
      const machine = { slot: slot as SlotName, generation };
      const decision = this.#rules.decisions.decideSpareSilent(this.#state, machine, now);
      this.#decided(`${slot}@${generation} is heard no more`, { kind: 'rows' }, false, decision);
    }
  }

  #asks(by: string, term: number): void {
    for (const slot of this.#state.slots.values()) {
      if (slot.generation >= this.#bounds.generations && slot.generation > 1) {
        this.#ask(by, term, slot.slot, slot.generation - 1);
        continue;
      }
      if (slot.generation < this.#bounds.generations) this.#ask(by, term, slot.slot, slot.generation);
      if (slot.generation > 1) this.#ask(by, term, slot.slot, slot.generation - 1);
    }
  }

  #ask(by: string, term: number, slot: string, generation: number): void {
    const row = this.#state.slots.get(slot)!;
    for (const sparesHeard of this.#heardSpares()) {
      const how = { cause: 'silence', reason: '', heard: false, drainMs: 0, reportedTerm: 0 } as const;
      const ask = { slot, generation, term, by, ...how, sparesHeard };
      const decision = this.#rules.decisions.decideRedeployment(this.#state, ask, now);
      if (!('answer' in decision)) continue;
      const { fromGeneration, toGeneration } = decision.answer;
      // Whoever is alive is replaced only because something went wrong.
      const dead = currentMachine(this.#state, row).state === 'dead';
      this.#decided(
        `${by} asks under term ${term} to replace ${slot}@${generation}${sparesHeard.size > 0 ? ' by a spare' : ''}`,
        { kind: 'ask', by, term, slot, generation, fromGeneration, toGeneration },
        dead,
        decision,
      );
    }
  }

  /** None, and if there are any, all: whether they live or not. */
  #heardSpares(): readonly ReadonlySet<string>[] {
    const spares = [...this.#state.slots.values()].filter(({ role }) => role === 'spare');
    const all = new Set(spares.map(({ slot, generation }) => machineKey(slot, generation)));
    return all.size === 0 ? [all] : [new Set(), all];
  }

  #minute(): void {
    const { redeploymentsPerCluster } = this.#state.about.spec;
    if (redeploymentsPerCluster >= 100) return;
    const aged = [...this.#state.redeployments].map(
      ([id, row]) => [id, { ...row, times: { ...row.times, acceptedMs: longAgo } }] as const,
    );
    this.#steps.push({
      label: 'a minute passes',
      move: { kind: 'world' },
      benign: true,
      after: { ...this.#state, redeployments: new Map(aged) },
    });
  }

  #watchdog(): void {
    const { lease, ring } = this.#state;
    if (lease.term >= this.#bounds.terms && !(lease.holder === watchdogHolder && isHeld(lease, now))) return;
    const decision = this.#rules.decisions.decideWatchdog(
      this.#state,
      new Set(ring.members.map(({ slot }) => slot)),
      longAgo,
      now,
    );
    this.#decided('the watchdog looks', { kind: 'rows' }, true, decision);
  }

  #operator(): void {
    const { decisions } = this.#rules;
    for (const id of this.#state.redeployments.keys()) {
      this.#decided(
        `an operator cancels ${id}`,
        { kind: 'rows' },
        false,
        decisions.decideCancelRedeployment(this.#state, id, now),
      );
    }
    for (const { slot, generation } of this.#state.slots.values()) {
      if (generation >= this.#bounds.generations) continue;
      const ask = { slot, heard: false, drainMs: 0, reportedTerm: 0 };
      this.#decided(
        `an operator wants ${slot} anew`,
        { kind: 'redeploy-node' },
        true,
        decisions.decideRedeployNode(this.#state, ask, now),
      );
    }
  }

  /** The ring grows and shrinks, and its members adopt it when they like. */
  #sizes({ least, most, added }: NonNullable<Bounds['sizes']>): void {
    const { decisions, surroundings } = this.#rules;
    const { ring, about, slots, bodies } = this.#state;
    for (const body of bodies.values()) {
      const machine = this.#state.machines.get(machineKey(body.slot, body.generation));
      const mayAdopt = body.life === 'alive' && machine?.tokenSha256 !== undefined && isMember(ring, body);
      if (!mayAdopt || body.ring === ring) continue;
      this.#world(`${bodyKey(body)} adopts version ${ring.version}`, true, { ...body, ring });
    }
    const reports: RingReports = ({ slot, generation }) => {
      const machine = this.#state.machines.get(machineKey(slot, generation));
      const adopted = machine === undefined ? undefined : bodies.get(bodyKey(machine))?.ring?.version;
      if (machine?.tokenSha256 === undefined) return undefined;
      const configurationVersion = surroundings.reportsAreTrue ? (adopted ?? 0) : ring.version;
      return { configurationVersion, term: this.#state.lease.term };
    };
    const told: Move = { kind: 'rows' };
    const present = [...slots.values()].filter(({ role, leaving }) => role === 'bootstrap' && !leaving);
    const begun = (about.nextBootstrap ?? about.spec.bootstrap + 1) - about.spec.bootstrap - 1;
    if (present.length < most && begun < added) {
      const node = { role: 'bootstrap' } as const;
      const addresses = addressesOf(about.spec.bootstrap + begun + 100);
      this.#decided(
        'a slot is added',
        told,
        false,
        decisions.decideAddNode(this.#state, node, addresses, now),
      );
    }
    for (const { slot } of present.length > least ? present : []) {
      const decision = decisions.decideRemoveNode(this.#state, slot, reports, 0, now);
      this.#decided(`${slot} is removed`, told, false, decision);
    }
    this.#decided('the ring goes on', told, true, decisions.decideRingStep(this.#state, reports, 0, now));
  }

  /** Two processes decide in this state, and commit one after the other. */
  #races(): void {
    const { commitsCompare } = this.#rules.surroundings;
    const decided = this.#steps.filter(({ changes = [] }) => changes.length > 0);
    for (const first of decided) {
      for (const second of decided) {
        if (first === second || conflicts(first, second, commitsCompare)) continue;
        this.#steps.push({
          ...second,
          label: `${first.label}, and at once ${second.label}`,
          benign: false,
          before: first.after,
          after: committed(first.after, second.changes!),
        });
      }
    }
  }

  #world(label: string, benign: boolean, body: Body): void {
    this.#steps.push({ label, move: { kind: 'world' }, benign, after: withBody(this.#state, body) });
  }

  /** Refusals change nothing here: what they remember is times. */
  #decided(label: string, move: Move, benign: boolean, decision: Decision<unknown>): void {
    if (!('answer' in decision)) return;
    const { changes = [], guards = [] } = decision;
    const after = changes.length === 0 ? this.#state : committed(this.#state, changes);
    this.#steps.push({ label, move, benign, after, changes, guards });
  }
}

function isMember({ members }: ModelState['ring'], { slot, generation }: Body): boolean {
  return members.some((member) => member.slot === slot && member.generation === generation);
}

/** Whether what the first commit wrote makes the second one's fail. */
function conflicts(first: Step, second: Step, compared: Surroundings['commitsCompare']): boolean {
  if (compared === 'nothing') return false;
  const written = new Set(first.changes!.map(({ table, id }) => `${table}/${id}`));
  if (second.changes!.some(({ table, id }) => written.has(`${table}/${id}`))) return true;
  if (compared === 'written') return false;
  const tables = new Set(first.changes!.map(({ table }) => table));
  return second.guards!.some((table) => tables.has(table));
}
