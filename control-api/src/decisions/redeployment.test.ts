/** A redeployment from what it doubts to what it ends in, and what an operator may do to it. */
import { describe, expect, it } from 'vitest';
import type { ClusterRecord } from '../cluster-record.ts';
import {
  apply,
  silentFollower as ask,
  reportOf,
  serving,
  surroundings,
  t0,
} from '../testing/serving-cluster.ts';
import { commandsFor } from './commands.ts';
import { currentMachine, type Decision } from './decision.ts';
import { decideDelete } from './deletion.ts';
import { decideJoin } from './join.ts';
import { decideLease } from './lease.ts';
import { decideExit, decideGivenUp, decideLaunched, decideStopped } from './machine-life.ts';
import { decideCancelRedeployment, decideRedeployNode } from './operator.ts';
import { describePlacement, placementCount, placementFor } from './placement.ts';
import { decideRedeployment } from './redeployment.ts';
import { decideReport } from './report.ts';
import type { EffectRow } from './rows.ts';
import { decideWatchdog } from './watchdog.ts';

describe('a silence of a machine that still reports', () => {
  // The grace is 6 s, a report is due each second, and the begin of a silence is known to a second.
  it.each([
    ['heard just now', { silentMs: 6_000, heardAgoMs: 0 }, true],
    ['heard well after it fell silent', { silentMs: 6_000, heardAgoMs: 3_999 }, true],
    ['heard last when it fell silent', { silentMs: 6_000, heardAgoMs: 4_000 }, false],
    ['heard still when two graces are nearly over', { silentMs: 11_999, heardAgoMs: 0 }, true],
    ['heard still when two graces are over', { silentMs: 12_000, heardAgoMs: 0 }, false],
    ['never heard', { silentMs: 6_000 }, false],
    ['silent for nobody knows how long', { heardAgoMs: 0 }, false],
    ['heard, but refusing connections', { cause: 'evidence', silentMs: 6_000, heardAgoMs: 0 }, false],
  ] as const)('%s', (_, observed, doubted) => {
    const decision = decideRedeployment(serving(), { ...ask, ...observed }, t0);
    expect('refusal' in decision ? decision.refusal.code : 'accepted').toBe(
      doubted ? 'still-heard' : 'accepted',
    );
  });

  it('is none where the exit was seen', () => {
    const state = serving();
    const exited = { slot: 'bootstrap-3', generation: 1, attempt: 1 };
    apply(state, decideExit(state, exited, 'exit code 1', 0, t0));
    const decision = decideRedeployment(state, { ...ask, silentMs: 6_000, heardAgoMs: 0 }, t0);
    expect(decision).toMatchObject({ answer: { cause: 'evidence' } });
  });

  it('is remembered as long as it is asked for, and no longer', () => {
    const state = serving({ leaseMs: 600_000 });
    const holder = { slot: 'bootstrap-1', generation: 1 };
    apply(state, decideLease(state, { action: 'renew', holder, term: 5 }, t0));
    const heard = { ...ask, silentMs: 6_000, heardAgoMs: 0 };
    const doubt = (atMs: number) => {
      const decision = decideRedeployment(state, heard, atMs);
      for (const change of decision.changes ?? []) state.apply(change);
    };
    doubt(t0);
    doubt(t0 + 30_000);
    expect(decideRedeployment(state, ask, t0 + 60_000)).toMatchObject({
      answer: { times: { askedMs: t0, acceptedMs: t0 + 60_000 } },
    });
    expect(decideRedeployment(state, ask, t0 + 60_001)).toMatchObject({
      answer: { times: { askedMs: t0 + 60_001 } },
    });
  });
});

describe('a redeployment', () => {
  const report = (state: 'joined' | 'serving') => reportOf('peer-1', 2, state);
  const join = (attempt = 1, runningMs = 0) => ({
    machine: { slot: 'peer-1' as const, generation: 2 },
    attempt,
    joinSecret: '',
    tokenSha256: 'f'.repeat(64),
    runningMs,
  });
  const effectOf = (state: ClusterRecord, kind: EffectRow['kind']) =>
    [...state.effects.values()].find((effect) => effect.kind === kind)!;
  function begun(): ClusterRecord {
    const state = serving();
    apply(state, decideRedeployment(state, { ...ask, slot: 'peer-1' }, t0 + 1));
    return state;
  }
  const row = (state: ClusterRecord) => state.redeployments.get('peer-1@2')!;

  it('goes its course, each step with its time', () => {
    const state = begun();
    const seen: string[] = [row(state).state];
    const step = (decision: Decision<unknown>) => {
      apply(state, decision);
      seen.push(row(state).state);
    };
    step(decideStopped(state, effectOf(state, 'stop'), t0 + 2));
    step(decideLaunched(state, effectOf(state, 'launch'), 'm', t0 + 3));
    step(decideJoin(state, join(1, 1.4), true, t0 + 5));
    step(decideReport(state, report('serving'), t0 + 6));
    expect(seen).toEqual(['stopping', 'launching', 'booting', 'joining', 'complete']);
    const at = (ms: number) => t0 + ms;
    expect(row(state).times).toEqual({
      askedMs: at(1),
      acceptedMs: at(1),
      goneMs: at(2),
      launchingMs: at(2),
      launchedMs: at(3),
      bootedMs: at(4),
      joinedMs: at(5),
      servingMs: at(6),
      completeMs: at(6),
    });
  });

  it('believes no machine that it began to run before it was wanted', () => {
    const state = begun();
    apply(state, decideJoin(state, join(1, 1e300), true, t0 + 5));
    expect(row(state).times.bootedMs).toBe(t0 + 1);
  });

  it('is complete only when the new machine serves and the old one is proven gone, in either order', () => {
    const state = begun();
    apply(state, decideJoin(state, join(), true, t0 + 3));
    const served = decideReport(state, report('serving'), t0 + 4);
    expect(served.events).toMatchObject([{ kind: 'node-serving' }]);
    apply(state, served);
    expect(row(state)).toMatchObject({ state: 'serving' });
    const gone = decideStopped(state, effectOf(state, 'stop'), t0 + 5);
    expect(gone.events).toMatchObject([{ kind: 'generation-gone' }, { kind: 'redeployment-complete' }]);
    apply(state, gone);
    expect(row(state)).toMatchObject({ state: 'complete', times: { servingMs: t0 + 4, completeMs: t0 + 5 } });
  });

  it('counts the times of the attempt that came to serve', () => {
    const state = begun();
    apply(state, decideStopped(state, effectOf(state, 'stop'), t0 + 2));
    apply(state, decideLaunched(state, effectOf(state, 'launch'), 'm', t0 + 3));
    const first = { slot: 'peer-1', generation: 2, attempt: 1 };
    apply(state, decideExit(state, first, 'exit code 1', 100, t0 + 4));
    expect(row(state)).toMatchObject({ state: 'launching', attempts: 2 });
    apply(state, decideStopped(state, effectOf(state, 'stop'), t0 + 5));
    expect(row(state).times).toEqual({
      askedMs: t0 + 1,
      acceptedMs: t0 + 1,
      goneMs: t0 + 2,
      launchingMs: t0 + 104,
    });
  });

  it('ends cancelled with its cluster', () => {
    const state = begun();
    apply(state, decideDelete(state, t0 + 2));
    expect(row(state)).toMatchObject({ state: 'cancelled', times: { cancelledMs: t0 + 2 } });
  });

  it('ends cancelled when its machine is replaced before it served', () => {
    const state = begun();
    apply(state, decideStopped(state, effectOf(state, 'stop'), t0 + 2));
    apply(state, decideJoin(state, join(), true, t0 + 3));
    apply(state, decideRedeployment(state, { ...ask, slot: 'peer-1', generation: 2 }, t0 + 4));
    expect(row(state)).toMatchObject({ state: 'cancelled', times: { cancelledMs: t0 + 4 } });
  });

  describe('that is cancelled', () => {
    function cancelled(): ClusterRecord {
      const state = begun();
      apply(state, decideCancelRedeployment(state, 'peer-1@2', t0 + 2));
      return state;
    }

    it('leaves nothing to be launched, and has what there may be stopped, the old machine first', () => {
      const inOrder = [...cancelled().effects].sort(([one], [other]) => (one < other ? -1 : 1));
      expect(inOrder.map(([, { kind, generation }]) => [kind, generation])).toEqual([
        ['stop', 1],
        ['stop', 2],
      ]);
    });

    it('stays so, whatever is learnt of its machine afterwards', () => {
      const state = cancelled();
      const machine = { slot: 'peer-1', generation: 2, attempt: 1 };
      expect(decideExit(state, machine, 'x', 0, t0 + 3)).toEqual({ answer: undefined });
      expect(decideGivenUp(state, machine, 'late', 0, t0 + 3)).toEqual({ answer: undefined });
      expect(decideJoin(state, join(), true, t0 + 3)).toMatchObject({ refusal: { code: 'generation-over' } });
      expect(
        decideLaunched(state, { ...machine, kind: 'launch', notBeforeMs: 0 }, 'm', t0 + 3),
      ).not.toHaveProperty('changes');
      for (const stop of [...state.effects.values()]) apply(state, decideStopped(state, stop, t0 + 4));
      expect(decideJoin(state, join(), true, t0 + 5)).toMatchObject({ refusal: { code: 'generation-over' } });
      expect(row(state)).toMatchObject({ state: 'cancelled' });
      expect(currentMachine(state, state.slots.get('peer-1')!)).toMatchObject({
        state: 'stopped',
        gone: true,
      });
      expect(state.effects.size).toBe(0);
    });

    it('is not begun again by a leader, and by an operator as the next generation', () => {
      const state = cancelled();
      const again = decideRedeployment(state, { ...ask, slot: 'peer-1', generation: 2 }, t0 + 3);
      expect(again).toMatchObject({ refusal: { code: 'held' } });
      expect(again).not.toHaveProperty('events');
      const wanted = { slot: 'peer-1', heard: false, drainMs: 0, reportedTerm: 0 };
      apply(state, decideRedeployNode(state, wanted, t0 + 4));
      expect(state.slots.get('peer-1')).toMatchObject({ generation: 3 });
      expect(state.slots.get('peer-1')).not.toHaveProperty('held');
      expect(row(state)).toMatchObject({ state: 'cancelled' });
    });

    it('tells a machine that joined in spite of it to stop', () => {
      const state = begun();
      apply(state, decideJoin(state, join(), true, t0 + 2));
      apply(state, decideCancelRedeployment(state, 'peer-1@2', t0 + 3));
      const machine = currentMachine(state, state.slots.get('peer-1')!);
      expect(commandsFor(state, machine, surroundings, t0)).toEqual([{ kind: 'stop', reason: 'drained' }]);
    });

    it('is left alone by the watchdog too', () => {
      const state = serving();
      const machine = { ...ask, slot: 'bootstrap-2' };
      apply(state, decideRedeployment(state, machine, t0));
      const joining = { ...join(), machine: { slot: 'bootstrap-2' as const, generation: 2 } };
      apply(state, decideJoin(state, joining, true, t0 + 1));
      apply(state, decideCancelRedeployment(state, 'bootstrap-2@2', t0 + 2));
      const silent = new Set(['bootstrap-1', 'bootstrap-2', 'bootstrap-3']);
      const { answer } = decideWatchdog(state, silent, t0, t0 + 3_600_000);
      expect(answer?.victims.map(({ slot }) => slot)).toEqual(['bootstrap-1', 'bootstrap-3']);
    });

    it('is no more than that once it is over', () => {
      const state = cancelled();
      const again = decideCancelRedeployment(state, 'peer-1@2', t0 + 9);
      expect(again).toEqual({ answer: row(state) });
    });
  });

  it('that an operator wants is counted by no budget, and is one while it is launched', () => {
    const state = serving({ redeploymentsPerCluster: 1, redeploymentsPerSlot: 1 });
    const wanted = { slot: 'peer-1', heard: true, drainMs: 5_000, reportedTerm: 0 };
    const first = apply(state, decideRedeployNode(state, wanted, t0));
    expect(first).toMatchObject({ askedBy: 'operator', cause: 'operator', state: 'stopping' });
    expect(effectOf(state, 'stop').notBeforeMs).toBe(t0 + 5_000);
    expect(decideRedeployNode(state, wanted, t0 + 1)).toEqual({ answer: first });
    expect(decideRedeployment(state, ask, t0 + 1)).toHaveProperty('answer');
  });
});

describe('placement', () => {
  const placement = { instanceTypes: ['large', 'small'], zones: ['a', 'b', 'c'] };
  it('tries the types in the slot’s own zone, then the next zone, and begins anew', () => {
    const spec = serving({ placement }).about.spec;
    const tried = Array.from({ length: 7 }, (_, index) =>
      describePlacement(placementFor(spec, { ordinal: 3 }, index + 1)!),
    );
    expect(tried).toEqual([
      'large in c',
      'small in c',
      'large in a',
      'small in a',
      'large in b',
      'small in b',
      'large in c',
    ]);
    expect(placementCount(spec)).toBe(6);
  });

  it.each([
    [undefined, undefined, 1],
    [{}, {}, 1],
    [{ zones: ['a'] }, { zone: 'a' }, 1],
    [{ instanceTypes: ['large', 'small'] }, { instanceType: 'large' }, 2],
  ])('of %j', (asked, first, count) => {
    const spec = serving(asked === undefined ? {} : { placement: asked }).about.spec;
    expect(placementFor(spec, { ordinal: 1 }, 1)).toEqual(first);
    expect(placementCount(spec)).toBe(count);
  });

  it('is that of every attempt, the first of a cluster and of a replacement too', () => {
    const state = serving({ placement, heal: ['peer'] });
    const of = (key: string) => state.machines.get(key)!.placement;
    expect([of('peer-1@1'), of('peer-2@1')].map((one) => one?.zone)).toEqual(['a', 'b']);
    apply(state, decideRedeployment(state, { ...ask, slot: 'peer-2' }, t0));
    expect(of('peer-2@2')).toEqual({ instanceType: 'large', zone: 'b' });
    const machine = state.machines.get('peer-2@2')!;
    apply(state, decideGivenUp(state, machine, 'no room', 0, t0));
    expect(of('peer-2@2')).toEqual({ instanceType: 'small', zone: 'b' });
  });
});

it('is not for a leader to ask for whose own slot has moved on, though its lease still runs', () => {
  const state = serving();
  const own = decideRedeployment(state, { ...ask, slot: 'bootstrap-1' }, t0);
  for (const change of own.changes ?? []) state.apply(change);
  expect(decideRedeployment(state, ask, t0)).toMatchObject({ refusal: { code: 'generation-over' } });
});
