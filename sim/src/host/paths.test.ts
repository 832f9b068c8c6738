/** Latency, loss and cuts of paths: exact where they are fixed, by statistics of fixed seeds where they are drawn. */
import { describe, expect, test } from 'vitest';
import type { PathEnd, PathOptions } from './paths.ts';
import { Paths } from './paths.ts';
import { RandomStream } from './random-stream.ts';
import { SimWorld } from './sim-world.ts';

const SAMPLES = 20_000;

function endsOf(paths: Paths, regions: readonly string[]): PathEnd[] {
  return regions.map((region, ordinal) => ({
    ordinal,
    address: `10.0.0.${ordinal + 1}`,
    region: paths.regionOf(region),
    random: new RandomStream(1, `end ${ordinal}`),
  }));
}

function pair(options: PathOptions, seed = 1): { paths: Paths; a: PathEnd; b: PathEnd; c: PathEnd } {
  const paths = new Paths({ seed }, options);
  const [a, b, c] = endsOf(paths, ['east', 'west', 'east']);
  return { paths, a: a!, b: b!, c: c! };
}

const shareOf = (draw: () => boolean): number => {
  let hits = 0;
  for (let sample = 0; sample < SAMPLES; sample++) if (draw()) hits++;
  return hits / SAMPLES;
};

describe('latency', () => {
  test('fixed, told by a function, or by regions', () => {
    const fixed = pair({ latencyMs: 7 });
    expect(fixed.paths.latencyMs(fixed.a, fixed.b)).toBe(7);
    const told = pair({ latencyMs: (from, to) => (from < to ? 1 : 2) });
    expect([told.paths.latencyMs(told.a, told.b), told.paths.latencyMs(told.b, told.a)]).toEqual([1, 2]);
    const asked: string[] = [];
    const byRegion = (from: string, to: string) => {
      asked.push(`${from} ${to}`);
      return from === to ? 1 : 30;
    };
    const { paths, a, b, c } = pair({ latencyMs: { byRegion } });
    for (let time = 0; time < 3; time++)
      expect([paths.latencyMs(a, b), paths.latencyMs(b, a), paths.latencyMs(a, c)]).toEqual([30, 30, 1]);
    expect(asked).toEqual(['east west', 'west east', 'east east']);
  });

  test('a range gives each pair its own, the same both ways and each time, evenly spread', () => {
    const paths = new Paths({ seed: 3 }, { latencyMs: { minMs: 10, maxMs: 50 } });
    const ends = endsOf(paths, new Array(200).fill(''));
    const drawn: number[] = [];
    for (const a of ends)
      for (const b of ends) {
        if (a.ordinal >= b.ordinal) continue;
        drawn.push(paths.latencyMs(a, b));
        expect(paths.latencyMs(b, a)).toBe(drawn.at(-1));
      }
    const mean = drawn.reduce((sum, each) => sum + each, 0) / drawn.length;
    expect(mean).toBeGreaterThan(29.5);
    expect(mean).toBeLessThan(30.5);
    for (let quarter = 0; quarter < 4; quarter++) {
      const inQuarter = drawn.filter((each) => Math.floor((each - 10) / 10) === quarter).length;
      expect(inQuarter / drawn.length).toBeCloseTo(0.25, 1);
    }
    expect(new Set(drawn).size).toBeGreaterThan(drawn.length * 0.99);
    const other = new Paths({ seed: 4 }, { latencyMs: { minMs: 10, maxMs: 50 } });
    expect(other.latencyMs(ends[0]!, ends[1]!)).not.toBe(drawn[0]);
  });

  test('a machine reaches itself at once, whatever is wrong with its paths', () => {
    const { paths, a } = pair({
      latencyMs: 100,
      jitterMs: 50,
      udpLossRate: 1,
      udpDuplicateRate: 1,
      udpReorderRate: 1,
    });
    paths.cut({ from: [a.address], to: [a.address] });
    paths.degrade([a.address], [a.address], { delayMs: 1_000, lossRate: 1 });
    expect(paths.datagramDelayMs(a, a)).toBeLessThan(1);
    expect([paths.losesDatagram(a, a), paths.doublesDatagram(a, a), paths.lossRate(a, a)]).toEqual([
      false,
      false,
      0,
    ]);
  });
});

describe('what is drawn for each datagram', () => {
  test('jitter is uniform in its range', () => {
    const { paths, a, b } = pair({ latencyMs: 10, jitterMs: 8 });
    let sum = 0;
    for (let sample = 0; sample < SAMPLES; sample++) {
      const delayMs = paths.datagramDelayMs(a, b);
      expect(delayMs >= 10 && delayMs < 18).toBe(true);
      sum += delayMs;
    }
    expect(sum / SAMPLES).toBeCloseTo(14, 1);
  });

  test('loss, duplicates and reordering come at their rates', () => {
    const { paths, a, b } = pair({
      latencyMs: 10,
      udpLossRate: 0.1,
      udpDuplicateRate: 0.2,
      udpReorderRate: 0.3,
    });
    expect(shareOf(() => paths.losesDatagram(a, b))).toBeCloseTo(0.1, 1.7);
    expect(shareOf(() => paths.doublesDatagram(a, b))).toBeCloseTo(0.2, 1.7);
    expect(shareOf(() => paths.datagramDelayMs(a, b) > 19)).toBeCloseTo(0.3, 1.7);
  });
});

describe('degradations', () => {
  test('hold one way for the machines named, add up, and heal one by one', () => {
    const { paths, a, b, c } = pair({ latencyMs: 10 });
    const heals = [
      paths.degrade([a.address], [b.address], { delayMs: 5, lossRate: 0.5 }),
      paths.degrade([a.address, c.address], [b.address], { delayMs: 20, lossRate: 0.5 }),
    ];
    const delays = () => [
      paths.latencyMs(a, b),
      paths.latencyMs(b, a),
      paths.latencyMs(c, b),
      paths.latencyMs(a, c),
    ];
    expect(delays()).toEqual([35, 10, 30, 10]);
    expect(paths.lossRate(a, b)).toBeCloseTo(0.75);
    expect(shareOf(() => paths.losesDatagram(a, b))).toBeCloseTo(0.75, 1.7);
    heals[0]!();
    expect(delays()).toEqual([30, 10, 30, 10]);
    heals[1]!();
    expect(delays()).toEqual([10, 10, 10, 10]);
  });

  test('make jitter, duplicates and reordering too', () => {
    const { paths, a, b } = pair({ latencyMs: 10 });
    paths.degrade([a.address], [b.address], { jitterMs: 4, duplicateRate: 0.5, reorderRate: 1 });
    expect(shareOf(() => paths.doublesDatagram(a, b))).toBeCloseTo(0.5, 1.7);
    expect(paths.datagramDelayMs(a, b)).toBeGreaterThanOrEqual(20);
    expect(shareOf(() => paths.jitterMs(a, b) > 2)).toBeCloseTo(0.5, 1.7);
    paths.healAll();
    expect(paths.datagramDelayMs(a, b)).toBe(10);
  });
});

describe('cuts', () => {
  test('hold one way, for machines that come later too, and heal one by one', () => {
    const { paths, a, b, c } = pair({ latencyMs: 10 });
    const heal = paths.cut({ from: [a.address], to: [b.address, '10.0.0.77'] });
    paths.cut({ from: [c.address], to: [b.address] });
    const late: PathEnd = { ...b, ordinal: 76, address: '10.0.0.77' };
    const cuts = () =>
      [
        [a, b],
        [b, a],
        [a, late],
        [c, b],
        [c, late],
      ].map(([x, y]) => paths.isCut(x!, y!));
    expect(cuts()).toEqual([true, false, true, true, false]);
    heal();
    expect(cuts()).toEqual([false, false, false, true, false]);
  });

  test('take what is under way, and end with what heals them', async () => {
    const world = new SimWorld({ seed: 1, network: { latencyMs: 10 } });
    const [a, b] = ['10.0.0.1', '10.0.0.2'].map((address) => world.createHost({ address }));
    let heard = 0;
    const at = { host: '0.0.0.0', port: 1 };
    const socket = await world.complete(a!.net.bindUdp(at, () => {}));
    await world.complete(b!.net.bindUdp(at, () => heard++));
    const send = () => socket.send(Uint8Array.of(1), { host: '10.0.0.2', port: 1 });
    send();
    await world.run({ untilMs: world.nowMs + 5 });
    const heal = world.cutOneWay(['10.0.0.1'], ['10.0.0.2']);
    await world.run({ untilMs: world.nowMs + 20 });
    send();
    await world.run({ untilMs: world.nowMs + 20 });
    expect(heard).toBe(0);
    heal();
    send();
    await world.run();
    expect(heard).toBe(1);
  });
});

test('a link takes datagrams up to its queue, and passes them at its rate', async () => {
  const world = new SimWorld({ seed: 1, network: { latencyMs: 10 } });
  const a = world.createHost({ address: '10.0.0.1', upBytesPerSecond: 100_000 });
  const b = world.createHost({ address: '10.0.0.2' });
  const at = { host: '0.0.0.0', port: 1 };
  let heard = 0;
  const socket = await world.complete(a.net.bindUdp(at, () => {}));
  await world.complete(b.net.bindUdp(at, () => heard++));
  const startMs = world.nowMs;
  for (let sent = 0; sent < 1_000; sent++) socket.send(new Uint8Array(972), { host: b.address, port: 1 });
  await world.run({ untilMs: startMs + 111 });
  // 1,000 bytes each with headers.
  expect(heard).toBe(10);
  await world.run();
  expect(heard).toBeGreaterThan(60);
  expect(heard).toBeLessThan(70);
});
