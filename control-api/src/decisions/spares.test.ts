import { describe, expect, it } from 'vitest';
import type { ClusterRecord } from '../cluster-record.ts';
import { apply, serving, surroundings, t0 } from '../testing/serving-cluster.ts';
import { commandsFor } from './commands.ts';
import { currentMachine } from './decision.ts';
import { decideDelete, isEnded } from './deletion.ts';
import { decideInjectFault } from './faults.ts';
import { decideJoin } from './join.ts';
import { decideAssigned, decideExit, decideGivenUp, decideLaunched, decideStopped } from './machine-life.ts';
import { decideCancelRedeployment, decideRedeployNode } from './operator.ts';
import { decideRedeployment, type RedeploymentAsk } from './redeployment.ts';
import { decideReport } from './report.ts';
import { decideRemoveNode } from './ring-change.ts';
import { type Attempt, type EffectRow, effectKey, type MachineRow } from './rows.ts';
import { decideSpareSilent } from './spare-renewal.ts';
import { becoming, dwellerOf, refOf } from './spares.ts';

const ask: RedeploymentAsk = {
  slot: 'bootstrap-2',
  generation: 1,
  term: 5,
  reason: 'silent',
  cause: 'evidence',
  by: 'bootstrap-1@1',
  heard: false,
  drainMs: 5_000,
  reportedTerm: 5,
  sparesHeard: new Set(['spare-1@1', 'spare-2@1']),
};
const pool = (spares = 1, more: object = {}) => serving({ spares, ...more });
const machine = (state: ClusterRecord, key: string): MachineRow => state.machines.get(key)!;
const effects = (state: ClusterRecord) => [...state.effects.keys()].sort();
const attempt = (slot: string, generation: number, which = 1): Attempt => ({
  slot,
  generation,
  attempt: which,
});
const key = (kind: EffectRow['kind'], ...of: Parameters<typeof attempt>) =>
  effectKey({ kind, ...attempt(...of) });
const effect = (state: ClusterRecord, ...of: Parameters<typeof key>) => state.effects.get(key(...of))!;
const directories = { dataDirectory: '/data/bootstrap-2' };

/** With the slot's old machine proven gone. */
function assigned(state = pool()): ClusterRecord {
  apply(state, decideRedeployment(state, ask, t0));
  apply(state, decideStopped(state, effect(state, 'stop', 'bootstrap-2', 1), t0 + 1));
  return state;
}

function joined(state: ClusterRecord, slot = 'bootstrap-2', generation = 2, which = 1, now = t0 + 3) {
  const request = {
    machine: { slot: slot as 'peer-1', generation },
    attempt: which,
    joinSecret: '',
    tokenSha256: `${slot}@${generation}`,
  };
  apply(state, decideJoin(state, request, true, now));
  return state;
}

/** With the spare ready to become what it is to. */
function ready(state = assigned()): ClusterRecord {
  apply(state, decideAssigned(state, effect(state, 'assign', 'bootstrap-2', 2), directories, t0 + 2));
  return state;
}

describe('a redeployment with a spare', () => {
  it('fences the spare and assigns it in one commit, and launches nothing yet', () => {
    const state = pool();
    const decision = decideRedeployment(state, ask, t0);
    expect(apply(state, decision)).toMatchObject({ id: 'bootstrap-2@2', spare: 'spare-1' });
    expect(machine(state, 'bootstrap-2@2').livesIn).toEqual(attempt('spare-1', 1));
    expect(machine(state, 'spare-1@1')).toMatchObject({ state: 'stopping', gone: false });
    expect(state.slots.get('spare-1')?.generation).toBe(2);
    expect(effects(state)).toEqual([key('stop', 'bootstrap-2', 1), key('assign', 'bootstrap-2', 2)]);
    expect(decision.events?.map(({ kind, slot, generation }) => [kind, slot, generation])).toEqual([
      ['redeployment-accepted', 'bootstrap-2', 2],
      ['spare-assigned', 'spare-1', 1],
    ]);
  });

  it('never assigns one twice: the next takes another, or is launched', () => {
    const state = pool(2);
    const spareOf = (slot: string) => apply(state, decideRedeployment(state, { ...ask, slot }, t0)).spare;
    expect([spareOf('bootstrap-2'), spareOf('peer-1'), spareOf('peer-2')]).toEqual([
      'spare-1',
      'spare-2',
      undefined,
    ]);
    expect(state.effects.has(key('launch', 'peer-2', 2))).toBe(true);
    const lived = [...state.machines.values()].flatMap(({ livesIn }) => livesIn?.slot ?? []);
    expect(new Set(lived).size).toBe(lived.length);
  });

  it.each([
    ['has not reported lately', {}, { sparesHeard: new Set<string>() }],
    ['is not serving', { state: 'joined' }, {}],
    ['is dead', { state: 'dead' }, {}],
    ['is in another zone', { placement: { zone: 'z2' } }, {}],
  ] as const)('launches where the spare %s', (_, change, observed) => {
    const state = pool();
    state.apply({
      table: 'machines',
      id: 'spare-1@1',
      value: { ...machine(state, 'spare-1@1'), ...change } as MachineRow,
    });
    expect(apply(state, decideRedeployment(state, { ...ask, ...observed }, t0)).spare).toBeUndefined();
    expect(state.effects.has(key('launch', 'bootstrap-2', 2))).toBe(true);
  });

  it('is as good for an operator, but not for what is restarted or for a spare', () => {
    const wanted = (slot: string) => {
      const state = pool(2);
      return apply(state, decideRedeployNode(state, { ...ask, slot }, t0)).spare;
    };
    expect([wanted('peer-1'), wanted('spare-2')]).toEqual(['spare-1', undefined]);
    const state = pool();
    const fault = { kind: 'restart' as const, nodes: ['peer-1' as const], disk: 'lose' as const };
    apply(
      state,
      decideInjectFault(state, { fault, canPause: true, knowsControlApi: true, reportedTerm: 5 }, t0),
    );
    expect(machine(state, 'peer-1@2').livesIn).toBeUndefined();
  });
});

describe('an assigned spare', () => {
  it('is known to the launcher by the name that it was launched with, in its first attempt only', () => {
    const state = assigned();
    expect(refOf(state, attempt('bootstrap-2', 2))).toEqual(attempt('spare-1', 1));
    expect(refOf(state, attempt('bootstrap-2', 2, 2))).toEqual(attempt('bootstrap-2', 2, 2));
    expect(refOf(state, attempt('spare-1', 2))).toEqual(attempt('spare-1', 2));
    expect(dwellerOf(state, attempt('spare-1', 1))).toEqual(attempt('bootstrap-2', 2));
    expect(dwellerOf(state, attempt('spare-1', 1, 2))).toEqual(attempt('spare-1', 1, 2));
    expect(dwellerOf(state, attempt('spare-1', 2))).toEqual(attempt('spare-1', 2));
  });

  it('may report on, and has nothing to do until it is told what to become', () => {
    const state = assigned();
    const spare = () => machine(state, 'spare-1@1');
    const report = { machine: { slot: 'spare-1', generation: 1 }, attempt: 1, state: 'serving', events: [] };
    expect(decideReport(state, report as never, t0)).toEqual({ answer: { eventsTaken: 0 } });
    expect(commandsFor(state, spare(), surroundings, t0)).toEqual([]);
    expect(becoming(state, spare())?.directories).toBeUndefined();
    ready(state);
    expect(becoming(state, spare())).toMatchObject({ slot: 'bootstrap-2', generation: 2, directories });
    expect(effects(state)).toEqual([]);
    joined(state);
    expect(becoming(state, spare())).toBeUndefined();
    expect(decideReport(state, report as never, t0)).toHaveProperty('refusal.code', 'generation-over');
  });

  it('is made up for once it has joined, and by one launch', () => {
    const state = joined(joined(ready()));
    expect(machine(state, 'spare-1@1')).toMatchObject({ state: 'stopped', gone: true });
    expect(effects(state)).toEqual([key('launch', 'spare-1', 2)]);
    apply(state, decideLaunched(state, effect(state, 'launch', 'spare-1', 2), 'm', t0 + 4));
    joined(state);
    expect(effects(state)).toEqual([]);
  });

  it.each([
    ['exited', (state: ClusterRecord) => decideExit(state, attempt('spare-1', 1), 'killed', 200, t0 + 3)],
    [
      'was never heard again',
      (state: ClusterRecord) => decideGivenUp(state, attempt('bootstrap-2', 2), 'late', 200, t0 + 3),
    ],
  ])('that %s before it joined is followed by an ordinary launch, at once', (_, fails) => {
    const state = assigned();
    apply(state, fails(state));
    expect(machine(state, 'bootstrap-2@2')).toMatchObject({ attempt: 2, state: 'failed' });
    const [stop, launch] = [key('stop', 'bootstrap-2', 2), key('launch', 'bootstrap-2', 2, 2)];
    expect(effects(state)).toEqual([stop, launch]);
    expect(state.effects.get(launch)?.notBeforeMs).toBe(t0 + 3);
    expect(refOf(state, state.effects.get(stop)!)).toEqual(attempt('spare-1', 1));
    expect(becoming(state, machine(state, 'spare-1@1'))).toBeUndefined();
    expect(commandsFor(state, machine(state, 'spare-1@1'), surroundings, t0)).toEqual([
      { kind: 'stop', reason: 'over' },
    ]);
    // Nothing of the pool is launched before it is proven gone.
    apply(state, decideStopped(state, state.effects.get(stop)!, t0 + 4));
    expect(machine(state, 'spare-1@1').gone).toBe(true);
    expect(effects(state)).toEqual([launch, key('launch', 'spare-1', 2)]);
    // Its exit may be told again, or late.
    expect(decideExit(state, attempt('spare-1', 1), 'killed', 0, t0 + 5)).toEqual({ answer: undefined });
  });

  it('says nothing against any place to launch in: the first launch after it is where the first would have been', () => {
    const state = assigned(pool(1, { placement: { instanceTypes: ['large', 'small'] } }));
    expect(machine(state, 'bootstrap-2@2').livesIn).toBeDefined();
    for (const instanceType of ['large', 'small', 'large']) {
      const { attempt: which, livesIn } = machine(state, 'bootstrap-2@2');
      const lost = which === 1 ? livesIn! : attempt('bootstrap-2', 2, which);
      apply(state, decideExit(state, lost, 'killed', 200, t0 + 3));
      expect(machine(state, 'bootstrap-2@2').placement).toEqual({ instanceType });
    }
  });

  it('is as dead as any once it has joined, and stopped by its name', () => {
    const state = joined(ready());
    const exit = () => decideExit(state, attempt('spare-1', 1), 'killed by SIGKILL', 0, t0 + 4);
    expect(exit().events).toMatchObject([{ kind: 'node-dead', slot: 'bootstrap-2', generation: 2 }]);
    apply(state, exit());
    apply(state, decideRedeployment(state, { ...ask, generation: 2, sparesHeard: new Set() }, t0 + 4));
    const stop = effect(state, 'stop', 'bootstrap-2', 2);
    expect(refOf(state, stop)).toEqual(attempt('spare-1', 1));
    apply(state, decideStopped(state, stop, t0 + 5));
    // The pool was made up for when it joined.
    expect(effects(state).filter((name) => name.startsWith('spare'))).toEqual([key('launch', 'spare-1', 2)]);
  });

  it('is known for as long as it lives, however many spares came after it', () => {
    const state = joined(ready());
    for (let generation = 2; generation < 12; generation++) {
      const launch = effect(state, 'launch', 'spare-1', generation);
      apply(state, decideLaunched(state, launch, 'm', t0));
      joined(state, 'spare-1', generation, 1, t0);
      apply(state, decideExit(state, attempt('spare-1', generation), 'killed', 0, t0));
      apply(state, decideStopped(state, effect(state, 'stop', 'spare-1', generation), t0));
    }
    expect(state.machines.has('spare-1@1')).toBe(false);
    expect(dwellerOf(state, attempt('spare-1', 1))).toEqual(attempt('bootstrap-2', 2));
  });

  it('is stopped, and made up for, where its redeployment is cancelled', () => {
    const state = assigned();
    apply(state, decideCancelRedeployment(state, 'bootstrap-2@2', t0 + 2));
    expect(effects(state)).toEqual([key('stop', 'bootstrap-2', 2)]);
    expect(commandsFor(state, machine(state, 'spare-1@1'), surroundings, t0)).toEqual([
      { kind: 'stop', reason: 'over' },
    ]);
    apply(state, decideStopped(state, effect(state, 'stop', 'bootstrap-2', 2), t0 + 3));
    expect(effects(state)).toEqual([key('launch', 'spare-1', 2)]);
  });

  it('is not forgotten by a deletion, and nothing is launched after it', () => {
    const state = assigned();
    apply(state, decideDelete(state, t0 + 2));
    expect(effects(state).filter((name) => /launch|assign/.test(name))).toEqual([]);
    expect(effects(state)).toContain(key('stop', 'spare-1', 1));
    for (const left of [...state.effects.values()]) apply(state, decideStopped(state, left, t0 + 3));
    expect(isEnded(state)).toBe(true);
  });
});

describe('the pool', () => {
  it('counts in no ring, and is told of no torrents and no deaths', () => {
    const state = pool();
    expect(state.ring.members.map(({ slot }) => slot)).not.toContain('spare-1');
    expect(commandsFor(state, machine(state, 'spare-1@1'), surroundings, t0)).toEqual([]);
    expect(commandsFor(pool(1, { network: { latencyMs: 5 } }), machine(state, 'spare-1@1'), surroundings, t0))
      // As every machine, it lives in the network that the spec asks for.
      .toMatchObject([{ kind: 'endure' }]);
  });

  it('launches its dead anew without being asked to, not too often, and not as redeployments', () => {
    const state = pool();
    const { sinceMs } = machine(state, 'spare-1@1');
    apply(state, decideExit(state, attempt('spare-1', 1), 'killed by SIGKILL', 100, t0 + 50));
    expect(machine(state, 'spare-1@1').state).toBe('dead');
    expect(effects(state)).toEqual([key('stop', 'spare-1', 1), key('launch', 'spare-1', 2)]);
    expect(effect(state, 'launch', 'spare-1', 2).notBeforeMs).toBe(sinceMs + 10_000);
    expect(state.redeployments.size).toBe(0);
    const old = pool();
    apply(old, decideExit(old, attempt('spare-1', 1), 'killed by SIGKILL', 100, t0 + 60_000));
    expect(effect(old, 'launch', 'spare-1', 2).notBeforeMs).toBe(t0 + 60_100);
  });

  it('tries a launch that failed again as it does any', () => {
    const state = joined(ready());
    apply(state, decideLaunched(state, effect(state, 'launch', 'spare-1', 2), 'm', t0 + 4));
    apply(state, decideExit(state, attempt('spare-1', 2), 'exit code 1', 300, t0 + 5));
    expect(effects(state)).toEqual([key('stop', 'spare-1', 2), key('launch', 'spare-1', 2, 2)]);
    expect(effect(state, 'launch', 'spare-1', 2, 2).notBeforeMs).toBe(t0 + 305);
  });

  it('gives a silent spare up once, and calls it dead by no evidence', () => {
    const state = pool();
    const silent = { slot: 'spare-1', generation: 1 } as const;
    apply(state, decideSpareSilent(state, silent, t0));
    expect(machine(state, 'spare-1@1').state).toBe('stopping');
    expect(effects(state)).toEqual([key('stop', 'spare-1', 1), key('launch', 'spare-1', 2)]);
    expect(commandsFor(state, machine(state, 'spare-1@1'), surroundings, t0)).toEqual([
      { kind: 'stop', reason: 'over' },
    ]);
    expect(decideSpareSilent(state, silent, t0)).toEqual({ answer: undefined });
    const taken = assigned();
    expect(decideSpareSilent(taken, silent, t0)).toEqual({ answer: undefined });
  });

  it('keeps its size', () => {
    const state = pool();
    expect(decideRemoveNode(state, 'spare-1', () => undefined, 0, t0)).toHaveProperty(
      'refusal.code',
      'bad-request',
    );
    expect(currentMachine(state, state.slots.get('spare-1')!).generation).toBe(1);
  });
});
