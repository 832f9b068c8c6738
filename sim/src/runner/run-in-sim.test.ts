/** Scenarios in the simulator, for what they do rather than for what is said of it: timeline, choices, verdicts. */

import type { RunEvent, RunRecord, RunSample } from '@skep/contract';
import { Scenario } from '@skep/contract';
import { describe, expect, it } from 'vitest';
import { runInSim, type SimProgress } from './run-in-sim.ts';

interface Ran {
  readonly record: RunRecord;
  readonly events: readonly RunEvent[];
  readonly samples: readonly RunSample[];
  readonly progress: readonly SimProgress[];
}

async function run(scenario: object, seed = '1', signal = new AbortController().signal): Promise<Ran> {
  const plan = Scenario.parse({ name: 'test', sampleInterval: '250ms', limit: '3m', ...scenario });
  const [events, samples, progress]: [RunEvent[], RunSample[], SimProgress[]] = [[], [], []];
  const record = await runInSim(plan, {
    seed,
    version: 'test',
    signal,
    onEvent: (event) => events.push(event),
    onSample: (sample) => samples.push(sample),
    onProgress: (each) => progress.push(each),
  });
  return { record, events, samples, progress };
}

const cluster = { bootstrap: 3, peers: 3, grace: '3s', reportInterval: '250ms' };
const content = [{ name: 'a.bin', bytes: '512 KiB' }];
const downloads = { within: '60s' };
const limitMs = 60_000;

const toldBy = (events: readonly RunEvent[]) =>
  events.filter(({ source }) => source === 'run').map(({ kind, atMs }) => [kind, Math.round(atMs / 1_000)]);

describe('a run in the simulator', () => {
  it(
    'does its timeline in time, whatever the order in the file, and newcomers download too',
    async () => {
      const timeline = [
        { at: '6s', addPeers: 2 },
        { at: '2s', addContent: 'a.bin' },
      ];
      const { record, events, samples } = await run({ cluster, content, timeline, expect: { downloads } });
      expect(record).toMatchObject({ verdict: 'passed', downloads: [{ leeches: 4, complete: 4 }] });
      expect(toldBy(events)).toEqual([
        ['cluster-serves', 0],
        ['content-added', 2],
        ['peers-added', 6],
      ]);
      expect(new Set(samples.map(({ slot }) => slot)).size).toBe(8);
      const have = samples
        .filter(({ slot }) => slot === 'peer-5')
        .map(({ torrents }) => torrents[0]?.haveBytes ?? 0);
      expect(have.at(-1)).toBe(524_288);
      const times = samples.map(({ atMs }) => atMs);
      expect(times).toEqual([...times].sort((one, other) => one - other));
    },
    limitMs,
  );

  it(
    'a partition longer than the grace has a node replaced, and breaks no rule',
    async () => {
      const fault = { kind: 'partition', nodes: 'bootstrap-2', way: 'both', for: '10s' };
      const { record } = await run({
        cluster,
        network: { latency: '5ms' },
        timeline: [{ at: '1s', fault }],
        expect: { healed: { within: '60s' } },
      });
      expect(record).toMatchObject({
        verdict: 'passed',
        violations: [],
        healing: { faults: 1, redeployments: 1 },
      });
    },
    limitMs,
  );

  it(
    'links have the rates that the scenario gives them',
    async () => {
      const network = { latency: '5ms', links: { byRole: { peer: { up: '2 Mbit/s', down: '8 Mbit/s' } } } };
      const expected = { downloads, lastFinisher: { timesBound: 2 } };
      const { record } = await run({
        cluster,
        network,
        content: [{ name: 'a.bin', bytes: '2 MiB' }],
        expect: expected,
      });
      const [{ boundMs = 0, lastMs = 0 } = {}] = record.downloads;
      // The seed sends each of 2 MiB once, at 250 000 bytes a second.
      expect(boundMs).toBe(8_389);
      expect(lastMs).toBeGreaterThan(boundMs);
      expect(record.verdict).toBe('passed');
    },
    limitMs,
  );

  it(
    'the same nodes are drawn for a seed, others for another',
    async () => {
      const timeline = [{ at: '1s', fault: { kind: 'crash', nodes: { some: 2, of: 'peer' } } }];
      const scenario = { cluster: { ...cluster, peers: 8 }, timeline, expect: { healed: { within: '60s' } } };
      const drawn = async (seed: string) => {
        const { events, record } = await run(scenario, seed);
        return { nodes: events.find(({ kind }) => kind === 'fault')?.data.nodes, hash: record.traceHash };
      };
      const runs = [await drawn('1'), await drawn('1'), await drawn('2'), await drawn('3')];
      expect(runs[0]).toEqual(runs[1]);
      expect(new Set(runs.map(({ nodes }) => nodes)).size).toBeGreaterThan(1);
    },
    limitMs,
  );

  it(
    'what has not come by the limit has failed',
    async () => {
      const network = { links: { byRole: { peer: { up: '128 kbit/s' } } } };
      const { record } = await run({ cluster, network, content, limit: '5s', expect: { downloads } });
      expect(record).toMatchObject({
        verdict: 'failed',
        expectations: [{ outcome: 'failed' }, { outcome: 'passed' }],
      });
      expect(record.durationMs).toBeLessThan(6_000);
    },
    limitMs,
  );

  it(
    'ends early when it is told to',
    async () => {
      const stop = new AbortController();
      stop.abort(new Error('enough'));
      await expect(run({ cluster, content, expect: { downloads } }, '1', stop.signal)).rejects.toThrow(
        'enough',
      );
    },
    limitMs,
  );
});
