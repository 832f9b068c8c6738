/** A run of the self-tests: who is in it, what each is told, when it ends, and that it is forgotten in small steps. */
import type { SelfTestCheck } from '@skep/contract';
import { describe, expect, it } from 'vitest';
import type { ClusterRecord } from '../cluster-record.ts';
import { apply, serving, silentFollower, t0 } from '../testing/serving-cluster.ts';
import { currentMachine } from './decision.ts';
import { decideDelete } from './deletion.ts';
import { decideExit } from './machine-life.ts';
import { decideRedeployment } from './redeployment.ts';
import {
  decideRunTests,
  decideTestReported,
  decideTestsStep,
  isTesting,
  resultsOf,
  selfTestCommand,
} from './self-tests.ts';

const idOf = (run: number) => run.toString(16).padStart(16, '0');
const passed: SelfTestCheck = { name: 'disk', outcome: 'passed', detail: 'It works.', tookMs: 1 };
const failed: SelfTestCheck = { ...passed, outcome: 'failed', detail: 'It does not.' };
const skipped: SelfTestCheck = { ...passed, outcome: 'skipped', detail: 'There is none.' };

const begin = (state: ClusterRecord, run = 1, now = t0) =>
  apply(state, decideRunTests(state, idOf(run), now));
const tell = (state: ClusterRecord, slot: string, checks: SelfTestCheck[] = [passed], run = 1) =>
  apply(state, decideTestReported(state, { slot, generation: 1 }, { id: idOf(run), checks }));
const step = (state: ClusterRecord, now = t0) => apply(state, decideTestsStep(state, now));
const outcomes = (state: ClusterRecord, run = 1) =>
  Object.fromEntries(
    resultsOf(state, state.tests.get(idOf(run))!).map(({ slot, outcome }) => [slot, outcome]),
  );
const commandOf = (state: ClusterRecord, slot: string) =>
  selfTestCommand(state, currentMachine(state, state.slots.get(slot)!));

describe('a run', () => {
  it('is of the nodes that serve, and each fetches from the next', () => {
    const state = serving({ index: 1, spares: 1 });
    apply(state, decideExit(state, { slot: 'bootstrap-2', generation: 1, attempt: 1 }, 'exited', 0, t0));
    const { machines } = begin(state);
    expect(machines).toEqual(['bootstrap-1@1', 'bootstrap-3@1', 'index-1@1', 'peer-1@1', 'peer-2@1']);
    expect(commandOf(state, 'bootstrap-1')).toEqual({
      kind: 'self-test',
      id: idOf(1),
      partner: {
        machine: { slot: 'bootstrap-3', generation: 1 },
        address: state.slots.get('bootstrap-3')!.addresses.listen,
      },
    });
    const partners = machines.map((name) => commandOf(state, name.split('@')[0]!)?.partner?.machine.slot);
    expect(partners).toEqual(['bootstrap-3', 'index-1', 'peer-1', 'peer-2', 'bootstrap-1']);
    for (const slot of ['bootstrap-2', 'spare-1']) expect(commandOf(state, slot)).toBeUndefined();
  });

  it('has no partner for the only one', () => {
    const state = serving({ bootstrap: 1, peers: 0 });
    begin(state);
    expect(commandOf(state, 'bootstrap-1')).toEqual({ kind: 'self-test', id: idOf(1) });
  });

  it('is joined by who asks for another', () => {
    const state = serving();
    begin(state);
    expect(begin(state, 2, t0 + 1).id).toBe(idOf(1));
    expect(state.tests.size).toBe(1);
  });

  it.each<[string, (state: ClusterRecord) => void, string]>([
    ['a cluster that is being deleted', (state) => apply(state, decideDelete(state, t0)), 'cluster-deleting'],
    [
      'a cluster in which nobody serves',
      (state) => {
        for (const [id, machine] of state.machines)
          state.apply({ table: 'machines', id, value: { ...machine, state: 'joined' } });
      },
      'node-not-found',
    ],
  ])('is refused for %s', (_what, make, code) => {
    const state = serving();
    make(state);
    expect(decideRunTests(state, idOf(1), t0)).toMatchObject({ refusal: { code } });
  });

  it('is done once all have told, and commands nothing any more', () => {
    const state = serving({ bootstrap: 1, peers: 2 });
    begin(state);
    tell(state, 'bootstrap-1', [passed, skipped]);
    tell(state, 'peer-1', [passed, failed]);
    step(state);
    expect(outcomes(state)).toEqual({ 'bootstrap-1': 'passed', 'peer-1': 'failed' });
    expect(commandOf(state, 'peer-1')).toBeDefined();
    tell(state, 'peer-2');
    const decision = decideTestsStep(state, t0 + 5_000);
    expect(decision.events).toMatchObject([
      { kind: 'tests-done', data: { passed: 2, failed: 1, missing: 0, tookMs: 5_000 } },
    ]);
    apply(state, decision);
    expect(state.tests.get(idOf(1))?.state).toBe('done');
    expect(commandOf(state, 'peer-1')).toBeUndefined();
    expect(isTesting(state)).toBe(false);
  });

  it('is done when its time is over, and misses who has told nothing', () => {
    const state = serving({ bootstrap: 1, peers: 1 });
    begin(state);
    tell(state, 'peer-1');
    step(state, t0 + 59_999);
    expect(state.tests.get(idOf(1))?.state).toBe('running');
    step(state, t0 + 60_000);
    expect(outcomes(state)).toEqual({ 'bootstrap-1': 'missing', 'peer-1': 'passed' });
    tell(state, 'bootstrap-1');
    expect(outcomes(state)).toMatchObject({ 'bootstrap-1': 'missing' });
  });

  it('is of the machines of its beginning: the next generation neither tests nor tells', () => {
    const state = serving();
    begin(state);
    apply(state, decideRedeployment(state, silentFollower, t0));
    expect(commandOf(state, 'bootstrap-3')).toBeUndefined();
    const report = { id: idOf(1), checks: [passed] };
    expect(decideTestReported(state, { slot: 'bootstrap-3', generation: 2 }, report)).toEqual({
      answer: undefined,
    });
    step(state, t0 + 60_000);
    expect(outcomes(state)).toMatchObject({ 'bootstrap-3': 'missing' });
  });

  it('takes what each tells once, and nothing of other runs', () => {
    const state = serving();
    begin(state);
    tell(state, 'peer-1', [failed]);
    tell(state, 'peer-1', [passed]);
    tell(state, 'peer-2', [passed], 2);
    expect(outcomes(state)).toEqual({ 'peer-1': 'failed' });
  });
});

describe('runs that are over', () => {
  it('are forgotten but for the newest five, some rows at a time', () => {
    const state = serving({ peers: 120 });
    for (let run = 1; run <= 7; run++) {
      begin(state, run, t0 + run);
      for (const name of state.tests.get(idOf(run))!.machines)
        tell(state, name.split('@')[0]!, [passed], run);
      step(state, t0 + run);
    }
    let steps = 0;
    for (; isTesting(state); steps++) {
      const decision = decideTestsStep(state, t0 + 10);
      expect(decision.changes?.length).toBeLessThanOrEqual(51);
      apply(state, decision);
    }
    expect(steps).toBe(6);
    expect([...state.tests.keys()]).toEqual([3, 4, 5, 6, 7].map(idOf));
    expect(state.testResults.size).toBe(5 * 123);
  });
});
