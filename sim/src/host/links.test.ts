/** A link by itself: what passes when, and who gets which part of it. */
import { describe, expect, test } from 'vitest';
import { EventQueue } from './event-queue.ts';
import type { LinkFlow } from './links.ts';
import { Link, TurnNotes } from './links.ts';

/** A clock that goes from event to event. */
class Clock {
  readonly queue = new EventQueue();
  nowMs = 0;

  now(): number {
    return this.nowMs;
  }

  runUntil(untilMs: number): void {
    while (this.queue.nextTimeMs() <= untilMs) {
      this.nowMs = this.queue.nextTimeMs();
      this.queue.pop()!.fire();
    }
    this.nowMs = untilMs;
  }
}

/** Has bulk to send, in runs of one length that are not cut. */
class Bulk implements LinkFlow {
  readonly turns = new TurnNotes();
  readonly #runBytes: number;
  leftBytes: number;
  passedBytes = 0;
  lastMs = 0;

  constructor(runBytes: number, leftBytes = Number.POSITIVE_INFINITY) {
    this.#runBytes = runBytes;
    this.leftBytes = leftBytes;
  }

  get wantsTurn(): boolean {
    return this.leftBytes > 0;
  }

  takeTurn(link: Link, maxBytes: number, startMs: number): number {
    let taken = 0;
    while (taken < maxBytes && this.leftBytes > 0) {
      const run = Math.min(this.#runBytes, this.leftBytes);
      this.lastMs = link.occupy(startMs, run);
      taken += run;
      this.leftBytes -= run;
    }
    this.passedBytes += taken;
    return taken;
  }
}

describe('bulk', () => {
  test.each([5_000, 125_000, 1_250_000, 125_000_000])('passes at %i bytes a second', (rate) => {
    const clock = new Clock();
    const link = new Link(clock, rate);
    const flow = new Bulk(1_000, rate * 20);
    link.join(flow);
    clock.runUntil(60_000);
    expect(flow.passedBytes).toBe(rate * 20);
    expect(flow.lastMs).toBeCloseTo(20_000);
  });

  test('has equal shares, whatever the length of its runs, from whenever it joins', () => {
    const clock = new Clock();
    const link = new Link(clock, 1_000_000);
    const flows = [new Bulk(700), new Bulk(16_384), new Bulk(65_000)];
    for (const flow of flows) link.join(flow);
    clock.runUntil(60_000);
    for (const { passedBytes } of flows) expect(passedBytes / 20_000_000).toBeCloseTo(1, 2);
    const late = new Bulk(3_000);
    link.join(late);
    clock.runUntil(100_000);
    expect(late.passedBytes / 10_000_000).toBeCloseTo(1, 1);
  });

  test('that comes and goes leaves no credit and no debt behind beyond a turn', () => {
    const clock = new Clock();
    const link = new Link(clock, 1_000_000);
    const steady = new Bulk(10_000);
    const bursts = new Bulk(10_000, 0);
    link.join(steady);
    for (let second = 1; second <= 20; second++) {
      bursts.leftBytes += 100_000;
      link.join(bursts);
      clock.runUntil(second * 1_000);
    }
    expect(bursts.passedBytes).toBe(2_000_000);
    expect((steady.passedBytes + bursts.passedBytes) / 20_000_000).toBeCloseTo(1, 2);
  });

  test('keeps a turn under way when the rate changes, and the rate from then on', () => {
    const clock = new Clock();
    const link = new Link(clock, 1_000_000);
    const flow = new Bulk(5_000);
    link.join(flow);
    clock.runUntil(10_000);
    link.bytesPerSecond = 100_000;
    const before = flow.passedBytes;
    clock.runUntil(20_000);
    expect((flow.passedBytes - before) / 1_000_000).toBeCloseTo(1, 1);
    link.bytesPerSecond = Number.POSITIVE_INFINITY;
    flow.leftBytes = 5e9;
    clock.runUntil(20_100);
    expect(flow.leftBytes).toBe(0);
  });
});

describe('what came in over time', () => {
  test('is through with its last byte on a faster link, as many at once as fit', () => {
    const clock = new Clock();
    const link = new Link(clock, 4_000_000);
    clock.nowMs = 50;
    // Four senders of 1 MB/s each, from 0 to 50.
    for (let sender = 0; sender < 4; sender++) expect(link.passThrough(0, 50_000)).toBeLessThanOrEqual(50);
    expect(link.passThrough(0, 50_000)).toBeCloseTo(62.5);
    expect(link.passThrough(0, 50_000)).toBeUndefined();
  });
});

describe('small messages', () => {
  test('take their time on an idle link, one after the other', () => {
    const link = new Link(new Clock(), 1_000_000);
    expect([link.passSmall(0, 1_000), link.passSmall(0, 500)]).toEqual([1, 1.5]);
  });

  test('do not wait for bulk, which makes up for them: the link carries no more than its rate', () => {
    const clock = new Clock();
    const link = new Link(clock, 100_000);
    const flows = [new Bulk(16_384), new Bulk(16_384)];
    for (const flow of flows) link.join(flow);
    let smallBytes = 0;
    let mostDelayMs = 0;
    for (let ms = 0; ms < 60_000; ms += 10) {
      clock.runUntil(ms);
      mostDelayMs = Math.max(mostDelayMs, link.passSmall(ms, 300) - ms);
      smallBytes += 300;
    }
    const bulkBytes = flows[0]!.passedBytes + flows[1]!.passedBytes;
    expect(mostDelayMs).toBeLessThan(10);
    expect((bulkBytes + smallBytes) / 6_000_000).toBeCloseTo(1, 2);
  });

  test('that are too many starve nobody: streams are to take turns, datagrams are lost', () => {
    const clock = new Clock();
    const link = new Link(clock, 100_000, 10_000);
    const bulk = new Bulk(1_000);
    link.join(bulk);
    let taken = 0;
    for (let ms = 0; ms < 10_000; ms += 1) {
      clock.runUntil(ms);
      if (!link.takesDatagram) continue;
      link.passSmall(ms, 1_000);
      taken += 1_000;
    }
    expect(link.takesSmall).toBe(false);
    expect(bulk.passedBytes / 500_000).toBeCloseTo(1, 1);
    expect(taken / 500_000).toBeCloseTo(1, 1);
  });
});
