import { Fault } from '@skep/contract';
import { describe, expect, it } from 'vitest';
import type { ClusterRecord } from '../cluster-record.ts';
import { apply, serving, t0 } from '../testing/serving-cluster.ts';
import { commandsFor, revisionOf } from './commands.ts';
import { currentMachine, mostChanges } from './decision.ts';
import { decideDelete, isEnded } from './deletion.ts';
import {
  decideCancelFault,
  decideDone,
  decideFaultsDue,
  decideInjectFault,
  nextFaultDueMs,
} from './faults.ts';
import { decideExit, decideNextAttempt, decideStopped } from './machine-life.ts';
import { decideRedeployment } from './redeployment.ts';
import type { EffectRow } from './rows.ts';

const shaped = { network: { latencyMs: 0 } };
const partition = { kind: 'partition', nodes: ['peer-1'], way: 'both', forMs: 1_000 };
const pause = { kind: 'pause', nodes: ['peer-1', 'peer-2'], forMs: 1_000 };

const decide = (state: ClusterRecord, fault: unknown, more: object = {}, now = t0) =>
  decideInjectFault(
    state,
    { fault: Fault.parse(fault), canPause: true, knowsControlApi: true, reportedTerm: 0, ...more },
    now,
  );
const inject = (state: ClusterRecord, fault: unknown, now = t0) =>
  apply(state, decide(state, fault, {}, now));
const effects = (state: ClusterRecord) => [...state.effects.keys()].sort();
const endure = (state: ClusterRecord, slot: string, now: number) =>
  commandsFor(
    state,
    currentMachine(state, state.slots.get(slot)!),
    { controlApiHosts: ['10.9.9.9'], modelsNetwork: false },
    now,
  ).find(({ kind }) => kind === 'endure');

describe('a fault is refused', () => {
  it.each([
    ['of a slot that is not there', { kind: 'crash', nodes: ['peer-9'] }, {}, {}, 'node-not-found'],
    ['from a slot that is not there', { ...partition, from: ['peer-9'] }, shaped, {}, 'node-not-found'],
    [
      'by the control API on itself',
      { kind: 'crash', nodes: ['control-api'] },
      shaped,
      {},
      'fault-not-possible',
    ],
    ['where machines cannot be paused', pause, {}, { canPause: false }, 'fault-not-possible'],
    ['without addresses to tell nodes apart', partition, {}, {}, 'fault-not-possible'],
    [
      'of a disk without a shaped host',
      { kind: 'disk', nodes: ['peer-1'], forMs: 1, full: true },
      {},
      {},
      'fault-not-possible',
    ],
    [
      'of the control API without its address',
      { ...partition, nodes: ['control-api'] },
      shaped,
      { knowsControlApi: false },
      'fault-not-possible',
    ],
  ] as const)('%s', (_, fault, spec, more, code) => {
    const state = serving(spec);
    const before = effects(state);
    expect(decide(state, fault, more)).toMatchObject({ refusal: { code } });
    expect(decide(state, fault, more)).not.toHaveProperty('changes');
    expect(effects(state)).toEqual(before);
  });

  it('of a cluster that is being deleted, and beyond as many as there may be', () => {
    const state = serving(shaped);
    for (let count = 0; count < 1_000; count++) inject(state, partition);
    expect(decide(state, partition)).toMatchObject({ refusal: { code: 'fault-not-possible' } });
    apply(state, decideFaultsDue(state, 0, t0 + 1_000));
    inject(state, partition, t0 + 1_000);
    apply(state, decideDelete(state, t0));
    expect(decide(state, partition)).toMatchObject({ refusal: { code: 'cluster-deleting' } });
  });
});

describe('a crash', () => {
  it('is over at once, and kills what is there to be killed', () => {
    const state = serving();
    apply(state, decideExit(state, { slot: 'peer-2', generation: 1, attempt: 1 }, 'exit code 1', 0, t0));
    const nodes = ['peer-1', 'peer-1', 'peer-2', 'bootstrap-2'];
    const row = inject(state, { kind: 'crash', nodes, power: true });
    expect(row).toMatchObject({ id: '1', state: 'over', injectedAtMs: t0, untilMs: t0 });
    expect([...state.effects.values()]).toEqual([
      { kind: 'kill', slot: 'peer-1', generation: 1, attempt: 1, notBeforeMs: t0, power: true },
      { kind: 'kill', slot: 'bootstrap-2', generation: 1, attempt: 1, notBeforeMs: t0, power: true },
    ] satisfies EffectRow[]);
    for (const effect of [...state.effects.values()]) {
      apply(state, decideDone(state, effect));
      expect(decideDone(state, effect)).toEqual({ answer: undefined, changes: [] });
    }
    expect(state.effects.size).toBe(0);
  });

  it('of a machine that is still being launched is nothing', () => {
    const state = serving();
    const { tokenSha256: _, ...unjoined } = currentMachine(state, state.slots.get('peer-1')!);
    apply(state, decideNextAttempt(state, unjoined, 'late', 500, t0));
    const before = effects(state);
    inject(state, { kind: 'crash', nodes: ['peer-1'] });
    expect(effects(state)).toEqual(before);
  });
});

describe('a pause', () => {
  const key = (slot: string, kind: string) => `${slot}/0000001.0000001.${kind}`;
  const carryOut = (state: ClusterRecord) => {
    for (const effect of [...state.effects.values()]) apply(state, decideDone(state, effect));
  };

  it('ends at its time, and not before', () => {
    const state = serving();
    const { answer } = decide(state, pause) as { answer: object };
    expect(answer).toMatchObject({ state: 'active', untilMs: t0 + 1_000 });
    inject(state, pause);
    expect(effects(state)).toEqual([key('peer-1', 'pause'), key('peer-2', 'pause')]);
    carryOut(state);
    expect(nextFaultDueMs(state)).toBe(t0 + 1_000);
    expect(decideFaultsDue(state, 0, t0 + 999)).toEqual({ answer: undefined });
    apply(state, decideFaultsDue(state, 0, t0 + 1_000));
    expect(effects(state)).toEqual([key('peer-1', 'resume'), key('peer-2', 'resume')]);
    expect(state.faults.get('1')?.state).toBe('over');
    expect(nextFaultDueMs(state)).toBeUndefined();
    expect(decideFaultsDue(state, 0, t0 + 1_001)).toEqual({ answer: undefined });
  });

  it('of two on one machine lasts as long as either', () => {
    const state = serving();
    inject(state, pause);
    inject(state, { ...pause, nodes: ['peer-1'], forMs: 5_000 });
    carryOut(state);
    apply(state, decideFaultsDue(state, 0, t0 + 1_000));
    expect(effects(state)).toEqual([key('peer-2', 'resume')]);
    apply(state, decideCancelFault(state, '2', t0 + 2_000));
    expect(effects(state)).toEqual([key('peer-1', 'resume'), key('peer-2', 'resume')]);
  });

  it('that ends before it was carried out withdraws it, and the other way round', () => {
    const state = serving();
    inject(state, pause);
    apply(state, decideCancelFault(state, '1', t0 + 1));
    expect(effects(state)).toEqual([key('peer-1', 'resume'), key('peer-2', 'resume')]);
    inject(state, pause, t0 + 2);
    expect(effects(state)).toEqual([key('peer-1', 'pause'), key('peer-2', 'pause')]);
  });

  it('is not the replacement’s, and nothing is done to a machine that is gone', () => {
    const state = serving();
    inject(state, pause);
    carryOut(state);
    const { lease } = state;
    apply(
      state,
      decideRedeployment(
        state,
        {
          slot: 'peer-1',
          generation: 1,
          term: lease.term,
          by: lease.holder,
          reason: 'silent',
          cause: 'silence',
          heard: false,
          drainMs: 0,
          reportedTerm: 0,
        },
        t0 + 1,
      ),
    );
    const stop = [...state.effects.values()].find(({ kind }) => kind === 'stop')!;
    apply(state, decideStopped(state, stop, t0 + 2));
    apply(state, decideFaultsDue(state, 0, t0 + 1_000));
    expect(effects(state)).toEqual(['peer-1/0000002.0000001.launch', key('peer-2', 'resume')]);
  });
});

describe('a restart', () => {
  it('replaces each machine at once, whatever the role and who leads, with what is left on its disk', () => {
    const state = serving({ heal: [] });
    const version = state.ring.version;
    const nodes = ['bootstrap-1', 'bootstrap-2', 'peer-1'];
    inject(state, { kind: 'restart', nodes, disk: 'lose' });
    expect(effects(state)).toEqual(
      nodes.flatMap((slot) => [
        `${slot}/0000001.0000001.kill`,
        `${slot}/0000001.0000001.stop`,
        `${slot}/0000002.0000001.launch`,
      ]),
    );
    expect(state.machines.get('peer-1@2')).toMatchObject({ state: 'launching', emptyDisk: true });
    expect(state.ring.members.map(({ generation }) => generation)).toEqual([2, 2, 1]);
    expect(state.ring.version).toBe(version + 2);
    expect(state.redeployments.get('peer-1@2')).toMatchObject({ askedBy: 'fault 1', reason: 'restarted' });
    inject(state, { kind: 'restart', nodes: ['peer-2'], disk: 'keep' });
    expect(state.machines.get('peer-2@2')).not.toHaveProperty('emptyDisk');
  });

  it('keeps an empty disk empty over failed attempts, and costs no budget', () => {
    const state = serving({ redeploymentsPerCluster: 1 });
    inject(state, { kind: 'restart', nodes: ['peer-1'], disk: 'lose' });
    apply(state, decideNextAttempt(state, currentMachine(state, state.slots.get('peer-1')!), 'late', 0, t0));
    expect(currentMachine(state, state.slots.get('peer-1')!)).toMatchObject({ attempt: 2, emptyDisk: true });
    const { term, holder: by } = state.lease;
    const ask = {
      slot: 'peer-2',
      generation: 1,
      term,
      by,
      reason: 'silent',
      cause: 'silence' as const,
      heard: false,
      drainMs: 0,
      reportedTerm: 0,
    };
    expect(decideRedeployment(state, ask, t0)).toHaveProperty('answer');
  });
});

describe('what is endured', () => {
  it('follows the faults, its age does not count in the revision, and its end is the same for all', () => {
    const state = serving(shaped);
    const hash = (text: string) => text;
    expect(endure(state, 'peer-1', t0)).toBeUndefined();
    inject(state, partition, t0);
    const first = endure(state, 'peer-1', t0 + 10)!;
    const later = endure(state, 'peer-1', t0 + 400)!;
    expect(first).toMatchObject({ base: {}, faults: [{ id: '1', forMs: 1_000, ageMs: 10 }] });
    expect(later).toMatchObject({ faults: [{ ageMs: 400 }] });
    expect(revisionOf([first], hash)).toBe(revisionOf([later], hash));
    expect(endure(state, 'peer-2', t0)).toBeDefined();
    apply(state, decideFaultsDue(state, 0, t0 + 1_000));
    expect(endure(state, 'peer-1', t0 + 1_000)).toBeUndefined();
  });

  it('is the next machine’s too, with the age that the fault has by then', () => {
    const state = serving(shaped);
    inject(state, partition);
    inject(state, { kind: 'restart', nodes: ['peer-1'], disk: 'keep' }, t0 + 300);
    expect(endure(state, 'peer-1', t0 + 600)).toMatchObject({ faults: [{ ageMs: 600 }] });
  });
});

describe('a fault of more machines than a commit has room for', () => {
  const peers = 150;
  const nodes = Array.from({ length: peers }, (_, index) => `peer-${index + 1}`);
  const ofKind = (state: ClusterRecord, kind: string) =>
    [...state.effects.values()].filter((effect) => effect.kind === kind);
  /** Applies what is due until nothing is, and counts how often that was. */
  const goOn = (state: ClusterRecord, now: number) => {
    for (let count = 0; ; count++) {
      if ((nextFaultDueMs(state) ?? Number.POSITIVE_INFINITY) > now) return count;
      const decision = decideFaultsDue(state, 9, now);
      expect(decision.changes!.length).toBeLessThanOrEqual(mostChanges);
      apply(state, decision);
    }
  };

  it.each([
    [{ kind: 'crash' }, 'kill'],
    [{ kind: 'pause', forMs: 1_000 }, 'pause'],
    [{ kind: 'restart', disk: 'lose' }, 'launch'],
  ] as const)('strikes each once: %j', (fault, kind) => {
    const state = serving({ peers });
    const first = decide(state, { ...fault, nodes });
    expect(first.changes!.length).toBeLessThanOrEqual(mostChanges);
    apply(state, first);
    expect(ofKind(state, kind).length).toBeLessThan(peers);
    expect(goOn(state, t0)).toBeGreaterThan(1);
    expect(new Set(ofKind(state, kind).map(({ slot }) => slot))).toEqual(new Set(nodes));
    expect(ofKind(state, kind)).toHaveLength(peers);
    expect(state.faults.get('1')).not.toHaveProperty('left');
  });

  it('has all go on at its end, also those whose pause was not carried out yet', () => {
    const state = serving({ peers });
    inject(state, { kind: 'pause', nodes, forMs: 1_000 });
    inject(state, { kind: 'pause', nodes: nodes.slice(0, 80), forMs: 1_000 });
    goOn(state, t0 + 1_000);
    expect(ofKind(state, 'pause')).toEqual([]);
    expect(new Set(ofKind(state, 'resume').map(({ slot }) => slot))).toEqual(new Set(nodes));
    expect([...state.faults.values()].map(({ state: at }) => at)).toEqual(['over', 'over']);
  });

  it('passes over who died or was replaced meanwhile, and all once the cluster is being deleted', () => {
    const state = serving({ peers });
    inject(state, { kind: 'crash', nodes });
    inject(state, { kind: 'restart', nodes: ['peer-140'], disk: 'keep' });
    apply(state, decideExit(state, { slot: 'peer-150', generation: 1, attempt: 1 }, 'exit code 1', 0, t0));
    const last = decideFaultsDue(state, 9, t0);
    apply(state, last);
    apply(state, decideDelete(state, t0));
    goOn(state, t0);
    const killed = ofKind(state, 'kill').map(({ slot }) => slot);
    expect(killed).not.toContain('peer-150');
    expect(killed.filter((slot) => slot === 'peer-140')).toHaveLength(1);
    expect(killed.length).toBeLessThan(peers);
  });

  it('is refused if one row cannot hold them', () => {
    const state = serving({ peers: 2_001, bootstrap: 1 });
    const all = Array.from({ length: 2_001 }, (_, index) => `peer-${index + 1}`);
    expect(decide(state, { kind: 'crash', nodes: all })).toMatchObject({
      refusal: { code: 'fault-not-possible' },
    });
  });
});

it('a cluster of any size is deleted by decisions that a commit has room for', () => {
  const state = serving({ peers: 150 });
  const sizes: number[] = [];
  for (;;) {
    const { changes = [] } = decideDelete(state, t0);
    if (changes.length === 0) break;
    sizes.push(changes.length);
    apply(state, { answer: undefined, changes });
    expect(isEnded(state)).toBe(false);
  }
  expect(Math.max(...sizes)).toBeLessThanOrEqual(mostChanges);
  expect(state.effects.size).toBe(153);
});

it('is ended early once, remembered a while, and forgotten', () => {
  const state = serving(shaped);
  inject(state, partition);
  expect(decideCancelFault(state, '7', t0)).toMatchObject({ refusal: { code: 'not-found' } });
  const cancelled = decideCancelFault(state, '1', t0 + 100);
  expect(cancelled).toMatchObject({ answer: { state: 'cancelled', untilMs: t0 + 100 } });
  apply(state, cancelled);
  expect(decideCancelFault(state, '1', t0 + 200)).toEqual({ answer: state.faults.get('1') });
  for (let count = 0; count < 300; count++) inject(state, { kind: 'crash', nodes: ['peer-1'] });
  expect(state.faults.size).toBeLessThanOrEqual(201);
  expect(state.faults.has('1')).toBe(false);
  expect(state.faults.has('301')).toBe(true);
});

it('keeps no cluster from ending', () => {
  const state = serving(shaped);
  inject(state, pause);
  inject(state, partition);
  apply(state, decideDelete(state, t0));
  for (const effect of [...state.effects.values()]) {
    apply(state, effect.kind === 'stop' ? decideStopped(state, effect, t0) : decideDone(state, effect));
  }
  expect(isEnded(state)).toBe(true);
});
