import type { ClusterEvent } from '@skep/contract';
import { describe, expect, it } from 'vitest';
import { advanceHealing, beginHealing } from './healing.ts';

const kill = { slot: 'bootstrap-2', generation: 1, atMs: 1_000, term: 3 };

let sequence = 0;
function event(atMs: number, kind: string, rest: Partial<ClusterEvent> = {}): ClusterEvent {
  sequence += 1;
  return { sequence, cluster: 'demo', atMs, kind, lamport: sequence, data: {}, ...rest };
}

const told = (events: readonly ClusterEvent[]) => events.reduce(advanceHealing, beginHealing(kill));

describe('the story of a failure', () => {
  it('runs from detection over election to the replacement', () => {
    const healing = told([
      event(1_010, 'node-dead', { slot: 'bootstrap-2', generation: 1, data: { reason: 'SIGKILL' } }),
      event(1_020, 'member-dead', { slot: 'bootstrap-1', generation: 1, data: { member: 'bootstrap-2@1' } }),
      event(1_150, 'lease-granted', { slot: 'bootstrap-1', generation: 1, data: { term: 4 } }),
      event(1_160, 'redeployment-accepted', { slot: 'bootstrap-2', generation: 1 }),
      event(1_900, 'redeployment-complete', { slot: 'bootstrap-2', generation: 2 }),
    ]);
    expect(healing).toEqual({
      kill,
      detectedMs: 10,
      detectedBy: 'the control API',
      electedMs: 150,
      term: 4,
      leader: 'bootstrap-1@1',
      redeployedMs: 900,
      newGeneration: 2,
    });
  });

  it('counts the first who noticed, by silence too', () => {
    const healing = told([
      event(7_000, 'member-dead', { slot: 'bootstrap-3', generation: 1, data: { member: 'bootstrap-2@1' } }),
      event(7_500, 'member-dead', { slot: 'bootstrap-1', generation: 1, data: { member: 'bootstrap-2@1' } }),
    ]);
    expect(healing).toMatchObject({ detectedMs: 6_000, detectedBy: 'bootstrap-3' });
  });

  it('is not misled by other deaths, old terms, renewals and other slots', () => {
    const before = beginHealing(kill);
    for (const stray of [
      event(1_010, 'node-dead', { slot: 'peer-2', generation: 1 }),
      event(1_010, 'node-dead', { slot: 'bootstrap-2', generation: 2 }),
      event(1_010, 'member-dead', { slot: 'bootstrap-2', generation: 1, data: { member: 'bootstrap-1@1' } }),
      event(1_010, 'lease-granted', { slot: 'bootstrap-2', generation: 1, data: { term: 3 } }),
      event(1_010, 'redeployment-complete', { slot: 'peer-2', generation: 2 }),
      event(1_010, 'redeployment-complete', { slot: 'bootstrap-2', generation: 1 }),
      event(1_010, 'node-serving', { slot: 'bootstrap-2', generation: 2 }),
    ]) {
      expect(advanceHealing(before, stray)).toBe(before);
    }
  });

  it('knows the watchdog for a leader', () => {
    const healing = told([event(20_000, 'lease-granted', { data: { term: 4, holder: 'watchdog' } })]);
    expect(healing.leader).toBe('watchdog');
  });

  it('never counts back: a clock that was set is no time machine', () => {
    expect(told([event(900, 'node-dead', { slot: 'bootstrap-2', generation: 1 })]).detectedMs).toBe(0);
  });

  it('keeps the words of a refusal', () => {
    const healing = told([
      event(1_100, 'redeployment-refused', { slot: 'bootstrap-2', data: { code: 'budget-exhausted' } }),
    ]);
    expect(healing.refusal).toBe('budget-exhausted');
  });
});
