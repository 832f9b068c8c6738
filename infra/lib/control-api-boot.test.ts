/** What the control API's instance is told to become: valid, and free of secrets. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { renderControlApiUserData } from './control-api-boot.ts';

const mayBeMissing = process.env.SKEP_TEST_ALL !== '1';
const isMissing = (program: string) => mayBeMissing && spawnSync(program, ['--version']).error !== undefined;

const image = `123456789012.dkr.ecr.eu-west-1.amazonaws.com/bees@sha256:${'a'.repeat(64)}`;
const environment = { SKEP_RUNNER: 'aws', SKEP_SUBNETS: '[{"subnetId":"subnet-1"}]' };
const userData = renderControlApiUserData({ image, environment });
const files = new Map(
  (
    parse(userData) as { write_files: { path: string; permissions: string; content: string }[] }
  ).write_files.map((file) => [file.path, file]),
);

describe('user data of the control plane', () => {
  const scratch = mkdtempSync(join(tmpdir(), 'skep-user-data-'));
  afterAll(() => rmSync(scratch, { recursive: true, force: true }));
  const run = (program: string, args: readonly string[], text: string) => {
    writeFileSync(join(scratch, 'file'), text);
    const { status, stdout, stderr } = spawnSync(program, args, { cwd: scratch, encoding: 'utf8' });
    return { status, said: `${stdout}${stderr}` };
  };

  it('gives the container its environment by a file', () => {
    expect(files.get('/etc/skep/control-api.env')).toMatchObject({
      permissions: '0600',
      content: 'SKEP_RUNNER=aws\nSKEP_SUBNETS=[{"subnetId":"subnet-1"}]\n',
    });
  });

  it('runs the image by its digest, locked down, and again whenever it ends', () => {
    const program = files.get('/usr/local/lib/skep/run-control-api')!.content;
    for (const part of [`'${image}' control-api`, '--read-only', '--cap-drop ALL', 'no-new-privileges']) {
      expect(program).toContain(part);
    }
    expect(files.get('/etc/systemd/system/skep-control-api.service')!.content).toContain('Restart=always');
  });

  it('logs in to ECR by the instance’s own rights', () => {
    expect(JSON.parse(files.get('/etc/skep/docker/config.json')!.content)).toEqual({
      credHelpers: { '123456789012.dkr.ecr.eu-west-1.amazonaws.com': 'ecr-login' },
    });
    expect(userData).not.toMatch(/set -[a-z]*x|xtrace|--password/);
  });

  it('starts an unhealthy control API anew, five times in a row, and then gives the instance up', () => {
    const count = join(scratch, 'unhealthy');
    const calls = join(scratch, 'calls');
    const tend = files
      .get('/usr/local/lib/skep/tend-control-api')!
      .content.replaceAll('/run/skep-unhealthy', count);
    writeFileSync(join(scratch, 'tend'), tend, { mode: 0o700 });
    writeFileSync(join(scratch, 'docker'), '#!/bin/sh\necho "$HEALTH"\n[ "$HEALTH" != none ]\n', {
      mode: 0o700,
    });
    for (const program of ['systemctl', 'poweroff']) {
      writeFileSync(join(scratch, program), `#!/bin/sh\necho ${program} "$@" >> ${calls}\n`, { mode: 0o700 });
    }
    /** What it did in as many minutes, with such healths. */
    const minutes = (...healths: string[]) => {
      writeFileSync(calls, '');
      for (const health of healths) {
        const env = { PATH: `${scratch}:${process.env.PATH}`, HEALTH: health };
        expect(spawnSync('bash', ['tend'], { cwd: scratch, env }).status).toBe(0);
      }
      return readFileSync(calls, 'utf8').split('\n').filter(Boolean);
    };
    const anew = 'systemctl restart skep-control-api.service';
    expect(minutes('starting', 'healthy', 'none')).toEqual([]);
    expect(minutes(...Array(4).fill('unhealthy'), 'healthy')).toEqual(Array(4).fill(anew));
    // Between one and the next it is starting, and for a moment not there.
    expect(minutes(...Array(5).fill(['unhealthy', 'none', 'starting']).flat())).toEqual(Array(5).fill(anew));
    expect(minutes('unhealthy')).toEqual(['poweroff']);
  });

  it.skipIf(isMissing('cloud-init'))('is what cloud-init’s schema asks for', () => {
    expect(run('cloud-init', ['schema', '--config-file', 'file'], userData)).toMatchObject({ status: 0 });
  });

  it.skipIf(isMissing('shellcheck'))('has scripts that pass shellcheck', () => {
    const scripts = [...files.values()].filter(({ content }) => content.startsWith('#!/bin/bash\n'));
    expect(scripts).toHaveLength(3);
    for (const { content } of scripts)
      expect(run('shellcheck', ['file'], content)).toEqual({ status: 0, said: '' });
  });
});
