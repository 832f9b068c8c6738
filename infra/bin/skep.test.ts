/**
 * The app as `cdk` runs it: the same context gives the same assembly, byte for byte, wherever and whenever it is run; the
 * functions bundled, without Docker and without a network; what is wrong is told in a sentence.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { stackOutputs } from '../../cli/src/aws/stack-outputs.ts';

const program = join(import.meta.dirname, 'skep.ts');
const patienceMs = 180_000;

const scratch = mkdtempSync(join(tmpdir(), 'skep-synthesis-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

interface Run {
  readonly context: Record<string, string>;
  readonly cwd?: string;
  readonly environment?: Record<string, string>;
}

function synthesise({ context, cwd = tmpdir(), environment = {} }: Run) {
  const directory = mkdtempSync(join(scratch, 'out-'));
  const { status, stderr } = spawnSync(process.execPath, [program], {
    cwd,
    encoding: 'utf8',
    env: {
      // No Docker, and no package manager that could fetch anything.
      PATH: process.env.PATH,
      CDK_OUTDIR: directory,
      CDK_CONTEXT_JSON: JSON.stringify(context),
      npm_config_offline: 'true',
      DOCKER_HOST: 'tcp://127.0.0.1:9',
      ...environment,
    },
  });
  return { status, stderr, directory };
}

/** What each file has in it, but for how long it took. */
function contents(directory: string): Record<string, string> {
  const files = readdirSync(directory, { recursive: true, encoding: 'utf8' })
    .map((name) => join(directory, name))
    .filter((path) => statSync(path).isFile())
    .map((path): [string, string] => [relative(directory, path), readFileSync(path, 'latin1')]);
  return Object.fromEntries(files.filter(([name]) => name !== 'performance-counters.json'));
}

describe('the app', () => {
  const context = { stack: 'Bees', peers: '7', zones: 'eu-central-1a', expiresAt: '2027-01-31T18:00:00Z' };
  let first: ReturnType<typeof synthesise>;
  beforeAll(() => {
    first = synthesise({ context, environment: { TZ: 'Pacific/Auckland', LANG: 'C' } });
  }, patienceMs);

  it('gives the same assembly from another place, in another zone of time', { timeout: patienceMs }, () => {
    expect(first).toMatchObject({ status: 0 });
    const second = synthesise({
      context,
      cwd: import.meta.dirname,
      environment: { TZ: 'America/New_York', LANG: 'de_DE.UTF-8', AWS_REGION: 'us-east-1' },
    });
    expect(second).toMatchObject({ status: 0 });
    const [one, other] = [contents(first.directory), contents(second.directory)];
    expect(Object.keys(other).sort()).toEqual(Object.keys(one).sort());
    for (const [name, content] of Object.entries(one)) expect(other[name] === content, name).toBe(true);
  });

  it('bundles every function with all that it needs', () => {
    const names = readdirSync(first.directory).filter((name) => name.startsWith('asset.'));
    const programs = names.filter((name) => readdirSync(join(first.directory, name)).includes('index.mjs'));
    expect(programs).toHaveLength(7);
    for (const each of programs) {
      const loaded = spawnSync(
        process.execPath,
        ['--input-type=module', '-e', `console.log(typeof (await import('./${each}/index.mjs')).handler)`],
        { cwd: first.directory, encoding: 'utf8', env: {} },
      );
      expect(loaded).toMatchObject({ stdout: 'function\n', stderr: '' });
    }
  });

  it('says of the stack what the command line asks for', () => {
    const template = JSON.parse(readFileSync(join(first.directory, 'Skep.template.json'), 'utf8'));
    const values = Object.keys(template.Outputs).map((name) => [name, 'some text']);
    expect(() => stackOutputs('Bees', Object.fromEntries(values))).not.toThrow();
  });

  it('says what is wrong in one sentence, and makes nothing', { timeout: patienceMs }, () => {
    const { status, stderr, directory } = synthesise({ context: { zones: 'Frankfurt' } });
    expect(status).toBe(1);
    expect(stderr).toBe('there is no zone Frankfurt: give names as eu-central-1a\n');
    expect(readdirSync(directory)).not.toContain('manifest.json');
  });
});
