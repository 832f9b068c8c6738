/** The detector by itself: whom it asks, what it believes, and what it does before a verdict. */
import { describe, expect, it } from 'vitest';
import { Detector, type DetectorOutput } from './detector.ts';
import type { Claim, MemberId } from './member.ts';
import { mulberry32 } from './testing/world.ts';
import { DEFAULT_TIMING } from './timing.ts';

const members = Array.from({ length: 10 }, (_, index) => ({
  slot: `n${index}`,
  generation: 1,
  address: { host: '10.0.0.1', port: 1_000 + index },
  voter: true,
  admittedAtTerm: 0,
}));
const [self, victim, ...others] = members.map(({ slot, generation }): MemberId => ({ slot, generation }));

/** A node among ten, woken when it asks for it; all answer its pings after 10 ms but those that are `mute`. */
class Bench {
  now = 0;
  readonly mute = new Set<string>();
  readonly log: { atMs: number; output: DetectorOutput }[] = [];
  readonly detector = new Detector(
    { random: { float: mulberry32(5), bytes: (length) => new Uint8Array(length) } },
    {
      self: self!,
      configuration: { version: 1, members },
      timing: DEFAULT_TIMING,
      connectForEvidence: false,
    },
  );
  acting = false;
  #answers: { atMs: number; from: MemberId; seq: number }[] = [];

  constructor() {
    for (const member of members.slice(1)) this.take(this.detector.heard(0, member, []));
  }

  run(durationMs: number): void {
    const endMs = this.now + durationMs;
    for (;;) {
      const [answer] = this.#answers;
      const wakeMs = Math.max(this.now, this.detector.nextDueMs());
      const nextMs = Math.min(wakeMs, answer?.atMs ?? Number.POSITIVE_INFINITY);
      if (nextMs > endMs) break;
      this.now = nextMs;
      if (answer?.atMs === nextMs) {
        this.#answers.shift();
        this.hear(answer.from, []);
        this.take(this.detector.receive(this.now, answer.from, { kind: 'ack', seq: answer.seq }));
      } else this.take(this.detector.wake(this.now, this.acting));
    }
    this.now = endMs;
  }

  hear(from: MemberId, claims: readonly Claim[]): void {
    this.take(this.detector.heard(this.now, from, claims));
  }

  take(outputs: readonly DetectorOutput[]): void {
    for (const output of outputs) {
      this.log.push({ atMs: this.now, output });
      if (output.type !== 'send' || output.message.kind !== 'ping' || this.mute.has(output.to.slot)) continue;
      this.#answers.push({ atMs: this.now + 10, from: output.to, seq: output.message.seq });
    }
  }

  pinged(from: number): MemberId[] {
    return this.sent('ping', from).map(({ to }) => to);
  }

  sent(kind: string, fromMs = 0) {
    return this.log.flatMap(({ atMs, output }) =>
      atMs >= fromMs && output.type === 'send' && output.message.kind === kind
        ? [{ atMs, to: output.to }]
        : [],
    );
  }

  standings(of: MemberId): [number, string][] {
    return this.log.flatMap(({ atMs, output }) =>
      output.type === 'changed' && output.member.slot === of.slot
        ? [[Math.round(atMs), output.standing]]
        : [],
    );
  }
}

function accusation(accuser: MemberId, silentMs: number): Claim {
  return { member: victim!, incarnation: 0, standing: 'suspect', accuser, silentMs };
}

describe('probing', () => {
  it('asks the successor each interval, and each other once in a round of all', () => {
    const bench = new Bench();
    bench.run(9 * DEFAULT_TIMING.probeIntervalMs - 1);
    const pinged = bench.pinged(0).map(({ slot }) => slot);
    expect(pinged.filter((slot) => slot === 'n1').length).toBe(9);
    for (const { slot } of others) expect(pinged.filter((each) => each === slot).length, slot).toBe(1);
  });

  it('asks again and through others, drawn at random, before it suspects', () => {
    const bench = new Bench();
    bench.run(5_000);
    bench.mute.add('n1');
    bench.run(3_000);
    const [[suspectedMs]] = bench.standings(victim!) as [[number, string]];
    const relays = bench.sent('ping-request', 5_000);
    expect(suspectedMs - relays[0]!.atMs).toBeGreaterThan(300);
    expect(relays.length).toBeGreaterThanOrEqual(3);
    expect(new Set(relays.map(({ to }) => to.slot)).size).toBeGreaterThan(3);
    expect(relays.every(({ to }) => to.slot !== 'n1')).toBe(true);
  });

  it('is quiet at rest: two pings an interval, and no news', () => {
    const bench = new Bench();
    bench.run(30_000);
    const sent = bench.log.filter(({ atMs, output }) => atMs >= 10_000 && output.type === 'send').length;
    expect(sent).toBeLessThanOrEqual(2 * 40 + 3);
    expect(bench.detector.gossip(bench.now, victim!)).toEqual([]);
  });
});

describe('a verdict by silence', () => {
  it('waits the longer the fewer confirm it', () => {
    const alone = new Bench();
    alone.run(5_000);
    alone.mute.add('n1');
    alone.run(15_000);
    const confirmed = new Bench();
    confirmed.run(5_000);
    confirmed.mute.add('n1');
    confirmed.run(2_000);
    for (const accuser of others.slice(0, 3)) confirmed.hear(accuser, [accusation(accuser, 1_500)]);
    confirmed.run(13_000);
    const [waited, least] = [alone, confirmed].map((bench) => {
      const [suspected, silent] = bench.standings(victim!);
      expect([suspected![1], silent![1]]).toEqual(['suspect', 'silent']);
      return silent![0] - 5_000;
    });
    expect(least).toBeGreaterThanOrEqual(6_000);
    expect(least).toBeLessThan(7_000);
    expect(waited).toBeGreaterThanOrEqual(8_400);
    expect(waited).toBeLessThan(9_500);
  });

  it('is not made by hearsay: who is accused by everyone, and heard, lives', () => {
    const bench = new Bench();
    bench.run(5_000);
    for (let second = 0; second < 20; second += 1) {
      for (const accuser of others) bench.hear(accuser, [accusation(accuser, 60_000)]);
      for (const accuser of others)
        bench.hear(accuser, [{ ...accusation(accuser, 60_000), standing: 'silent' }]);
      bench.run(1_000);
    }
    expect(bench.standings(victim!).some(([, standing]) => standing === 'silent')).toBe(false);
  });

  it('is later if anyone knows that the silence began later', () => {
    const bench = new Bench();
    bench.run(5_000);
    bench.mute.add('n1');
    bench.run(4_000);
    for (const accuser of others.slice(0, 3)) bench.hear(accuser, [accusation(accuser, 1_000)]);
    bench.run(11_000);
    const silentMs = bench.standings(victim!).find(([, standing]) => standing === 'silent')![0];
    expect(silentMs - 8_000).toBeGreaterThanOrEqual(6_000);
    expect(silentMs - 8_000).toBeLessThan(6_600);
  });

  it('is made by nobody that hears nobody, unless its lease proves it connected', () => {
    for (const acting of [false, true]) {
      const bench = new Bench();
      bench.acting = acting;
      bench.run(5_000);
      for (const { slot } of members) bench.mute.add(slot);
      bench.run(60_000);
      expect(bench.log.some(({ output }) => output.type === 'changed' && output.standing === 'silent')).toBe(
        acting,
      );
    }
  });

  it('is acted on by a leader only after a last call in vain, made while the grace runs out', () => {
    const bench = new Bench();
    bench.acting = true;
    bench.run(5_000);
    bench.mute.add('n1');
    bench.run(2_000);
    for (const accuser of others.slice(0, 3)) bench.hear(accuser, [accusation(accuser, 1_500)]);
    bench.run(4_500);
    expect([...bench.detector.deaths(bench.now)]).toEqual([]);
    bench.run(1_500);
    const [, [silentAtMs]] = bench.standings(victim!) as [unknown, [number, string]];
    const calls = bench.sent('ping', silentAtMs - 1_000).filter(({ to }) => to.slot === 'n1');
    expect(calls.length).toBeGreaterThanOrEqual(8);
    expect([...bench.detector.deaths(bench.now)]).toMatchObject([{ member: victim, cause: 'silence' }]);
    // Whatever is heard of it now takes that back, before it has refuted anything.
    bench.hear(victim!, []);
    expect([...bench.detector.deaths(bench.now)]).toEqual([]);
  });
});

describe('a node that stood still', () => {
  it('holds its own absence against nobody, and says unasked that it lives', () => {
    const bench = new Bench();
    bench.run(5_000);
    bench.mute.add('n1');
    bench.run(2_000);
    bench.now += 30_000;
    bench.take(bench.detector.wasAway(bench.now, 30_000));
    const told = bench.sent('news', bench.now).map(({ to }) => to);
    expect(told.length).toBeGreaterThanOrEqual(5);
    expect(bench.detector.gossip(bench.now, told[0]!)).toContainEqual({
      member: self,
      incarnation: 1,
      standing: 'alive',
    });
    bench.run(2_000);
    expect(bench.standings(victim!).some(([, standing]) => standing === 'silent')).toBe(false);
  });
});

describe('evidence', () => {
  it('is passed on at once by whoever learns it, and outweighs everything but a refutation', () => {
    const bench = new Bench();
    bench.run(5_000);
    bench.hear(others[0]!, [{ member: victim!, incarnation: 0, standing: 'dead' }]);
    expect(bench.sent('news', 5_000).length).toBe(3);
    expect(bench.standings(victim!)).toEqual([[5_000, 'dead']]);
    bench.hear(others[1]!, [accusation(others[1]!, 10)]);
    bench.hear(others[1]!, [{ member: victim!, incarnation: 0, standing: 'alive' }]);
    expect(bench.detector.standingOf(victim!)).toBe('dead');
    bench.hear(others[1]!, [{ member: victim!, incarnation: 1, standing: 'alive' }]);
    expect(bench.detector.standingOf(victim!)).toBe('alive');
  });
});
