import { describe, expect, it } from 'vitest';
import { Healer } from './healer.ts';
import { DEFAULT_TIMING } from './timing.ts';

const death = { slot: 'b', generation: 2, reason: 'exit 137', cause: 'evidence' as const };

function leadingHealer(): Healer {
  const healer = new Healer(DEFAULT_TIMING);
  healer.lead(4);
  return healer;
}

describe('the healer', () => {
  it('asks only while it leads', () => {
    const healer = new Healer(DEFAULT_TIMING);
    expect(healer.wake(0, [death])).toEqual([]);
    healer.lead(4);
    expect(healer.wake(0, [death])).toEqual([
      { type: 'redeploy', request: 1, redeployment: { ...death, term: 4 } },
    ]);
    healer.stop();
    expect(healer.wake(1, [death])).toEqual([]);
  });

  it('has one request a slot in flight, and repeats it with growing pauses', () => {
    const healer = leadingHealer();
    const pauses = [];
    let now = 0;
    for (let request = 1; request <= 8; request += 1) {
      const askedMs = now;
      while (healer.wake(now, [death]).length === 0) now += 1;
      pauses.push(now - askedMs);
      expect(healer.wake(now + 60_000, [death])).toEqual([]);
      expect(healer.answered(now, request, undefined)).toEqual(death);
    }
    expect(pauses).toEqual([0, 250, 500, 1_000, 2_000, 4_000, 5_000, 5_000]);
  });

  it('reminds the control API of what it accepted', () => {
    const healer = leadingHealer();
    healer.wake(0, [death]);
    healer.answered(10, 1, { accepted: true });
    expect(healer.wake(15_009, [death])).toEqual([]);
    expect(healer.wake(15_010, [death]).length).toBe(1);
  });

  it('forgets a slot that moved on or came back, and takes up its next generation at once', () => {
    const healer = leadingHealer();
    healer.wake(0, [death]);
    expect(healer.wake(1, [])).toEqual([]);
    expect(healer.answered(2, 1, { accepted: true })).toBe(undefined);
    expect(healer.wake(3, [{ ...death, generation: 3 }])).toMatchObject([
      { redeployment: { generation: 3 } },
    ]);
  });

  it('has few requests in flight at once, however many slots are dead', () => {
    const healer = leadingHealer();
    const deaths = Array.from({ length: 100 }, (_, index) => ({ ...death, slot: `s${index}` }));
    const asked = healer.wake(0, deaths);
    expect(asked.length).toBe(16);
    for (const { request } of asked) healer.answered(1, request, { accepted: true });
    expect(healer.wake(1, deaths).length).toBe(16);
    healer.wake(2, []);
    expect(healer.wake(3, deaths).length).toBe(16);
  });
});
