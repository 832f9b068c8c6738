import { describe, expect, it } from 'vitest';
import { latencyBetweenMs, linkOf, NetworkSpec, regionOf } from './network.ts';
import { regionLatencyMs } from './region-latencies.ts';

const slots = Array.from({ length: 20 }, (_, index) => `peer-${index + 1}`);

describe('a network spec', () => {
  it('is nothing in particular when empty', () => {
    expect(NetworkSpec.parse({})).toEqual({ latencyMs: 0 });
  });

  it.each([
    { latencyMs: -1 },
    { latencyMs: { minMs: 5, maxMs: 4 } },
    { latencyMs: { regions: [] } },
    { latencyMs: { regions: ['mars-north-1'] } },
    { lossRate: 1.1 },
    { links: { byRole: { king: {} } } },
    { links: { bySlot: { 'king-1': {} } } },
    { links: { default: { upBytesPerSecond: 0 } } },
  ])('refuses %j', (spec) => {
    expect(NetworkSpec.safeParse(spec).success).toBe(false);
  });
});

describe('latencyBetweenMs', () => {
  it('gives each pair a figure of its own within the bounds, the same both ways and always', () => {
    const network = NetworkSpec.parse({ latencyMs: { minMs: 10, maxMs: 50 } });
    const drawn = slots.flatMap((one) => slots.map((other) => latencyBetweenMs(network, one, other)));
    expect(Math.min(...drawn)).toBeGreaterThanOrEqual(10);
    expect(Math.max(...drawn)).toBeLessThan(50);
    const mean = drawn.reduce((total, ms) => total + ms, 0) / drawn.length;
    expect(mean).toBeGreaterThan(28);
    expect(mean).toBeLessThan(32);
    expect(new Set(drawn).size).toBe((slots.length * (slots.length + 1)) / 2);
    // Pinned: another figure would be another network for whoever repeats a run.
    expect(latencyBetweenMs(network, 'peer-1', 'control-api')).toBeCloseTo(35.8243, 4);
  });

  it('stands slots in the regions in turn, the control API in the first', () => {
    const regions = ['eu-central-1', 'us-east-1', 'ap-south-1'] as const;
    const network = NetworkSpec.parse({ latencyMs: { regions: [...regions] } });
    expect(
      ['bootstrap-1', 'peer-2', 'peer-3', 'peer-4', 'control-api'].map((n) => regionOf(regions, n)),
    ).toEqual(['eu-central-1', 'us-east-1', 'ap-south-1', 'eu-central-1', 'eu-central-1']);
    expect(latencyBetweenMs(network, 'peer-2', 'control-api')).toBe(
      regionLatencyMs('us-east-1', 'eu-central-1'),
    );
  });
});

it('gives a slot the link of the nearest word about it', () => {
  const network = NetworkSpec.parse({
    links: {
      default: { upBytesPerSecond: 1 },
      byRole: { bootstrap: { upBytesPerSecond: 2 } },
      bySlot: { 'bootstrap-2': { upBytesPerSecond: 3 } },
    },
  });
  expect(linkOf(network, 'peer', 'peer-1')?.upBytesPerSecond).toBe(1);
  expect(linkOf(network, 'bootstrap', 'bootstrap-1')?.upBytesPerSecond).toBe(2);
  expect(linkOf(network, 'bootstrap', 'bootstrap-2')?.upBytesPerSecond).toBe(3);
  expect(linkOf(NetworkSpec.parse({}), 'peer', 'peer-1')).toBeUndefined();
});
