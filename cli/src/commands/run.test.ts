/** `skep run` and `skep sim diff` as a user runs them, small: in the simulator, and on real processes. */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { RunEvent, RunRecord, RunSample } from '@skep/contract';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { runCli } from '../testing/run-cli.ts';

let directory = '';
let scratch = '';

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'skep-run-test-'));
  scratch = join(directory, 'scratch');
  mkdirSync(scratch);
});

afterEach(() => rmSync(directory, { recursive: true, force: true }));

const run = (...args: string[]) => runCli(args, join(directory, 'state'), { TMPDIR: scratch });

/** Three peers, one of which seeds. */
const small = `
name: small
cluster: { bootstrap: 3, peers: 3, reportInterval: 200ms, grace: 2s }
content: [{ name: a.bin, bytes: 512 KiB }]
expect:
  downloads: { within: 60s }
limit: 2m
sampleInterval: 200ms
`;

function scenario(text: string): string {
  const path = join(directory, 'scenario.yaml');
  writeFileSync(path, text);
  return path;
}

const linesOf = (path: string) => readFileSync(path, 'utf8').trimEnd().split('\n');

function expectWholeBundle(bundle: string, text: string): void {
  expect(readdirSync(bundle).sort()).toEqual([
    'events.ndjson',
    'run.json',
    'samples.ndjson',
    'scenario.yaml',
  ]);
  expect(readFileSync(join(bundle, 'scenario.yaml'), 'utf8')).toBe(text);
  RunRecord.parse(JSON.parse(readFileSync(join(bundle, 'run.json'), 'utf8')));
  for (const line of linesOf(join(bundle, 'events.ndjson'))) RunEvent.parse(JSON.parse(line));
  for (const line of linesOf(join(bundle, 'samples.ndjson'))) RunSample.parse(JSON.parse(line));
}

describe('in the simulator', { timeout: 120_000 }, () => {
  it('the same seed leaves the same bytes and the same trace, another seed another', async () => {
    const healing = small
      .replace('limit', '  healed: { within: 60s }\nlimit')
      .replace('expect:', 'timeline: [{ at: 1s, fault: { kind: crash, nodes: leader } }]\nexpect:');
    const path = scenario(healing);
    const trace = (name: string) => join(directory, `${name}.ndjson`);
    const runs = [
      ['one', '7'],
      ['two', '7'],
      ['three', '8'],
    ] as const;
    for (const [name, seed] of runs) {
      const out = join(directory, name);
      const { code, stdout, stderr } = await run(
        ...['run', path, '--seed', seed, '--out', out, '--trace', trace(name), '--json'],
      );
      expect({ code, stderr }).toMatchObject({ code: 0 });
      const { bundle, ...record } = JSON.parse(stdout);
      expect(bundle).toBe(join(out, `small-${seed}-sim`));
      expect(RunRecord.parse(record)).toMatchObject({
        verdict: 'passed',
        runner: 'sim',
        seed,
        downloads: [{ leeches: 2, complete: 2 }],
        healing: { faults: 1, redeployments: 1 },
        violations: [],
        traceHash: expect.stringMatching(/^[0-9a-f]{16}$/),
      });
      expectWholeBundle(bundle, healing);
    }
    const bundle = (name: string, seed = '7') => join(directory, name, `small-${seed}-sim`);
    const same = await run('sim', 'diff', bundle('one'), bundle('two'));
    expect(same).toMatchObject({ code: 0, stdout: expect.stringMatching(/^identical: \d+ lines/) });
    expect((await run('sim', 'diff', trace('one'), trace('two'))).code).toBe(0);
    const other = await run('sim', 'diff', trace('one'), trace('three'), '--json');
    expect(other.code).toBe(1);
    const { identical, line, before, a, b } = JSON.parse(other.stdout);
    expect(identical).toBe(false);
    expect(a[0]).not.toBe(b[0]);
    const all = linesOf(trace('one'));
    expect([...before, ...a]).toEqual(all.slice(line - 1 - before.length, line - 1 + a.length));
  });

  it('an expectation that is not met is a failure, told as such', async () => {
    const path = scenario(small.replace('within: 60s', 'within: 1ms'));
    const { code, stdout } = await run('run', path, '--out', directory);
    expect(code).toBe(1);
    expect(stdout).toContain('✗ downloads');
    expect(stdout).toMatch(/^failed$/m);
  });

  it('a run that nothing is known of is broken, and never passes', async () => {
    const never = 'sim: { launchFailureRate: 1 }\n';
    const path = scenario(`${small}${never}`);
    const { code, stdout } = await run('run', path, '--out', directory, '--json');
    expect(code).toBe(9);
    expect(JSON.parse(stdout)).toMatchObject({
      verdict: 'broken',
      problem: expect.stringContaining('did not come up'),
    });
  });
});

describe.skipIf(process.platform !== 'linux')('on processes', { timeout: 120_000 }, () => {
  it('spreads for real, and leaves its bundle and nothing else', async () => {
    const { code, stdout, stderr } = await run(
      'run',
      scenario(small),
      '--runner',
      'process',
      '--out',
      directory,
      '--json',
    );
    expect({ code, stderr }).toMatchObject({ code: 0 });
    const { bundle, ...record } = JSON.parse(stdout);
    expect(record).toMatchObject({
      verdict: 'passed',
      runner: 'process',
      downloads: [{ leeches: 2, complete: 2 }],
    });
    expect(record.traceHash).toBeUndefined();
    expectWholeBundle(bundle, small);
    expect(readdirSync(scratch)).toEqual([]);
  });
});

describe('what cannot be run', { timeout: 60_000 }, () => {
  it.each([
    [
      'a wrong field, by its line',
      small.replace('grace: 2s', 'grace: 1ms'),
      [],
      2,
      /:3: cluster\.grace: The least is 500ms/,
    ],
    [
      'a misspelt field',
      small.replace('limit:', 'limits:'),
      [],
      2,
      /:7: limits: There is no field limits here/,
    ],
    ['no YAML', 'name: [', [], 2, /:1: /],
    ['another runner', `${small}runners: [process]\n`, [], 2, /give --runner process/],
    ['a trace of processes', small, ['--runner', 'process', '--trace', 't'], 2, /leave --trace out/],
    ['a seed that is none', small, ['--seed', 'x'], 2, /whole number/],
  ] as const)('%s', async (_what, text, flags, status, sentence) => {
    const { code, stderr } = await run('run', scenario(text), '--out', join(directory, 'runs'), ...flags);
    expect({ code, stderr }).toEqual({ code: status, stderr: expect.stringMatching(sentence) });
    expect(readdirSync(directory).sort()).toEqual(['scenario.yaml', 'scratch']);
  });

  it('a scenario, or a trace, that is not there', async () => {
    expect((await run('run', join(directory, 'none.yaml'))).code).toBe(3);
    expect((await run('sim', 'diff', join(directory, 'a'), join(directory, 'b'))).code).toBe(3);
  });
});
