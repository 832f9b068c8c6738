import { describe, expect, it } from 'vitest';
import type { ClusterRecord } from '../cluster-record.ts';
import { apply, silentFollower as ask, serving, surroundings, t0 } from '../testing/serving-cluster.ts';
import { commandsFor, revisionOf } from './commands.ts';
import { currentMachine, put } from './decision.ts';
import { decideDelete, isEnded } from './deletion.ts';
import { decideLease } from './lease.ts';
import { decideExit, decideNextAttempt, decideStopped } from './machine-life.ts';
import { decideRedeployNode } from './operator.ts';
import { decideRedeployment } from './redeployment.ts';
import type { Attempt, EffectRow } from './rows.ts';
import { decideWatchdog } from './watchdog.ts';

describe('decideLease', () => {
  it.each([
    ['acquire', 'bootstrap-2', 6, true],
    ['acquire', 'bootstrap-2', 5, false],
    ['acquire', 'bootstrap-2', 4, false],
    ['acquire', 'bootstrap-1', 5, true],
    ['renew', 'bootstrap-1', 5, true],
    ['renew', 'bootstrap-1', 6, false],
    ['renew', 'bootstrap-1', 4, false],
    ['renew', 'bootstrap-2', 5, false],
  ] as const)('%s by %s of term %i, while bootstrap-1 holds 5: %s', (action, slot, term, granted) => {
    for (const laterMs of [0, 1_000_000]) {
      const decision = decideLease(
        serving(),
        { action, holder: { slot, generation: 1 }, term },
        t0 + laterMs,
      );
      expect(decision).toMatchObject({ answer: { granted } });
      if (!granted) expect(decision).not.toHaveProperty('changes');
    }
  });

  it('is nothing for peers and for what is over', () => {
    const state = serving();
    const request = (slot: 'peer-1' | 'bootstrap-1', generation: number) =>
      decideLease(state, { action: 'acquire', holder: { slot, generation }, term: 9 }, t0);
    expect(request('peer-1', 1)).toMatchObject({ refusal: { code: 'forbidden' } });
    expect(request('bootstrap-1', 2)).toMatchObject({ refusal: { code: 'generation-over', current: 1 } });
  });
});

describe('decideRedeployment', () => {
  it.each([
    ['an old term of the holder itself', { term: 4 }, 'old-term', 5],
    ['a term not yet acquired', { term: 6 }, 'old-term', 5],
    ['another than the holder', { by: 'bootstrap-2@1' }, 'old-term', 5],
    ['an unknown slot', { slot: 'peer-9' }, 'node-not-found', undefined],
    ['a generation to come', { generation: 2 }, 'wrong-generation', 1],
  ] as const)('refuses %s', (_, change, code, current) => {
    const decision = decideRedeployment(serving(), { ...ask, ...change }, t0);
    expect(decision).toMatchObject({ refusal: { code } });
    expect((decision as { refusal: { current?: number } }).refusal.current).toBe(current);
    expect(decision).not.toHaveProperty('changes');
  });

  it('refuses once the lease has run out, to the millisecond', () => {
    const state = serving();
    expect(decideRedeployment(state, ask, t0 + 4_999)).toHaveProperty('answer');
    expect(decideRedeployment(state, ask, t0 + 5_000)).toMatchObject({ refusal: { code: 'old-term' } });
  });

  it('refuses roles that are not healed', () => {
    const state = serving({ heal: ['bootstrap'] });
    expect(decideRedeployment(state, { ...ask, slot: 'peer-1' }, t0)).toMatchObject({
      refusal: { code: 'not-healed' },
    });
  });

  it('fences, swaps the member, and writes down to stop, then to launch', () => {
    const state = serving();
    apply(state, decideRedeployment(state, ask, t0));
    expect(state.slots.get('bootstrap-3')?.generation).toBe(2);
    expect(state.ring.version).toBe(2);
    expect(
      state.ring.members.map(({ slot, generation, admittedAtTerm }) => [slot, generation, admittedAtTerm]),
    ).toEqual([
      ['bootstrap-1', 1, 0],
      ['bootstrap-2', 1, 0],
      ['bootstrap-3', 2, 5],
    ]);
    const inOrder = [...state.effects]
      .sort(([one], [other]) => (one < other ? -1 : 1))
      .map(([, effect]) => effect);
    expect(inOrder.map(({ kind, generation }) => [kind, generation])).toEqual([
      ['stop', 1],
      ['launch', 2],
    ]);
  });

  it.each([
    ['above all terms reported, in which the replaced one may have voted', 8, 8],
    ['above the leader’s term, which is known even if nothing was reported', 0, 5],
    ['not so high that no election could reach it', Number.MAX_SAFE_INTEGER, 1_000_005],
  ])('lets the new generation vote %s', (_, reportedTerm, admittedAtTerm) => {
    const state = serving();
    apply(state, decideRedeployment(state, { ...ask, reportedTerm }, t0));
    expect(state.ring.members[2]).toMatchObject({ generation: 2, admittedAtTerm });
  });

  it('leaves the ring alone for a peer, and drains only what is heard', () => {
    const state = serving();
    apply(state, decideRedeployment(state, { ...ask, slot: 'peer-1', heard: true }, t0));
    expect(state.ring.version).toBe(1);
    const stop = [...state.effects.values()].find(({ kind }) => kind === 'stop');
    expect(stop?.notBeforeMs).toBe(t0 + 5_000);
  });

  it('answers the one begun when asked again, by a later leader too', () => {
    const state = serving();
    const first = apply(state, decideRedeployment(state, ask, t0));
    apply(
      state,
      decideLease(state, { action: 'acquire', holder: { slot: 'bootstrap-2', generation: 1 }, term: 7 }, t0),
    );
    const again = apply(state, decideRedeployment(state, { ...ask, term: 7, by: 'bootstrap-2@1' }, t0));
    expect(again).toBe(first);
    // Generation 2 has not joined yet: it is the same redeployment that is under way.
    const next = decideRedeployment(state, { ...ask, generation: 2, term: 7, by: 'bootstrap-2@1' }, t0);
    expect(next).toEqual({ answer: first });
  });

  it('keeps to the budget of the cluster, in any 60 seconds', () => {
    const state = serving({ redeploymentsPerCluster: 1, leaseMs: 600_000 });
    apply(
      state,
      decideLease(state, { action: 'renew', holder: { slot: 'bootstrap-1', generation: 1 }, term: 5 }, t0),
    );
    apply(state, decideRedeployment(state, ask, t0));
    const other = { ...ask, slot: 'peer-1' };
    expect(decideRedeployment(state, other, t0 + 59_999)).toMatchObject({
      refusal: { code: 'budget-exhausted' },
    });
    expect(decideRedeployment(state, other, t0 + 60_000)).toHaveProperty('answer');
  });
});

describe('the life of a machine', () => {
  const exited = { slot: 'peer-1', generation: 1, attempt: 1 };

  it('ends dead by evidence, once', () => {
    const state = serving();
    expect(decideExit(state, exited, 'exit code 1', 0, t0).events).toMatchObject([{ kind: 'node-dead' }]);
    apply(state, decideExit(state, exited, 'exit code 1', 0, t0));
    expect(decideExit(state, exited, 'exit code 1', 0, t0)).toEqual({ answer: undefined });
  });

  it.each([
    ['another attempt', { attempt: 2 }],
    ['another generation', { generation: 2 }],
    ['another slot', { slot: 'peer-9' }],
  ])('is not touched by the exit of %s', (_, change) => {
    expect(decideExit(serving(), { ...exited, ...change }, 'x', 0, t0)).toEqual({ answer: undefined });
  });

  it('is not revived by what comes after the fence', () => {
    const state = serving();
    apply(state, decideRedeployment(state, { ...ask, slot: 'peer-1' }, t0));
    expect(decideExit(state, exited, 'x', 0, t0)).toEqual({ answer: undefined });
    const stop = [...state.effects.values()].find(({ kind }) => kind === 'stop')!;
    apply(state, decideStopped(state, stop, t0 + 9));
    expect(state.machines.get('peer-1@1')).toMatchObject({ gone: true });
    expect(state.redeployments.get('peer-1@2')).toMatchObject({
      state: 'launching',
      times: { acceptedMs: t0, goneMs: t0 + 9, launchingMs: t0 + 9 },
    });
    expect(decideStopped(state, stop, t0)).toEqual({ answer: undefined });
  });

  it('has a next attempt only behind the proof that the one before is gone', () => {
    const state = serving();
    const { tokenSha256: _, ...unjoined } = currentMachine(state, state.slots.get('peer-1')!);
    apply(state, decideNextAttempt(state, unjoined, 'late', 500, t0));
    const keys = [...state.effects.keys()].sort();
    expect(keys.map((key) => state.effects.get(key)!)).toEqual([
      { kind: 'stop', ...exited, notBeforeMs: t0 },
      { kind: 'launch', ...exited, attempt: 2, notBeforeMs: t0 + 500 },
    ] satisfies EffectRow[]);
  });

  it('ends with its cluster, and the cluster only after all', () => {
    const state = serving();
    apply(state, decideDelete(state, t0));
    expect(isEnded(state)).toBe(false);
    expect(decideDelete(state, t0)).toEqual({ answer: undefined });
    for (const effect of [...state.effects.values()]) {
      expect(isEnded(state)).toBe(false);
      expect(effect.kind).toBe('stop');
      apply(state, decideStopped(state, effect, t0));
    }
    expect(isEnded(state)).toBe(true);
  });

  it('asked again has what another process launched meanwhile end too, and what it was about to launch not begin', () => {
    const state = serving();
    apply(state, decideDelete(state, t0));
    for (const effect of [...state.effects.values()]) apply(state, decideStopped(state, effect, t0));
    const late: Attempt = { slot: 'peer-1', generation: 2, attempt: 1 };
    const machine = { ...late, state: 'launching', sinceMs: t0, eventsTaken: 0, gone: false } as const;
    const launch = { kind: 'launch', ...late, notBeforeMs: t0 } as const;
    apply(state, { answer: undefined, changes: [put.machine(machine), put.effect(launch)] });
    expect(isEnded(state)).toBe(false);
    apply(state, decideDelete(state, t0 + 1));
    expect([...state.effects.values()]).toMatchObject([{ kind: 'stop', ...late }]);
    for (const effect of [...state.effects.values()]) apply(state, decideStopped(state, effect, t0 + 2));
    expect(isEnded(state)).toBe(true);
  });
});

describe('decideWatchdog', () => {
  const kill = (state: ClusterRecord, ...slots: string[]) => {
    for (const slot of slots)
      apply(state, decideExit(state, { slot, generation: 1, attempt: 1 }, 'exit code 1', 0, t0));
    return state;
  };
  const afterMs = 5_000 + 15_000;
  const order = (state: ClusterRecord, now: number, silent: string[] = [], since = t0) =>
    decideWatchdog(state, new Set(silent), since, now).answer;

  it('waits for its time, from the end of the lease or from when it began to listen', () => {
    const state = kill(serving(), 'bootstrap-2');
    expect(order(state, t0 + afterMs - 1)).toBeUndefined();
    expect(order(state, t0 + afterMs)?.term).toBe(6);
    expect(order(state, t0 + afterMs, [], t0 + 10_000)).toBeUndefined();
  });

  it.each([
    ['with the holder among the dead', ['bootstrap-1', 'bootstrap-2'], [], 0, true],
    ['while a living holder leads', ['bootstrap-2', 'bootstrap-3'], [], 4_999, false],
    ['when a living holder leads no more', ['bootstrap-2', 'bootstrap-3'], [], 5_000, true],
    ['where the rest can elect', ['bootstrap-1'], [], afterMs - 1, false],
    ['where a majority is lost, but not all of it by evidence', ['bootstrap-1'], ['bootstrap-2'], 0, false],
    ['and after the lease', ['bootstrap-1'], ['bootstrap-2'], afterMs - 1, false],
    ['where silence says so', [], ['bootstrap-1', 'bootstrap-2', 'bootstrap-3'], afterMs - 1, false],
  ] as const)('does not wait for what is proven: %s', (_, dead, silent, laterMs, acts) => {
    const state = kill(serving(), ...dead);
    const decided = order(state, t0 + laterMs, [...silent], t0 + laterMs);
    expect(decided?.victims.map(({ slot }) => slot)).toEqual(acts ? dead : undefined);
    if (acts) expect(decided?.term).toBe(6);
  });

  it('takes the lease of a holder whose slot has moved on, once it is proven gone', () => {
    const state = kill(serving(), 'bootstrap-2', 'bootstrap-3');
    apply(
      state,
      decideRedeployNode(state, { slot: 'bootstrap-1', heard: false, drainMs: 0, reportedTerm: 0 }, t0),
    );
    expect(order(state, t0)).toBeUndefined();
    const stop = [...state.effects.values()].find(({ kind }) => kind === 'stop')!;
    apply(state, decideStopped(state, stop, t0));
    expect(order(state, t0)?.victims.map(({ slot }) => slot)).toEqual(['bootstrap-2', 'bootstrap-3']);
  });

  it('knows that half of an even ring elects nobody', () => {
    const state = kill(serving({ bootstrap: 2 }), 'bootstrap-1');
    expect(order(state, t0)?.victims).toMatchObject([{ slot: 'bootstrap-1' }]);
  });

  it.each([
    ['nothing is lost', [], [], undefined],
    ['one is dead', ['bootstrap-2'], [], ['bootstrap-2']],
    ['one is silent', [], ['bootstrap-2'], undefined],
    ['one is dead, one silent', ['bootstrap-2'], ['bootstrap-3'], ['bootstrap-2', 'bootstrap-3']],
    ['a peer is dead', ['peer-1'], ['bootstrap-3'], ['peer-1']],
  ])('when %s', (_, dead, silent, victims) => {
    const state = kill(serving(), ...dead);
    expect(order(state, t0 + afterMs, silent)?.victims.map(({ slot }) => slot)).toEqual(victims);
  });

  it.each([
    ['the ring can still elect', 2 * 15_000 - 1, t0, undefined],
    ['the ring has elected nobody for twice as long', 2 * 15_000, t0, ['bootstrap-2']],
    ['a node was seen to lead since', 2 * 15_000, t0 + 5_001, undefined],
  ])('counts the silence of a minority where %s: %i ms after the lease', (_, ms, since, victims) => {
    const decided = order(serving(), t0 + 5_000 + ms, ['bootstrap-2'], since);
    expect(decided?.victims.map(({ slot }) => slot)).toEqual(victims);
  });

  it('goes on to count it while it leads itself', () => {
    const state = serving();
    const now = t0 + 5_000 + 30_000;
    apply(state, decideWatchdog(state, new Set(['bootstrap-2']), t0, now));
    expect(order(state, now + 250, ['bootstrap-3'])?.victims).toMatchObject([
      { slot: 'bootstrap-3', reason: 'silent, with a ring that elects nobody' },
    ]);
    expect(order(state, now + 250, ['bootstrap-3'], now)).toBeUndefined();
  });

  it('heals under its own lease, renewed and not taken again', () => {
    const state = kill(serving(), 'bootstrap-1', 'bootstrap-2');
    const now = t0 + afterMs;
    apply(state, decideWatchdog(state, new Set(), t0, now));
    expect(state.lease).toMatchObject({ term: 6, holder: 'watchdog' });
    apply(state, decideRedeployment(state, { ...ask, slot: 'bootstrap-1', term: 6, by: 'watchdog' }, now));
    expect(decideWatchdog(state, new Set(), t0, now + 1_000)).toMatchObject({
      answer: { term: 6 },
      events: [],
    });
  });
});

describe('commandsFor', () => {
  it('is the same for the same rows, and its revision names it', () => {
    const hash = (text: string) =>
      [...text]
        .reduce((sum, char) => (sum * 31 + char.charCodeAt(0)) % 2 ** 48, 7)
        .toString(16)
        .padStart(16, '0');
    const state = serving();
    const of = (slot: string) =>
      commandsFor(state, currentMachine(state, state.slots.get(slot)!), surroundings, t0);
    expect(revisionOf(of('peer-1'), hash)).toBe(revisionOf(of('peer-2'), hash));
    expect(revisionOf(of('bootstrap-1'), hash)).not.toBe(revisionOf(of('bootstrap-2'), hash));
    expect(of('bootstrap-1').map(({ kind }) => kind)).toEqual(['bootstrap-from', 'form-ring', 'heed-deaths']);
    const over = state.machines.get('peer-1@1')!;
    apply(state, decideRedeployment(state, { ...ask, slot: 'peer-1' }, t0));
    expect(commandsFor(state, over, surroundings, t0)).toEqual([{ kind: 'stop', reason: 'over' }]);
  });
});
