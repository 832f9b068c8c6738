import type { Report } from '@skep/contract';
import { describe, expect, it } from 'vitest';
import type { ClusterRecord } from './cluster-record.ts';
import { Hearing } from './hearing.ts';
import { Liveness } from './liveness.ts';
import { serving } from './testing/serving-cluster.ts';

const tickMs = 250;

/** What a control API that began at 0 makes of reports at these times, looked at from tick to tick. */
function listening(
  record: ClusterRecord,
  reportsMs: readonly number[],
  untilMs: number,
  absentMs: readonly number[] = [],
) {
  const liveness = new Liveness();
  const hearing = new Hearing(liveness, tickMs);
  hearing.start(0);
  let last = hearing.of(record, 0);
  const due = [...reportsMs];
  for (let now = tickMs; now <= untilMs; now += tickMs) {
    if (absentMs.length > 0 && now > absentMs[0]! && now < absentMs[1]!) continue;
    while (due[0] !== undefined && due[0] <= now) {
      const machine = { slot: 'peer-1' as const, generation: 1 };
      liveness.record('u', { machine, events: [] as Report['events'] } as Report, due.shift()!);
    }
    hearing.tick(now);
    last = hearing.of(record, now);
  }
  return last;
}

const everySecond = (fromMs: number, toMs: number) =>
  Array.from({ length: (toMs - fromMs) / 1_000 + 1 }, (_, index) => fromMs + index * 1_000);

describe('what silence is counted from', () => {
  it.each([
    ['the start, while reports come', everySecond(0, 30_000), 30_000, [], 0, 0],
    ['now, while nobody is heard', everySecond(0, 10_000), 30_000, [], 0, 30_000],
    ['not now, once the others must have ended', everySecond(0, 10_000), 70_250, [], 0, 0],
    ['now, after a start that nothing followed', [], 30_000, [], 0, 30_000],
    [
      'the first report after a time without any',
      [...everySecond(0, 10_000), ...everySecond(25_000, 30_000)],
      30_000,
      [],
      25_000,
      25_000,
    ],
    ['the return from an absence', everySecond(0, 30_000), 30_000, [10_000, 20_000], 20_000, 20_000],
  ])('%s', (_, reportsMs, untilMs, absentMs, sinceMs, silenceSinceMs) => {
    expect(listening(serving(), reportsMs, untilMs, absentMs)).toEqual({ sinceMs, silenceSinceMs });
  });

  it('is the return from an absence also for who asks before the first tick after it', () => {
    const hearing = new Hearing(new Liveness(), tickMs);
    hearing.start(0);
    hearing.tick(tickMs);
    expect(hearing.of(serving(), 20_000).sinceMs).toBe(20_000);
  });

  it('is not its own where there is one machine only', () => {
    const record = serving({ bootstrap: 1, peers: 0 });
    for (const [key, machine] of [...record.machines]) {
      if (machine.slot !== 'bootstrap-1') record.apply({ table: 'machines', id: key, value: undefined });
    }
    expect(listening(record, everySecond(0, 10_000), 30_000).silenceSinceMs).toBe(0);
  });
});
