/** The arithmetic of costs against sums done by hand, and the price table against what it must hold. */
import { ClusterSpec } from '@skep/contract';
import { describe, expect, it } from 'vitest';
import { costOf, type DeploymentSize } from './cost.ts';
import { costLines, formatDollars } from './cost-table.ts';
import { deploymentSize } from './deployment-size.ts';
import { instancePricePerHour, knownInstanceTypes, type PriceTable, priceTable } from './price-table.ts';

/** Prices that are easy to add up. */
const plain: PriceTable = {
  compiled: '2026-01-01',
  currency: 'USD',
  source: 'made up',
  monthHours: 100,
  sizes: { small: 0.25, large: 1, xlarge: 2 },
  families: { t4g: ['small', 'large'], c7g: ['large', 'xlarge'] },
  regions: {
    'xx-test-1': {
      largePerHour: { t4g: 0.4, c7g: 1 },
      gp3PerGiBMonth: 0.1,
      dynamodbPerMillion: { writes: 10, reads: 1 },
      loadBalancerPerHour: 0.5,
    },
  },
  everywhere: {
    publicIpv4PerHour: 0.01,
    betweenZonesPerGB: 0.02,
    secretPerMonth: 0.5,
    hostedZonePerMonth: 1,
    lambdaPerMillionCalls: 1,
    lambdaPerGBSecond: 0.001,
    buildPerMinute: 0.1,
  },
};

const size: DeploymentSize = {
  region: 'xx-test-1',
  hours: 10,
  controlInstanceType: 't4g.small',
  nodes: [
    { role: 'bootstrap', count: 3, instanceType: 't4g.large' },
    { role: 'peer', count: 6, instanceType: 'c7g.xlarge' },
  ],
  volumeGiB: 20,
  zones: 3,
  leaseMs: 5_000,
  contentBytes: 0,
  loadBalancer: false,
};

const perHourOf = (changes: Partial<DeploymentSize>) =>
  Object.fromEntries(
    costOf(plain, { ...size, ...changes }).items.map(({ what, perHour }) => [what, perHour]),
  );

describe('costOf', () => {
  it('prices each item by the hour', () => {
    expect(perHourOf({})).toEqual({
      'control API': 0.1,
      'bootstrap nodes': 1.2,
      'peer nodes': 12,
      // Ten instances of 20 GiB, each GiB 0.1 in 100 hours.
      volumes: 0.2,
      'public IPv4 addresses': 0.1,
      secrets: 0.01,
      'private hosted zone': 0.01,
      // 360 heartbeats and 720 leases of three writes each; 1,800 reads.
      'DynamoDB requests': 0.027,
      // 72 calls of half a second with half a GB.
      'watchdog and reaper': 0.018072,
    });
  });

  it.each([
    ['a load balancer is one more', { loadBalancer: true }, { 'load balancer': 0.5 }],
    ['a longer lease is renewed less often', { leaseMs: 10_000 }, { 'DynamoDB requests': 0.0162 }],
  ])('%s', (_, changes, expected) => {
    expect(perHourOf(changes)).toMatchObject(expected);
  });

  it('has an item for roles that have nodes, and no others', () => {
    const nodes = [{ role: 'peer', count: 0, instanceType: 't4g.large' }];
    expect(perHourOf({ nodes })).not.toHaveProperty('peer nodes');
    expect(perHourOf({ nodes })).toMatchObject({ volumes: 0.02 });
  });

  it('adds up to an hour, a day and the whole time, with what is paid once', () => {
    const cost = costOf(plain, size);
    expect(cost.perHour).toBeCloseTo(13.665072, 9);
    expect(cost.perDay).toBeCloseTo(13.665072 * 24, 5);
    expect(cost.once).toEqual([{ what: 'image build', quantity: '5 min', amount: 0.5 }]);
    expect(cost.untilEnd).toBeCloseTo(136.65072 + 0.5, 6);
  });

  it.each([
    // Five leeches fetch 3 GB each, two thirds of it from other zones.
    [3, 3e9, 0.2],
    [1, 3e9, undefined],
    [2, 0, undefined],
  ])('in %i zones, %i bytes to every peer cross zones for %s', (zones, contentBytes, amount) => {
    const crossing = costOf(plain, { ...size, zones, contentBytes }).once.find(({ what }) =>
      /zones/.test(what),
    );
    expect(crossing?.amount).toBe(amount);
  });

  it.each([
    ['a region', { region: 'xx-moon-1' }, /no region xx-moon-1: it has xx-test-1/],
    ['a family', { controlInstanceType: 'm5.large' }, /no instance type m5.large.*t4g.small, t4g.large, c7g/],
    ['a size', { controlInstanceType: 't4g.xlarge' }, /no instance type t4g.xlarge/],
    ['no type at all', { controlInstanceType: '' }, /no instance type/],
    ['a word that objects have', { controlInstanceType: 't4g.constructor' }, /no instance type/],
  ])('%s without a price is told, with those that have one', (_, changes, sentence) => {
    expect(() => costOf(plain, { ...size, ...changes })).toThrow(sentence);
  });
});

describe('deploymentSize', () => {
  const spec = ClusterSpec.parse({
    name: 'lab',
    peers: 7,
    placement: { instanceTypes: ['m7g.large', 't3.large'], zones: ['a', 'b'] },
  });

  it('takes counts, zones and the first instance type from the spec', () => {
    expect(deploymentSize(spec, { region: 'eu-west-1', hours: 2, contentBytes: 5 })).toMatchObject({
      hours: 2,
      nodes: expect.arrayContaining([
        { role: 'bootstrap', count: 3, instanceType: 'm7g.large' },
        { role: 'peer', count: 7, instanceType: 'm7g.large' },
      ]),
      zones: 2,
      contentBytes: 5,
    });
  });

  it.each([
    ['arm64', 't4g.small'],
    ['x86_64', 't3.small'],
  ] as const)('is of small instances where nothing is said of types: %s, %s', (architecture, type) => {
    const size = deploymentSize(ClusterSpec.parse({ name: 'lab', index: 2 }), {
      region: 'eu-west-1',
      architecture,
    });
    expect(size.controlInstanceType).toBe(type);
    expect(size.nodes).toContainEqual({ role: 'index', count: 2, instanceType: type });
  });

  it('has a price for every default', () => {
    const cost = costOf(
      priceTable,
      deploymentSize(ClusterSpec.parse({ name: 'lab' }), { region: 'us-east-1' }),
    );
    expect(cost.untilEnd).toBeGreaterThan(1);
    expect(cost.untilEnd).toBeLessThan(5);
  });
});

describe('the table that ships', () => {
  it.each(Object.keys(priceTable.regions))('has every type in %s', (region) => {
    for (const type of knownInstanceTypes(priceTable)) {
      expect(instancePricePerHour(priceTable, region, type), type).toBeGreaterThan(0.002);
    }
  });

  it.each([
    ['us-east-1', 't4g.small', 0.0168],
    ['us-west-2', 't3.micro', 0.0104],
    ['eu-central-1', 'm7g.2xlarge', 0.391],
    ['eu-west-1', 't4g.nano', 0.0046],
    ['ap-south-1', 't4g.xlarge', 0.0896],
  ])('knows that in %s a %s is %f an hour', (region, type, price) => {
    expect(instancePricePerHour(priceTable, region, type)).toBeCloseTo(price, 9);
  });
});

describe('lines for people', () => {
  it.each([
    [0, '$0.000'],
    [0.0003, '<$0.001'],
    [0.0168, '$0.017'],
    [12.345, '$12.35'],
  ])('%f is %s', (amount, text) => {
    expect(formatDollars(amount)).toBe(text);
  });

  it('have a row an item, the total last, and say of when the prices are', () => {
    const lines = costLines(costOf(plain, size), plain);
    expect(lines[0]).toMatch(/AN HOUR +A DAY +UNTIL ITS END \(10 H\)/);
    expect(lines[3]).toMatch(/^peer nodes +6 × c7g.xlarge +\$12.00 +\$288.00 +\$120.00$/);
    expect(lines.at(-2)).toMatch(/^total +\$13.67 +\$327.96 +\$137.15$/);
    expect(lines.at(-1)).toBe('made up (2026-01-01)');
  });
});
