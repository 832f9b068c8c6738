/**
 * Decides a run of the self-tests: who is tested, what is remembered of what they tell, and when it is over.
 *
 * A run names its machines once, as it begins, so that one that dies meanwhile is missed and not forgotten. What each
 * tells is a row of its own, for there may be ten thousand; so a run that is forgotten goes in small steps.
 */
import type { Command, MachineId, SelfTestReport, SelfTestResult } from '@skep/contract';
import {
  type Change,
  type ClusterState,
  currentMachine,
  type Decided,
  type Decision,
  put,
  refuse,
  remove,
} from './decision.ts';
import { type MachineRow, machineKey, type TestResultRow, type TestRow, testResultKey } from './rows.ts';

/** Longer than a node takes for its checks, each of which is limited. */
const runLimitMs = 60_000;
/** Runs beyond these are forgotten, oldest first. */
const rememberedRuns = 5;
/** Rows that one step of forgetting removes: a store may take only so many at a time. */
const forgottenAtOnce = 50;

const nothing: Decided<undefined> = { answer: undefined };

/** Begins a run under the `id`, which was never used; or answers the one that goes on. */
export function decideRunTests(state: ClusterState, id: string, now: number): Decision<TestRow> {
  const { about } = state;
  if (about.state === 'deleting') {
    return refuse('cluster-deleting', `${about.name} is being deleted: there is nothing left to test`);
  }
  const underWay = runningTest(state);
  if (underWay !== undefined) return { answer: underWay };
  const machines = servingMachines(state);
  if (machines.length === 0) {
    return refuse('node-not-found', `no node of ${about.name} serves: wait until some do`);
  }
  const row: TestRow = {
    id,
    state: 'running',
    startedAtMs: now,
    untilMs: now + runLimitMs,
    machines: machines.map(({ slot, generation }) => machineKey(slot, generation)),
  };
  return {
    answer: row,
    changes: [put.test(row)],
    guards: ['about'],
    events: [{ kind: 'tests-started', data: { test: id, nodes: machines.length } }],
  };
}

/** Whether what a machine tells of a test is still waited for. */
export function isAwaited(state: ClusterState, machine: MachineId, { id }: SelfTestReport): boolean {
  const row = state.tests.get(id);
  const name = machineKey(machine.slot, machine.generation);
  return (
    row?.state === 'running' && placeOf(row, name) >= 0 && !state.testResults.has(testResultKey(id, name))
  );
}

/** What a machine tells of its test, if that is still waited for. */
export function decideTestReported(
  state: ClusterState,
  machine: MachineId,
  report: SelfTestReport,
): Decided<undefined> {
  if (!isAwaited(state, machine, report)) return nothing;
  const { slot, generation } = machine;
  const { id: test, checks } = report;
  const outcome = checks.some((check) => check.outcome === 'failed') ? 'failed' : 'passed';
  return {
    answer: undefined,
    changes: [put.testResult({ test, slot, generation, outcome, checks })],
  };
}

/** Whether `decideTestsStep` may have anything to do. */
export function isTesting(state: ClusterState): boolean {
  return state.tests.size > rememberedRuns || runningTest(state) !== undefined;
}

/** Ends the run whose nodes have all told, or whose time is over; and forgets a part of what is too old. */
export function decideTestsStep(state: ClusterState, now: number): Decided<undefined> {
  const row = runningTest(state);
  if (row === undefined) return forgotten(state);
  const results = resultsOf(state, row);
  if (results.length < row.machines.length && now < row.untilMs) return nothing;
  const told = { ...row, state: 'done' as const };
  const count = (outcome: SelfTestResult['outcome']) =>
    resultsOf(state, told).filter((result) => result.outcome === outcome).length;
  return {
    answer: undefined,
    changes: [put.test(told)],
    events: [
      {
        kind: 'tests-done',
        data: {
          test: row.id,
          passed: count('passed'),
          failed: count('failed'),
          missing: count('missing'),
          tookMs: Math.max(0, now - row.startedAtMs),
        },
      },
    ],
  };
}

/** In the order of the run's machines. Of a run that is done, who has told nothing is missing. */
export function resultsOf({ testResults }: ClusterState, row: TestRow): SelfTestResult[] {
  return row.machines.flatMap((name): SelfTestResult[] => {
    const told = testResults.get(testResultKey(row.id, name));
    if (told !== undefined) {
      const { test: _, ...result } = told;
      return [{ ...result, checks: [...result.checks] }];
    }
    if (row.state === 'running') return [];
    const [slot, generation] = name.split('@') as [string, string];
    return [{ slot, generation: Number(generation), outcome: 'missing', checks: [] }];
  });
}

/** What a machine is told of the run that goes on: each fetches from the next, and the last from the first. */
export function selfTestCommand(
  state: ClusterState,
  { slot, generation }: MachineRow,
): Extract<Command, { kind: 'self-test' }> | undefined {
  const row = runningTest(state);
  if (row === undefined) return undefined;
  const place = placeOf(row, machineKey(slot, generation));
  if (place < 0) return undefined;
  const { id, machines } = row;
  const partner = state.machines.get(machines[(place + 1) % machines.length]!);
  const address = partner && state.slots.get(partner.slot)?.addresses.listen;
  if (address === undefined || machines.length === 1) return { kind: 'self-test', id };
  const machine = { slot: partner!.slot, generation: partner!.generation };
  return { kind: 'self-test', id, partner: { machine, address } };
}

function runningTest({ tests }: ClusterState): TestRow | undefined {
  for (const row of tests.values()) if (row.state === 'running') return row;
  return undefined;
}

/** All that serve, by role and ordinal. Spares run no node. */
function servingMachines(state: ClusterState): MachineRow[] {
  return [...state.slots.values()]
    .filter(({ role, leaving }) => role !== 'spare' && !leaving)
    .sort((one, other) =>
      one.role === other.role ? one.ordinal - other.ordinal : one.role < other.role ? -1 : 1,
    )
    .map((slot) => currentMachine(state, slot))
    .filter((machine) => machine.state === 'serving');
}

/** Every machine is looked up at every change of a cluster. */
const places = new WeakMap<readonly string[], ReadonlyMap<string, number>>();

/** Which of the run's machines it is; -1 if it is none. */
function placeOf({ machines }: TestRow, name: string): number {
  let known = places.get(machines);
  if (known === undefined) {
    known = new Map(machines.map((each, index) => [each, index]));
    places.set(machines, known);
  }
  return known.get(name) ?? -1;
}

function forgotten(state: ClusterState): Decided<undefined> {
  const [oldest] = [...state.tests.values()]
    .sort((one, other) => other.startedAtMs - one.startedAtMs)
    .slice(rememberedRuns);
  if (oldest === undefined) return nothing;
  const rows = [...state.testResults.values()].filter(({ test }) => test === oldest.id);
  const changes: Change[] = rows
    .slice(0, forgottenAtOnce)
    .map((row) => remove('testResults', resultKeyOf(row)));
  return {
    answer: undefined,
    changes: rows.length > forgottenAtOnce ? changes : [...changes, remove('tests', oldest.id)],
  };
}

function resultKeyOf({ test, slot, generation }: TestResultRow): string {
  return testResultKey(test, machineKey(slot, generation));
}
