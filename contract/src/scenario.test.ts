/** Scenarios as people write them: what units come to, and what is said of mistakes. */
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Duration, Rate, Size } from './quantities.ts';
import { Scenario, scenarioJsonSchema } from './scenario.ts';
import { scenarioIssues } from './scenario-issues.ts';
import { sayTime, spokenField } from './spoken.ts';

const least = {
  name: 'least',
  content: [{ name: 'a.bin', bytes: '1 MiB' }],
  expect: { downloads: { within: '1m' } },
};

describe('quantities', () => {
  it.each([
    [Size, '64 MiB', 67_108_864],
    [Size, '64MiB', 67_108_864],
    [Size, '1.5 GB', 1_500_000_000],
    [Size, 16_384, 16_384],
    [Rate, '10 Mbit/s', 1_250_000],
    [Rate, '500 kB/s', 500_000],
    [Rate, '3 MiB/s', 3_145_728],
    [Rate, 1_250_000, 1_250_000],
    [Duration, '250ms', 250],
    [Duration, '1.5s', 1_500],
    [Duration, '2m', 120_000],
    [Duration, '1 h', 3_600_000],
    [Duration, 0, 0],
  ])('%#: %s', (schema, text, amount) => {
    expect(schema.parse(text)).toBe(amount);
  });

  it.each([
    [Size, '64 Mi'],
    [Size, '64 mb'],
    [Size, '-1 MiB'],
    [Size, ''],
    [Size, -1],
    [Rate, '10 Mbps'],
    [Rate, '10 MiB'],
    [Duration, 30],
    [Duration, '30'],
    [Duration, '-1s'],
    [Duration, '1m30s'],
    [Duration, '1e3s'],
  ])('%#: %s is refused with an example', (schema, text) => {
    const { error } = schema.safeParse(text);
    expect(error?.issues[0]?.message).toMatch(/^Write a (size|rate|time)/);
  });

  it('times are said so that they read back', () => {
    fc.assert(
      fc.property(fc.nat(10_000_000), (ms) => {
        expect(Duration.parse(sayTime(ms))).toBe(ms);
      }),
    );
  });

  it.each([
    ['graceMs', 'grace'],
    ['upBytesPerSecond', 'up'],
    ['bytesPerSecond', 'rate'],
    ['bytes', 'bytes'],
    ['lossRate', 'lossRate'],
  ])('%s is written %s', (key, name) => {
    expect(spokenField(key).name).toBe(name);
  });
});

describe('a scenario', () => {
  it('has every default filled in, in the form of programs', () => {
    expect(Scenario.parse(least)).toEqual({
      name: 'least',
      cluster: expect.objectContaining({
        bootstrap: 3,
        peers: 5,
        graceMs: 6_000,
        heal: ['bootstrap', 'index', 'peer'],
      }),
      content: [{ name: 'a.bin', bytes: 1_048_576, seeds: 1, leeches: 'all', atMs: 0 }],
      timeline: [],
      expect: { downloads: { withinMs: 60_000, share: 1 } },
      forMs: 0,
      limitMs: 600_000,
      sampleIntervalMs: 1_000,
    });
  });

  it('turns every unit of cluster, network, timeline and simulation', () => {
    const plan = Scenario.parse({
      ...least,
      cluster: { grace: '4s', upload: '8 Mbit/s' },
      network: {
        latency: { min: '5ms', max: '40ms' },
        jitter: '1ms',
        links: { byRole: { peer: { up: '8 Mbit/s' } }, bySlot: { 'peer-1': { down: '1 MB/s' } } },
      },
      timeline: [
        {
          at: '3s',
          fault: { kind: 'partition', nodes: ['leader', { some: 2, of: 'peer' }], way: 'out', for: '5s' },
        },
        { at: '4s', fault: { kind: 'clock', nodes: 'peer-1', skew: '-90s', for: '5s' } },
        { at: '5s', fault: { kind: 'disk', nodes: 'peer', rate: '1 MB/s', delay: '10ms', for: '5s' } },
      ],
      sim: { boot: { min: '1s', max: '2s' }, launchFailureRate: 0.1 },
    });
    expect(plan.cluster).toMatchObject({ graceMs: 4_000, uploadBytesPerSecond: 1_000_000 });
    expect(plan.network).toEqual({
      latencyMs: { minMs: 5, maxMs: 40 },
      jitterMs: 1,
      links: {
        byRole: { peer: { upBytesPerSecond: 1e6 } },
        bySlot: { 'peer-1': { downBytesPerSecond: 1e6 } },
      },
    });
    expect(plan.timeline.map(({ fault }) => fault)).toEqual([
      { kind: 'partition', nodes: ['leader', { some: 2, of: 'peer' }], way: 'out', forMs: 5_000 },
      { kind: 'clock', nodes: 'peer-1', skewMs: -90_000, forMs: 5_000 },
      { kind: 'disk', nodes: 'peer', bytesPerSecond: 1e6, delayMs: 10, forMs: 5_000 },
    ]);
    expect(plan.sim).toEqual({ boot: { minMs: 1_000, maxMs: 2_000 }, launchFailureRate: 0.1 });
  });

  const fault = (fields: object) => ({ network: {}, timeline: [{ at: '1s', fault: fields }] });

  it.each<[string, object, string, RegExp]>([
    ['a field that is none', { clusters: {} }, 'clusters', /no field clusters here/],
    ['a program’s field', { cluster: { graceMs: 4 } }, 'cluster.graceMs', /write grace, and the unit/],
    ['a value too small', { cluster: { grace: '1ms' } }, 'cluster.grace', /^The least is 500ms\.$/],
    ['a value too big', { cluster: { peers: 10_001 } }, 'cluster.peers', /^The most is 10000\.$/],
    ['a missing field', { expect: { downloads: {} } }, 'expect.downloads.within', /must be given/],
    ['nothing expected', { expect: {} }, 'expect', /cannot fail/],
    ['nothing expected in truth', { expect: { invariants: false } }, 'expect', /cannot fail/],
    ['healing from nothing', { expect: { healed: { within: '1s' } } }, 'expect.healed', /no fault/],
    ['downloads of nothing', { content: [] }, 'expect.downloads', /add content/],
    [
      'a bound without links',
      { expect: { lastFinisher: { timesBound: 2 } } },
      'expect.lastFinisher',
      /links/,
    ],
    ['a run longer than its limit', { for: '11m' }, 'for', /limit/],
    ['a time after the end', { content: [{ ...least.content[0], at: '11m' }] }, 'content[0].at', /limit/],
    [
      'a range the wrong way',
      { network: { latency: { min: '2ms', max: '1ms' } } },
      'network.latency',
      /^Min is at most max\.$/,
    ],
    ['no latency at all', { network: { latency: 'far' } }, 'network.latency', /Write a time/],
    [
      'more seeds than peers',
      { content: [{ ...least.content[0], seeds: 6 }] },
      'content[0].seeds',
      /5 peers/,
    ],
    [
      'a seed that comes later',
      { content: [{ ...least.content[0], seeds: ['peer-6'] }] },
      'content[0].seeds',
      /peer-6/,
    ],
    [
      'a leech that never comes',
      { content: [{ ...least.content[0], leeches: ['peer-9'] }] },
      'content[0].leeches',
      /peer-9/,
    ],
    [
      'two contents of a name',
      { content: [least.content[0], least.content[0]] },
      'content[1].name',
      /^Another content/,
    ],
    ['a path as name', { content: [{ name: '../x', bytes: 1 }] }, 'content[0].name', /^Letters/],
    [
      'two things at once',
      { timeline: [{ at: '1s', addPeers: 1, addContent: 'a.bin' }] },
      'timeline[0]',
      /one thing/,
    ],
    ['nothing at a time', { timeline: [{ at: '1s' }] }, 'timeline[0]', /one thing/],
    ['unknown content', { timeline: [{ at: '1s', addContent: 'b' }] }, 'timeline[0].addContent', /named b/],
    ['an unknown fault', fault({ kind: 'flood', nodes: 'peer' }), 'timeline[0].fault.kind', /crash/],
    ['an unknown node', fault({ kind: 'crash', nodes: 'queen' }), 'timeline[0].fault.nodes', /name a slot/i],
    [
      'a slot beyond the cluster',
      fault({ kind: 'crash', nodes: 'peer-6' }),
      'timeline[0].fault.nodes',
      /no peer-6/,
    ],
    [
      'index nodes that nobody asked for',
      fault({ kind: 'crash', nodes: 'index-1' }),
      'timeline[0].fault.nodes',
      /no index-1/,
    ],
    [
      'more than there are',
      fault({ kind: 'crash', nodes: { some: 9, of: 'peer' } }),
      'timeline[0].fault.nodes',
      /only 5/,
    ],
    [
      'a fault that does nothing',
      fault({ kind: 'degrade', nodes: 'peer', for: '1s' }),
      'timeline[0].fault',
      /delay, lossRate/,
    ],
    ['a fault for ever', fault({ kind: 'pause', nodes: 'peer' }), 'timeline[0].fault.for', /must be given/],
    [
      'a fault of paths without a network',
      { timeline: [{ at: '1s', fault: { kind: 'degrade', nodes: 'peer', delay: '1ms', for: '1s' } }] },
      'timeline[0].fault.kind',
      /network/,
    ],
  ])('is refused for %s', (_what, fields, field, sentence) => {
    const { error } = Scenario.safeParse({ ...least, ...fields });
    const issues = scenarioIssues(error!).map(({ path, message }) => ({ field: dotted(path), message }));
    expect(issues).toContainEqual({ field, message: expect.stringMatching(sentence) });
  });

  it('index nodes may be named, each, all, and by chance', () => {
    const timeline = ['index-2', 'index', { some: 2, of: 'index' }].map((nodes) => ({
      at: '1s',
      fault: { kind: 'crash', nodes },
    }));
    expect(Scenario.safeParse({ ...least, cluster: { index: 2 }, timeline }).success).toBe(true);
  });

  it('peers that come later may be named', () => {
    const timeline = [
      { at: '1s', addPeers: 1 },
      { at: '2s', fault: { kind: 'crash', nodes: 'peer-6' } },
    ];
    expect(Scenario.safeParse({ ...least, timeline }).success).toBe(true);
  });

  it('never throws, whatever a file holds', () => {
    fc.assert(
      fc.property(fc.object({ maxDepth: 4 }), (object) => {
        const { error } = Scenario.safeParse({ ...least, ...object });
        if (error !== undefined) expect(scenarioIssues(error).length).toBeGreaterThan(0);
      }),
    );
  });

  it('has a JSON Schema in the words of the file', () => {
    const text = JSON.stringify(scenarioJsonSchema());
    for (const word of ['"grace"', '"within"', '|leader|', '"latency"', 'Mbit']) expect(text).toContain(word);
    expect(text).not.toMatch(/"\w+(Ms|BytesPerSecond)"/);
  });
});

function dotted(path: readonly (string | number)[]): string {
  return path
    .map((part, index) => (typeof part === 'number' ? `[${part}]` : `${index > 0 ? '.' : ''}${part}`))
    .join('');
}
