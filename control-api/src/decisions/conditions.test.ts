import {
  Conditions,
  combineConditions,
  Fault,
  NetworkSpec,
  type PathConditions,
  regionLatencyMs,
} from '@skep/contract';
import { describe, expect, it } from 'vitest';
import { serving } from '../testing/serving-cluster.ts';
import { baseConditions, faultConditions, type Surroundings } from './conditions.ts';

const api = '10.9.9.9';
const surroundings: Surroundings = { controlApiHosts: [api], modelsNetwork: false };
const stranger = '203.0.113.7';
const { slots } = serving();
const hosts = Object.fromEntries([...slots.values()].map((row) => [row.slot, row.addresses.listen.host]));
const everywhere = { ...hosts, api, stranger };

/** The path that decides towards each remote, by its name. */
function fates(conditions: Conditions | undefined): Record<string, Omit<PathConditions, 'with'>> {
  return Object.fromEntries(
    Object.entries(everywhere).flatMap(([name, host]) => {
      const decides = conditions?.paths?.find((path) => path.with === 'any' || path.with.includes(host));
      if (decides === undefined) return [];
      const { with: _, ...path } = decides;
      return Object.keys(path).length === 0 ? [] : [[name, path]];
    }),
  );
}

const ofFault = (fault: unknown, slot: string) =>
  faultConditions(Fault.parse(fault), slots, slot, surroundings);
const both = { cut: 'both' };

describe('a partition', () => {
  const partition = (more: object) => ({ kind: 'partition', way: 'both', forMs: 1_000, ...more });

  it.each([
    [
      'of two from all',
      { nodes: ['bootstrap-1', 'peer-1'] },
      'bootstrap-1',
      ['bootstrap-2', 'bootstrap-3', 'peer-2', 'api', 'stranger'],
      'both',
    ],
    [
      'of two from all, seen by another',
      { nodes: ['bootstrap-1', 'peer-1'] },
      'peer-2',
      ['bootstrap-1', 'peer-1'],
      'both',
    ],
    [
      'from some',
      { nodes: ['peer-1'], from: ['peer-2', 'control-api'] },
      'peer-1',
      ['peer-2', 'api'],
      'both',
    ],
    [
      'from some, seen by one of them',
      { nodes: ['peer-1'], from: ['peer-2', 'control-api'] },
      'peer-2',
      ['peer-1'],
      'both',
    ],
    [
      'from some, seen by one not concerned',
      { nodes: ['peer-1'], from: ['peer-2'] },
      'bootstrap-1',
      [],
      'both',
    ],
    [
      'from a group that it is in itself',
      { nodes: ['peer-1'], from: ['peer-1', 'peer-2'] },
      'peer-1',
      ['peer-2'],
      'both',
    ],
    ['of what it sends', { nodes: ['peer-1'], from: ['peer-2'], way: 'out' }, 'peer-1', ['peer-2'], 'out'],
    [
      'of what it sends, at the other end',
      { nodes: ['peer-1'], from: ['peer-2'], way: 'out' },
      'peer-2',
      ['peer-1'],
      'in',
    ],
    ['of what it hears, at the other end', { nodes: ['peer-1'], way: 'in' }, 'peer-2', ['peer-1'], 'out'],
    ['of the control API', { nodes: ['control-api'] }, 'peer-2', ['api'], 'both'],
    ['of the control API, unheard', { nodes: ['control-api'], way: 'in' }, 'peer-2', ['api'], 'out'],
    [
      'of a slot and the control API together',
      { nodes: ['control-api', 'peer-1'] },
      'peer-1',
      ['bootstrap-1', 'bootstrap-2', 'bootstrap-3', 'peer-2', 'stranger'],
      'both',
    ],
  ] as const)('%s', (_, fault, slot, cutOff, cut) => {
    const expected = Object.fromEntries(cutOff.map((name) => [name, { cut }]));
    expect(fates(ofFault(partition(fault), slot))).toEqual(expected);
  });

  it('leaves out a control API whose address is not known', () => {
    const fault = Fault.parse(partition({ nodes: ['peer-1'], from: ['control-api'] }));
    expect(faultConditions(fault, slots, 'peer-1', { ...surroundings, controlApiHosts: [] })).toBeUndefined();
  });
});

describe('a degradation', () => {
  it('is borne by both ends, each for what it sends; for the control API its nodes bear both ways', () => {
    const fault = {
      kind: 'degrade',
      nodes: ['peer-1'],
      with: ['peer-2', 'control-api'],
      forMs: 9,
      delayMs: 20,
      lossRate: 0.5,
      upBytesPerSecond: 1_000,
    };
    const path = { delayMs: 20, lossRate: 0.5 };
    const here = ofFault(fault, 'peer-1');
    expect(here?.link).toEqual({ upBytesPerSecond: 1_000 });
    expect(fates(here)).toEqual({ 'peer-2': path, api: { delayMs: 40, lossRate: 0.75 } });
    const there = ofFault(fault, 'peer-2');
    expect(there?.link).toBeUndefined();
    expect(fates(there)).toEqual({ 'peer-1': path });
    expect(ofFault(fault, 'bootstrap-1')).toBeUndefined();
  });

  it('of any size makes conditions that a node takes', () => {
    const fault = { kind: 'degrade', nodes: ['peer-1'], forMs: 9, delayMs: 600_000, jitterMs: 600_000 };
    expect(Conditions.parse(ofFault(fault, 'peer-1'))).toEqual(ofFault(fault, 'peer-1'));
  });

  it('of links alone concerns nobody else', () => {
    const fault = { kind: 'degrade', nodes: ['peer-1'], forMs: 9, downBytesPerSecond: 5 };
    expect(ofFault(fault, 'peer-1')).toEqual({ link: { downBytesPerSecond: 5 } });
    expect(ofFault(fault, 'peer-2')).toBeUndefined();
  });
});

it('a wrong clock and a bad disk are the named slots’ own', () => {
  const clock = { kind: 'clock', nodes: ['peer-1'], skewMs: -500, forMs: 9 };
  expect(ofFault(clock, 'peer-1')).toEqual({ clock: { skewMs: -500 } });
  expect(ofFault(clock, 'peer-2')).toBeUndefined();
  const disk = { kind: 'disk', nodes: ['peer-1'], forMs: 9, full: true };
  expect(ofFault(disk, 'peer-1')).toEqual({ disk: { full: true } });
  expect(ofFault(disk, 'peer-2')).toBeUndefined();
  expect(ofFault({ kind: 'crash', nodes: ['peer-1'] }, 'peer-1')).toBeUndefined();
});

describe('the network as it always is', () => {
  const of = (network: object, slot = 'peer-1', around = surroundings) =>
    baseConditions(NetworkSpec.parse(network), slots, slots.get(slot)!, around);

  it('is nothing where the spec asks for nothing, or the runner has it', () => {
    expect(of({})).toEqual({});
    const network = { latencyMs: 9, links: { default: { upBytesPerSecond: 5 } } };
    expect(of(network, 'peer-1', { ...surroundings, modelsNetwork: true })).toEqual({});
  });

  it('delays what goes to anyone but itself by one way, and by both to the control API', () => {
    const conditions = of({
      latencyMs: 20,
      jitterMs: 2,
      lossRate: 0.5,
      links: { byRole: { peer: { upBytesPerSecond: 5 } } },
    });
    const path = { delayMs: 20, jitterMs: 2, lossRate: 0.5 };
    expect(conditions.link).toEqual({ upBytesPerSecond: 5 });
    expect(fates(conditions)).toEqual({
      'bootstrap-1': path,
      'bootstrap-2': path,
      'bootstrap-3': path,
      'peer-2': path,
      stranger: path,
      api: { delayMs: 40, jitterMs: 4, lossRate: 0.75 },
    });
  });

  it('tells remotes apart by their regions, in as many entries as there are regions', () => {
    const regions = ['eu-central-1', 'us-east-1'] as const;
    const conditions = of({ latencyMs: { regions } }, 'peer-2');
    const [near, far] = [
      regionLatencyMs('us-east-1', 'us-east-1'),
      regionLatencyMs('us-east-1', 'eu-central-1'),
    ];
    expect(fates(conditions)).toEqual({
      'bootstrap-1': { delayMs: far },
      'bootstrap-2': { delayMs: near },
      'bootstrap-3': { delayMs: far },
      'peer-1': { delayMs: far },
      api: { delayMs: far * 2 },
    });
    expect(conditions.paths!.length).toBeLessThanOrEqual(5);
  });

  it('lies under the faults', () => {
    const partition = ofFault(
      { kind: 'partition', nodes: ['peer-1'], from: ['peer-2'], way: 'both', forMs: 9 },
      'peer-1',
    );
    const whole = combineConditions([of({ latencyMs: 20 }), partition!]);
    expect(fates(whole)['peer-2']).toEqual({ delayMs: 20, ...both });
    expect(fates(whole)['bootstrap-1']).toEqual({ delayMs: 20 });
  });
});
