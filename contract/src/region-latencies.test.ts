import { describe, expect, it } from 'vitest';
import { awsRegions, isAwsRegion, regionLatencyMs } from './region-latencies.ts';

describe('latencies between AWS regions', () => {
  it('are half of what was published', () => {
    expect(regionLatencyMs('us-east-1', 'us-west-2')).toBeCloseTo(64.419 / 2, 0);
    expect(regionLatencyMs('eu-west-1', 'ap-southeast-2')).toBeCloseTo(255.742 / 2, 0);
    expect(regionLatencyMs('eu-central-1', 'eu-central-1')).toBeLessThan(5);
  });

  it('are there for every pair, the same both ways, and possible at the speed of light in glass', () => {
    for (const one of awsRegions)
      for (const other of awsRegions) {
        const latencyMs = regionLatencyMs(one, other);
        expect(latencyMs).toBe(regionLatencyMs(other, one));
        expect(latencyMs).toBeGreaterThan(one === other ? 0.5 : 2);
        expect(latencyMs).toBeLessThan(one === other ? 6 : 250);
      }
    // Dublin and Sydney are 17 200 km apart; light in glass makes 200 km in a millisecond.
    expect(regionLatencyMs('eu-west-1', 'ap-southeast-2')).toBeGreaterThan(17_200 / 200);
  });

  it('are known of all regions that its list names, and a stranger is told which', () => {
    expect(awsRegions.length).toBe(33);
    expect([...awsRegions].sort()).toEqual([...awsRegions]);
    expect(isAwsRegion('us-east-1')).toBe(true);
    expect(isAwsRegion('toString')).toBe(false);
    expect(() => regionLatencyMs('us-east-1', 'mars-north-1')).toThrow('choose one of af-south-1');
  });
});
