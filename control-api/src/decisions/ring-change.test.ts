/** Slots that come and go: each step of the ring's size at its time, and never two elected in one term. */
import { describe, expect, it } from 'vitest';
import type { ClusterRecord } from '../cluster-record.ts';
import { apply, serving, t0 } from '../testing/serving-cluster.ts';
import { commandsFor } from './commands.ts';
import { currentMachine, type Decision } from './decision.ts';
import { decideLease } from './lease.ts';
import { decideExit, decideLaunched, decideStopped } from './machine-life.ts';
import { decideRedeployNode } from './operator.ts';
import { decideRedeployment } from './redeployment.ts';
import {
  decideAddNode,
  decideRemoveNode,
  decideRingStep,
  isChanging,
  type RingReports,
} from './ring-change.ts';
import { decideWatchdog } from './watchdog.ts';

const drainMs = 5_000;
const addressesOf = (ordinal: number) => ({
  listen: { host: `127.88.0.${ordinal}`, port: 100 },
  ringPort: 101,
  healthPort: 102,
});
const add = (state: ClusterRecord, ordinal = 9) =>
  decideAddNode(state, { role: 'bootstrap' }, addressesOf(ordinal), t0);
/** All have reported this version, but for the slots named. */
const all =
  (configurationVersion: number, ...silent: string[]): RingReports =>
  ({ slot }) =>
    silent.includes(slot) ? undefined : { configurationVersion, term: 5 };
const remove = (state: ClusterRecord, slot: string, reports = all(state.ring.version)) =>
  decideRemoveNode(state, slot, reports, drainMs, t0);
const step = (state: ClusterRecord, reports = all(state.ring.version)) =>
  decideRingStep(state, reports, drainMs, t0);
const serve = (state: ClusterRecord, slot: string) => {
  const machine = {
    ...currentMachine(state, state.slots.get(slot)!),
    state: 'serving' as const,
    tokenSha256: slot,
  };
  state.apply({ table: 'machines', id: `${slot}@${machine.generation}`, value: machine });
};
const carryOut = (state: ClusterRecord) => {
  for (const effect of [...state.effects.values()]) {
    apply(
      state,
      effect.kind === 'stop' ? decideStopped(state, effect, t0) : decideLaunched(state, effect, 'm', t0),
    );
  }
};
const shapeOf = ({ ring }: ClusterRecord) =>
  ring.members.map(({ slot, voter }) => `${slot.slice('bootstrap-'.length)}${voter ? '' : '?'}`).join(' ');
const codeOf = <A>(decision: Decision<A>) => ('refusal' in decision ? decision.refusal.code : 'done');

describe('a bootstrap slot that is added', () => {
  it('is launched as a member that does not vote, one at a time', () => {
    const state = serving();
    const decision = add(state);
    expect(decision.events).toMatchObject([
      { kind: 'node-added', slot: 'bootstrap-4' },
      { kind: 'ring-changed', data: { change: 'admitted', version: 2, members: 4, voters: 3 } },
    ]);
    expect(apply(state, decision)).toMatchObject({ slot: 'bootstrap-4', generation: 1 });
    expect(shapeOf(state)).toBe('1 2 3 4?');
    expect([...state.effects.values()]).toMatchObject([{ kind: 'launch', slot: 'bootstrap-4' }]);
    expect(codeOf(add(state, 10))).toBe('ring-changing');
    expect(codeOf(remove(state, 'bootstrap-1'))).toBe('ring-changing');
    expect(codeOf(decideAddNode(state, { role: 'peer' }, addressesOf(10), t0))).toBe('done');
  });

  it.each([
    ['it serves, and it and most voters have the ring as it is', 'serving', all(2), 'promoted'],
    ['one voter is not heard', 'serving', all(2, 'bootstrap-1'), 'promoted'],
    ['it does not serve yet', 'joined', all(2), undefined],
    ['it has not reported the ring itself', 'serving', all(2, 'bootstrap-4'), undefined],
    ['most voters have not reported it', 'serving', all(2, 'bootstrap-1', 'bootstrap-2'), undefined],
    ['they have an older ring', 'serving', all(1), undefined],
  ] as const)('where %s', (_, at, reports, change) => {
    const state = serving();
    apply(state, add(state));
    serve(state, 'bootstrap-4');
    const machine = currentMachine(state, state.slots.get('bootstrap-4')!);
    state.apply({ table: 'machines', id: 'bootstrap-4@1', value: { ...machine, state: at } });
    const { events } = decideRingStep(state, reports, drainMs, t0);
    expect(events?.[0]?.data?.change).toBe(change);
  });

  it('votes, as all do from then on, above every term that anybody has told of', () => {
    const state = serving();
    apply(state, add(state));
    serve(state, 'bootstrap-4');
    apply(
      state,
      step(state, (member) => ({ ...all(2)(member)!, term: member.slot === 'bootstrap-2' ? 8 : 5 })),
    );
    expect(shapeOf(state)).toBe('1 2 3 4');
    expect(state.ring.members.map(({ admittedAtTerm }) => admittedAtTerm)).toEqual([8, 8, 8, 8]);
    expect(isChanging(state)).toBe(false);
  });

  it('has an ordinal that was never used', () => {
    const state = serving();
    apply(state, add(state));
    apply(state, remove(state, 'bootstrap-4'));
    carryOut(state);
    apply(state, step(state));
    expect(state.slots.has('bootstrap-4')).toBe(false);
    expect(apply(state, add(state)).slot).toBe('bootstrap-5');
  });

  it('is refused in the largest ring', () => {
    const state = serving();
    const [member] = state.ring.members;
    const members = Array.from({ length: 100 }, (_, index) => ({
      ...member!,
      slot: `bootstrap-${index + 1}` as const,
    }));
    state.apply({ table: 'ring', id: 'one', value: { version: 2, members } });
    expect(codeOf(add(state))).toBe('ring-size');
  });
});

describe('a bootstrap slot that is removed', () => {
  it('stops voting, goes out of the ring, finishes, and is forgotten once it is gone', () => {
    const state = serving();
    const leaving = () => state.machines.get('bootstrap-2@1')!;
    const commands = () => commandsFor(state, leaving(), { controlApiHosts: [], modelsNetwork: false }, t0);
    apply(state, remove(state, 'bootstrap-2'));
    expect(shapeOf(state)).toBe('1 2? 3');
    expect(apply(state, remove(state, 'bootstrap-2'))).toMatchObject({ leaving: true });
    expect(commands().map(({ kind }) => kind)).toContain('form-ring');
    // Most voters have not heard of it yet.
    expect(step(state, all(1))).toEqual({ answer: undefined });
    apply(state, step(state));
    expect(shapeOf(state)).toBe('1 3');
    expect(commands()).toEqual([{ kind: 'stop', reason: 'drained' }]);
    expect([...state.effects.values()]).toMatchObject([{ kind: 'stop', notBeforeMs: t0 + drainMs }]);
    expect(step(state)).toEqual({ answer: undefined });
    carryOut(state);
    const last = step(state);
    expect(last.events).toMatchObject([{ kind: 'node-removed', slot: 'bootstrap-2' }]);
    apply(state, last);
    expect(state.slots.has('bootstrap-2')).toBe(false);
    expect([...state.machines.keys()].filter((key) => key.startsWith('bootstrap-2'))).toEqual([]);
    expect(isChanging(state)).toBe(false);
  });

  it.each([
    ['would leave two voters of which one is not heard', ['bootstrap-3'], 'bootstrap-1', 'ring-changing'],
    ['is itself the one not heard', ['bootstrap-3'], 'bootstrap-3', 'done'],
    ['is in a ring without a majority', ['bootstrap-2', 'bootstrap-3'], 'bootstrap-3', 'ring-changing'],
  ] as const)('if it %s', (_, silent, slot, code) => {
    expect(codeOf(remove(serving(), slot, all(1, ...silent)))).toBe(code);
  });

  it('is not the last', () => {
    const state = serving({ bootstrap: 1 });
    expect(codeOf(remove(state, 'bootstrap-1'))).toBe('ring-size');
  });

  it('leads no more: it acquires nothing, and out of the ring renews nothing', () => {
    const state = serving();
    const ask = (action: 'acquire' | 'renew', term: number) =>
      decideLease(state, { action, holder: { slot: 'bootstrap-1', generation: 1 }, term }, t0);
    apply(state, remove(state, 'bootstrap-1'));
    expect(ask('renew', 5)).toMatchObject({ answer: { granted: true } });
    expect(ask('acquire', 6)).toMatchObject({ answer: { granted: false } });
    apply(state, step(state));
    expect(codeOf(ask('renew', 5))).toBe('forbidden');
  });

  it('gets no other machine, whoever asks', () => {
    const state = serving();
    apply(state, remove(state, 'bootstrap-3'));
    const observed = { heard: false, drainMs, reportedTerm: 5 };
    const leader = { term: 5, by: 'bootstrap-1@1', reason: 'dead', cause: 'evidence' as const };
    const asked = { slot: 'bootstrap-3', generation: 1, ...leader, ...observed };
    expect(codeOf(decideRedeployment(state, asked, t0))).toBe('held');
    expect(codeOf(decideRedeployNode(state, { slot: 'bootstrap-3', ...observed }, t0))).toBe('held');
    const exited = { slot: 'bootstrap-3', generation: 1, attempt: 1 };
    expect(decideExit(state, exited, 'exit code 1', 0, t0)).toEqual({ answer: undefined });
    const leaderless = t0 + 60_000;
    expect(decideWatchdog(state, new Set(['bootstrap-3']), t0, leaderless)).toEqual({ answer: undefined });
  });
});

describe('a peer slot that is removed', () => {
  it('finishes and is forgotten, the ring untouched', () => {
    const state = serving();
    apply(
      state,
      remove(state, 'peer-1', () => undefined),
    );
    expect(state.ring.version).toBe(1);
    carryOut(state);
    apply(state, step(state));
    expect(state.slots.has('peer-1')).toBe(false);
    expect(codeOf(remove(state, 'peer-1'))).toBe('node-not-found');
  });

  it('is proven gone though it was being launched', () => {
    const state = serving();
    apply(state, decideAddNode(state, { role: 'peer' }, addressesOf(9), t0));
    apply(state, remove(state, 'peer-3'));
    expect([...state.effects.values()]).toMatchObject([{ kind: 'stop', slot: 'peer-3', notBeforeMs: t0 }]);
    expect(step(state)).toEqual({ answer: undefined });
    carryOut(state);
    apply(state, step(state));
    expect(state.slots.has('peer-3')).toBe(false);
  });
});
