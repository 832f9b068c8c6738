/** The product's image: what is in it and what is not, as whom it runs, and that it can be built at all. */
import { execFileSync, spawnSync } from 'node:child_process';
import { beforeAll, describe, expect, it } from 'vitest';
import { baseImage, hasEngine, productImage } from './image.ts';

const isRequired = process.env.SKEP_TEST_ALL === '1';
const mostBytesAboveBase = 20_000_000;
const buildMs = 900_000;

describe.skipIf(!isRequired && !hasEngine())('the image (needs a Docker engine)', () => {
  let image: string;
  beforeAll(() => {
    image = productImage();
  }, buildMs);

  const inspect = (name: string) =>
    JSON.parse(execFileSync('docker', ['image', 'inspect', name], { encoding: 'utf8' }))[0];
  const run = (...command: string[]) =>
    spawnSync(
      'docker',
      ['run', '--rm', '--read-only', '--cap-drop', 'ALL', '--network', 'none', ...command],
      {
        encoding: 'utf8',
      },
    );
  const shell = (script: string) => run('--entrypoint', 'sh', image, '-c', script).stdout.trim();

  it('adds little to its base, and says what it is', () => {
    const { Size, Config } = inspect(image);
    expect(Size - inspect(baseImage).Size).toBeLessThan(mostBytesAboveBase);
    expect(Config).toMatchObject({
      User: '10001:10001',
      Entrypoint: ['tini', '--'],
      Cmd: ['agent'],
      Healthcheck: { Test: ['CMD', 'health-check'] },
      Labels: { 'org.opencontainers.image.version': 'test', 'org.opencontainers.image.revision': 'test' },
    });
    expect(Config.Volumes).toBeFalsy();
  });

  it('has the packages that run in it, and neither tests nor tools', () => {
    expect(shell('ls /skep').split(/\s+/)).toEqual([
      ...['compiled', 'contract', 'control-api', 'node-agent', 'node_modules', 'p2p-core', 'package.json'],
    ]);
    const packages = shell('ls /skep/node_modules').split(/\s+/);
    expect(packages).toEqual(expect.arrayContaining(['bencode', 'dockerode', 'hono', 'zod']));
    for (const name of ['node', 'vitest', 'typescript', '@biomejs', 'commander', 'cpu-features'])
      expect(packages).not.toContain(name);
    expect(
      shell('find /skep -name "*.test.ts" -o -name "*compliance*" -o -name .npmrc -o -name vitest'),
    ).toBe('');
    expect(shell('find / -xdev -name .npmrc 2>/dev/null')).toBe('');
  });

  it('belongs to others than whom it runs as, but for /data', () => {
    expect(shell('find /skep -uid 10001 -o -perm /022 ! -type l')).toBe('');
    expect(shell('stat -c %u /data')).toBe('10001');
  });

  it('finds all that it starts compiled', () => {
    const missed = (program: string) =>
      shell(
        `NODE_DEBUG_NATIVE=COMPILE_CACHE SKEP_CONFIG=/none ${program} 2>&1 | grep -c "no transpile cache"`,
      );
    expect(['agent', 'health-check', 'control-api'].map(missed)).toEqual(['0', '0', '0']);
  });

  it('runs as either program, and says what it lacks', () => {
    const agent = run(image);
    expect([agent.status, agent.stdout]).toEqual([1, expect.stringContaining('SKEP_CONFIG must name')]);
    const controlApi = run(image, 'control-api');
    expect([controlApi.status, controlApi.stderr]).toEqual([
      1,
      expect.stringContaining('SKEP_STATE_DIRECTORY must be set'),
    ]);
  });
});
