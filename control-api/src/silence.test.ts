import type { Report } from '@skep/contract';
import { describe, expect, it } from 'vitest';
import { Liveness } from './liveness.ts';
import { Silence } from './silence.ts';
import { serving, t0 } from './testing/serving-cluster.ts';

/** A cluster with this many peers, of which the first are heard at this time, and what is made of the others. */
function silentOf(peers: number, heard: number, heardAtMs: number, now: number, change: object = {}) {
  const record = serving();
  const liveness = new Liveness();
  const slot = record.slots.get('peer-1')!;
  const machine = record.machines.get('peer-1@1')!;
  for (let ordinal = 1; ordinal <= peers; ordinal++) {
    const name = `peer-${ordinal}` as const;
    record.apply({ table: 'slots', id: name, value: { ...slot, slot: name, ordinal } });
    record.apply({
      table: 'machines',
      id: `${name}@1`,
      value: { ...machine, slot: name, ...(ordinal === peers ? change : {}) },
    });
    const report = { machine: { slot: name, generation: 1 }, events: [] as Report['events'] } as Report;
    liveness.record('u', report, t0);
    if (ordinal <= heard) liveness.record('u', report, heardAtMs);
  }
  const silence = new Silence(liveness);
  const changed = silence.look(record, 0, now);
  expect(silence.look(record, 0, now)).toBe(false);
  expect(changed).toBe(silence.of(record).length > 0);
  return silence.of(record).map((each) => each.slot);
}

describe('who is silent', () => {
  const late = t0 + 8_001;
  const orphaned = t0 + 60_001;

  it.each([
    ['nobody within the grace and two reports', 3, 2, t0 + 8_000, []],
    ['one of three after it', 3, 2, late, ['peer-3']],
    ['all of three, who are few', 3, 0, late, ['peer-1', 'peer-2', 'peer-3']],
    ['half of four', 4, 2, late, ['peer-3', 'peer-4']],
    ['nobody where most of four are', 4, 1, late, []],
    ['nobody where most of four are, until they must have ended', 4, 1, t0 + 60_000, []],
    ['most of four then', 4, 1, orphaned, ['peer-2', 'peer-3', 'peer-4']],
  ] as const)('%s', (_, peers, heard, now, silent) => {
    expect(silentOf(peers, heard, now, now)).toEqual(silent);
  });

  it.each([
    ['is known dead', { state: 'dead' }],
    ['is stopping', { state: 'stopping' }],
    ['has not joined', { state: 'launching' }],
  ] as const)('is not who %s', (_, change) => {
    expect(silentOf(3, 2, late, late, change)).toEqual([]);
  });
});
