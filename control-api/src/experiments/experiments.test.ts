/** The pure parts of experiments, by table: bounds, choices, downloads, healing, verdicts. */
import { ClusterSpec, type ClusterView, type NodeView, type ScenarioPlan } from '@skep/contract';
import { describe, expect, it } from 'vitest';
import { minimumDistributionMs, slotRates } from './bound.ts';
import { quantile, Spread } from './downloads.ts';
import { expectationsOf, outcomeOf, type Seen, verdictOf } from './expectations.ts';
import { HealingWatch } from './healing-watch.ts';
import { type Draw, needsLeader, resolveFault } from './selectors.ts';

const infoHash = 'a'.repeat(40);
const sha256 = 'b'.repeat(64);
const { name: _name, ...spec } = ClusterSpec.parse({ name: 'test', graceMs: 4_000 });

function node(slot: string, fields: Partial<NodeView> = {}): NodeView {
  return {
    slot,
    role: slot.split('-')[0] as NodeView['role'],
    generation: 1,
    attempt: 1,
    state: 'serving',
    address: { host: '10.0.0.9', port: 1 },
    heardAgoMs: 100,
    torrents: [],
    ...fields,
  };
}

function holding(fields: Partial<NodeView['torrents'][number]>): NodeView['torrents'][number] {
  return {
    infoHash,
    state: 'downloading',
    lengthBytes: 100,
    haveBytes: 0,
    downloadRate: 0,
    uploadRate: 0,
    downloadedBytes: 0,
    uploadedBytes: 0,
    wastedBytes: 0,
    peers: 1,
    ...fields,
  };
}

const done = (seconds: number, sum = sha256) =>
  holding({ state: 'seeding', haveBytes: 100, seconds, sha256: sum });

function view(nodes: NodeView[], holder = 'bootstrap-1@1'): ClusterView {
  return {
    name: 'test',
    uid: 'c'.repeat(32),
    state: 'active',
    spec: { name: 'test', ...spec },
    createdAtMs: 0,
    lease: { term: 1, holder, held: holder !== '' },
    nodes,
  };
}

describe('the bound', () => {
  it.each([
    ['the seed sends each byte once', 1_000, { up: 10, leeches: [{ up: 1e9, down: 1e9 }] }, 100_000],
    ['the slowest takes it in', 1_000, { up: 1e9, leeches: [{ up: 1e9, down: 5 }] }, 200_000],
    [
      'all uplinks carry the copies',
      1_000,
      { up: 10, leeches: Array(9).fill({ up: 10, down: 1e9 }) },
      100_000,
    ],
    ['leeches that give nothing', 1_000, { up: 10, leeches: Array(9).fill({ up: 0, down: 1e9 }) }, 900_000],
    ['no limit, no bound', 1_000, { up: Infinity, leeches: [{ up: Infinity, down: Infinity }] }, undefined],
    ['nobody to be served', 1_000, { up: 10, leeches: [] }, undefined],
  ])('%s', (_what, bytes, { up, leeches }, boundMs) => {
    const rates = leeches.map((leech) => ({ upBytesPerSecond: leech.up, downBytesPerSecond: leech.down }));
    const bound = minimumDistributionMs(bytes, { seedUpBytesPerSecond: up, leeches: rates });
    if (boundMs === undefined) expect(bound).toBeUndefined();
    else expect(bound).toBeCloseTo(boundMs, 3);
  });

  it('counts the lower of link and node limits, of the slot before the role', () => {
    const network = {
      latencyMs: 0,
      links: { byRole: { peer: { upBytesPerSecond: 100 } }, bySlot: { 'peer-2': { upBytesPerSecond: 900 } } },
    };
    const plan = { network, cluster: { ...spec, uploadBytesPerSecond: 500 } };
    expect(slotRates('peer-1', plan)).toEqual({ upBytesPerSecond: 100, downBytesPerSecond: Infinity });
    expect(slotRates('peer-2', plan).upBytesPerSecond).toBe(500);
  });
});

describe('choosing nodes', () => {
  const cluster = view([
    node('bootstrap-1'),
    node('bootstrap-2'),
    node('index-1'),
    node('peer-1'),
    node('peer-2'),
    node('peer-3'),
  ]);
  /** By the ordinal, last first. */
  const draw: Draw = (label) => String(9 - Number(label.at(-1)));
  const chosen = (nodes: Extract<Parameters<typeof resolveFault>[0], { kind: 'crash' }>['nodes']) =>
    resolveFault({ kind: 'crash', nodes }, cluster, draw, 'x');

  it.each([
    ['peer-2', ['peer-2']],
    ['bootstrap', ['bootstrap-1', 'bootstrap-2']],
    ['index', ['index-1']],
    ['leader', ['bootstrap-1']],
    ['control-api', ['control-api']],
    [{ some: 2, of: 'peer' as const }, ['peer-3', 'peer-2']],
    [
      ['leader', 'bootstrap', 'peer-1'],
      ['bootstrap-1', 'bootstrap-2', 'peer-1'],
    ],
  ])('%j', (nodes, slots) => {
    expect(chosen(nodes)).toEqual({ kind: 'crash', nodes: slots });
  });

  it('a leader is needed wherever one is named', () => {
    expect(needsLeader({ kind: 'partition', nodes: 'peer', from: ['leader'], way: 'both', forMs: 1 })).toBe(
      true,
    );
    expect(needsLeader({ kind: 'crash', nodes: 'bootstrap-1' })).toBe(false);
  });
});

function spreadOf(leeches: 'all' | string[] = 'all'): Spread {
  return new Spread({
    plan: { name: 'a.bin', bytes: 100, seeds: 1, leeches: 'all', atMs: 0 },
    content: { infoHash, lengthBytes: 100, metainfo: '', sha256, contentRoot: '/' },
    seeds: ['peer-1'],
    leeches,
    addedAtMs: 1_000,
    boundMs: 2_000,
  });
}

describe('downloads', () => {
  it('takes a node’s own measure, and its own for one that was replaced or came later', () => {
    const spread = spreadOf();
    const peers = [node('peer-1'), node('peer-2'), node('peer-3'), node('bootstrap-1')];
    spread.observe(peers, 1_000);
    spread.observe(
      [
        node('peer-2', { torrents: [done(4.25)] }),
        node('peer-3', { generation: 2, torrents: [done(1)] }),
        node('peer-4'),
      ],
      7_000,
    );
    spread.observe([node('peer-4', { torrents: [done(2)] })], 9_500);
    expect(spread.summary()).toMatchObject({
      leeches: 3,
      complete: 3,
      medianMs: 4_250,
      lastMs: 6_000,
      boundMs: 2_000,
      finished: [
        { slot: 'peer-4', generation: 1, tookMs: 2_500 },
        { slot: 'peer-2', generation: 1, tookMs: 4_250 },
        { slot: 'peer-3', generation: 2, tookMs: 6_000 },
      ],
    });
    expect(spread.isComplete).toBe(true);
  });

  it('does not count what has not been read back, nor who is no leech', () => {
    const spread = spreadOf(['peer-2']);
    spread.observe([node('peer-1'), node('peer-2'), node('peer-3', { torrents: [done(1)] })], 1_000);
    spread.observe([node('peer-2', { torrents: [holding({ state: 'seeding', seconds: 1 })] })], 2_000);
    expect(spread.summary()).toMatchObject({ leeches: 1, complete: 0, finished: [] });
  });

  it.each([
    [0.5, 2],
    [0.95, 4],
    [0, 1],
    [1, 4],
  ])('quantile %d', (share, value) => {
    expect(quantile([1, 2, 3, 4], share)).toBe(value);
  });
});

describe('healing', () => {
  const whole = () => [node('bootstrap-1'), node('bootstrap-2'), node('peer-1')];

  it('is not believed while the dead are still shown as serving', () => {
    const watch = new HealingWatch(spec);
    watch.observe(view(whole()), 0);
    watch.injected({ kind: 'crash', nodes: ['bootstrap-2'] }, whole(), 1_000);
    watch.observe(view(whole()), 2_000);
    expect(watch.healedAfterMs(60_000)).toBeUndefined();
    const replaced = view([node('bootstrap-1'), node('bootstrap-2', { generation: 2 }), node('peer-1')]);
    watch.observe(replaced, 3_000);
    expect(watch.healedAfterMs(6_999)).toBeUndefined();
    expect(watch.healedAfterMs(7_000)).toBe(2_000);
  });

  it.each([
    ['a node that does not serve', view([node('bootstrap-1', { state: 'dead' })]), 'bootstrap-1 is dead'],
    ['a node that is silent', view([node('bootstrap-1', { heardAgoMs: 4_500 })]), 'bootstrap-1 is silent'],
    ['nobody who leads', view([node('bootstrap-1')], ''), 'nobody of the ring leads'],
    ['the watchdog leads', view([node('bootstrap-1')], 'watchdog'), 'nobody of the ring leads'],
  ])('%s starts the wait anew', (_what, broken, lacking) => {
    const watch = new HealingWatch(spec);
    watch.observe(view([node('bootstrap-1')]), 0);
    watch.injected({ kind: 'pause', nodes: ['bootstrap-1'], forMs: 2_000 }, [node('bootstrap-1')], 0);
    watch.observe(view([node('bootstrap-1')]), 1_000);
    watch.observe(broken, 5_000);
    expect(watch.lacks(broken)).toBe(lacking);
    watch.observe(view([node('bootstrap-1')]), 6_000);
    expect(watch.healedAfterMs(9_000)).toBeUndefined();
    expect(watch.healedAfterMs(10_000)).toBe(4_000);
  });

  it('does not wait for newcomers, nor for the dead that nobody heals', () => {
    const watch = new HealingWatch({ ...spec, heal: ['bootstrap'] });
    watch.observe(view(whole()), 0);
    watch.injected({ kind: 'crash', nodes: ['peer-1'] }, whole(), 0);
    const nodes = [
      node('bootstrap-1'),
      node('peer-1', { state: 'dead' }),
      node('peer-9', { state: 'launching' }),
    ];
    watch.observe(view(nodes), 1_000);
    expect(watch.healedAfterMs(5_000)).toBe(1_000);
  });
});

describe('expectations', () => {
  const seen = (fields: Partial<Seen> = {}): Seen => ({
    nowMs: 10_000,
    timelineDone: true,
    spreads: [],
    healing: new HealingWatch(spec),
    lacking: undefined,
    violations: [],
    ...fields,
  });
  const only = (expect: ScenarioPlan['expect'], runner: 'sim' | 'process' = 'process') =>
    expectationsOf(expect, runner)[0]!;
  const spread = (...finished: (number | undefined)[]) => {
    const made = spreadOf();
    const slots = finished.map((_, index) => `peer-${index + 2}`);
    made.observe(
      slots.map((slot) => node(slot)),
      1_000,
    );
    const after = slots.map((slot, index) =>
      node(slot, { torrents: finished[index] === undefined ? [] : [done(finished[index])] }),
    );
    made.observe(after, 2_000);
    return made;
  };

  it.each([
    ['all in time', [1, 2], 1, 'passed'],
    ['one late', [1, 9], 1, 'failed'],
    ['one late, but most are enough', [1, 9], 0.5, 'passed'],
    ['one still under way', [1, undefined], 1, 'undecided'],
    ['too few can still make it', [9, 9, undefined], 0.5, 'failed'],
  ] as const)('downloads: %s', (_what, finished, share, outcome) => {
    const expectation = only({ downloads: { withinMs: 5_000, share } });
    expect(expectation.look(seen({ nowMs: 3_000, spreads: [spread(...finished)] })).outcome).toBe(outcome);
  });

  it('downloads: bytes that are wrong fail, however few are needed', () => {
    const wrong = spreadOf();
    wrong.observe([node('peer-2', { torrents: [done(1, 'd'.repeat(64))] })], 2_000);
    const finding = only({ downloads: { withinMs: 5_000, share: 0 } }).look(seen({ spreads: [wrong] }));
    expect(finding).toMatchObject({ outcome: 'failed', detail: expect.stringContaining('SHA-256') });
  });

  it('downloads: nobody who downloads is no success', () => {
    const expectation = only({ downloads: { withinMs: 5_000, share: 1 } });
    expect(outcomeOf(expectation, seen()).outcome).toBe('failed');
    expect(outcomeOf(expectation, seen({ spreads: [spreadOf()] })).outcome).toBe('failed');
  });

  it.each([
    [3, 'passed'],
    [4.1, 'failed'],
    [undefined, 'undecided'],
  ] as const)('last finisher after %s s at a bound of 2 s', (seconds, outcome) => {
    const expectation = only({ lastFinisher: { timesBound: 2 } });
    expect(expectation.look(seen({ spreads: [spread(seconds)] })).outcome).toBe(outcome);
  });

  it('healed: fails once it is late, and waits until the faults are over', () => {
    const healing = new HealingWatch(spec);
    healing.injected({ kind: 'crash', nodes: ['peer-1'] }, [node('peer-1')], 0);
    const expectation = only({ healed: { withinMs: 5_000 } });
    expect(expectation.look(seen({ healing, nowMs: 9_000 })).outcome).toBe('undecided');
    expect(expectation.look(seen({ healing, nowMs: 9_001 })).outcome).toBe('failed');
    expect(expectation.look(seen({ healing, nowMs: 9_001, timelineDone: false })).outcome).toBe('undecided');
  });

  it('the simulator judges the rules of the design also unasked; elsewhere nobody pretends to', () => {
    const violations = [{ invariant: 'one', detail: 'two' }];
    expect(outcomeOf(only({}, 'sim'), seen({ violations })).outcome).toBe('failed');
    expect(outcomeOf(only({ invariants: true }), seen({ violations })).outcome).toBe('not-judged');
  });

  it.each([
    [['passed', 'not-judged'], 'passed'],
    [['passed', 'failed'], 'failed'],
    [['not-judged'], 'broken'],
    [[], 'broken'],
  ] as const)('%j is %s', (outcomes, verdict) => {
    const list = outcomes.map((outcome) => ({ expectation: 'healed' as const, outcome, detail: '' }));
    expect(verdictOf(list)).toBe(verdict);
  });
});
