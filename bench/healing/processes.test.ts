import type { ClusterEvent, RedeploymentView } from '@skep/contract';
import { describe, expect, it } from 'vitest';
import { describePhases, phasesOf, phasesTable } from './processes.ts';

const fault = { atMs: 10_000, slot: 'bootstrap-2', generation: 3, term: 7 };

let sequence = 0;
function event(atMs: number, kind: string, rest: Partial<ClusterEvent> = {}): ClusterEvent {
  sequence += 1;
  return { sequence, cluster: 'chaos', atMs, kind, lamport: sequence, data: {}, ...rest };
}

const redeployment: RedeploymentView = {
  id: 'bootstrap-2@4',
  slot: 'bootstrap-2',
  fromGeneration: 3,
  toGeneration: 4,
  term: 8,
  askedBy: 'bootstrap-1@1',
  cause: 'evidence',
  reason: 'killed by SIGKILL',
  state: 'complete',
  attempts: 1,
  times: {
    askedMs: 10_190,
    acceptedMs: 10_200,
    goneMs: 10_210,
    launchedMs: 10_500,
    bootedMs: 10_600,
    joinedMs: 10_700,
    servingMs: 10_800,
    completeMs: 10_800,
  },
};

describe('the phases of a real healing', () => {
  it('are told from the fault, by when things happened and not when they were written', () => {
    const events = [
      event(10_030, 'node-dead', { slot: 'bootstrap-2', generation: 3 }),
      event(10_900, 'member-dead', {
        slot: 'bootstrap-1',
        generation: 1,
        happenedAtMs: 10_020,
        data: { member: 'bootstrap-2@3' },
      }),
      event(10_150, 'lease-granted', { slot: 'bootstrap-1', generation: 1, data: { term: 8 } }),
    ];
    expect(phasesOf(fault, events, redeployment, 10_950)).toEqual({
      detectMs: 20,
      electMs: 150,
      acceptMs: 200,
      stopMs: 210,
      launchMs: 500,
      bootMs: 600,
      joinMs: 700,
      serveMs: 800,
      lookupMs: 950,
    });
  });

  it('are not those of other deaths, other generations and old terms', () => {
    const strays = [
      event(10_010, 'node-dead', { slot: 'bootstrap-2', generation: 2 }),
      event(10_010, 'node-dead', { slot: 'bootstrap-1', generation: 3 }),
      event(10_010, 'member-dead', { slot: 'bootstrap-2', generation: 3, data: { member: 'bootstrap-1@1' } }),
      event(10_010, 'lease-granted', { slot: 'bootstrap-2', generation: 3, data: { term: 7 } }),
    ];
    expect(phasesOf(fault, strays, undefined, undefined)).toEqual({});
  });

  it('know no election if the leader was spared', () => {
    const { term: _, ...spared } = fault;
    const elected = event(10_100, 'lease-granted', { slot: 'bootstrap-1', generation: 1, data: { term: 8 } });
    expect(phasesOf(spared, [elected], undefined, undefined)).toEqual({});
  });

  it('are told of many rounds by their middle and their worst', () => {
    const rounds = Array.from({ length: 100 }, (_, index) => ({ detectMs: index + 1 }));
    const [head, detect, ...more] = describePhases(rounds).split('\n');
    expect(head?.split(/\s+/).slice(-3)).toEqual(['p50', 'p95', 'p99']);
    expect(detect?.trim().split(/\s{2,}/)).toEqual(['detect', '50 ms', '95 ms', '99 ms', 'of 100']);
    expect(more).toEqual([]);
  });

  it('are a row of a table for each kind, with the columns that any of them has', () => {
    const table = phasesTable([
      { kind: 'follower', rounds: 2, phases: [{ detectMs: 10, bootMs: 5 }, { detectMs: 1_200.4 }] },
      { kind: 'pause5', rounds: 1, phases: [{}] },
    ]);
    expect(table.split('\n')).toEqual([
      '| fault (rounds) | detect           |',
      '| -------------- | ---------------- |',
      '| follower (2)   | 10; 1,200; 1,200 |',
      '| pause5 (1)     |                  |',
    ]);
  });
});
