/** What an instance is told to become: valid, without a secret where others could read it, and the same every time. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AgentConfig } from '@skep/contract';
import { afterAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { renderNodeUserData } from './user-data.ts';

const mayBeMissing = process.env.SKEP_TEST_ALL !== '1';
const isMissing = (program: string) => mayBeMissing && spawnSync(program, ['--version']).error !== undefined;

const joinSecret = 'ab'.repeat(32);
const ringKey = 'cd'.repeat(32);
const config = {
  apiUrl: 'https://control.trial.internal:7700',
  cluster: 'trial',
  clusterUid: '0123456789abcdef0123456789abcdef',
  slot: 'bootstrap-2',
  role: 'bootstrap' as const,
  generation: 3,
  attempt: 1,
  joinSecret,
  ringKey,
  listen: { host: '10.83.128.9', port: 6881 },
  ringPort: 6882,
  healthPort: 6883,
  reportIntervalMs: 1_000,
  graceMs: 6_000,
  orphanMs: 60_000,
  uploadBytesPerSecond: 0,
  downloadBytesPerSecond: 0,
};
const digest = `sha256:${'a'.repeat(64)}`;
const fromEcr = `123456789012.dkr.ecr.eu-west-1.amazonaws.com/trial@${digest}`;
const fromElsewhere = `127.0.0.1:5000/trial@${digest}`;

interface WrittenFile {
  path: string;
  permissions: string;
  content: string;
}

function filesOf(userData: string): Map<string, WrittenFile> {
  const document = parse(userData) as { write_files: WrittenFile[] };
  return new Map(document.write_files.map((file) => [file.path, file]));
}

describe('user data of a node', () => {
  const scratch = mkdtempSync(join(tmpdir(), 'skep-user-data-'));
  afterAll(() => rmSync(scratch, { recursive: true, force: true }));

  const run = (program: string, args: readonly string[], files: Record<string, string>) => {
    for (const [name, text] of Object.entries(files)) writeFileSync(join(scratch, name), text);
    const { status, stdout, stderr } = spawnSync(program, args, { cwd: scratch, encoding: 'utf8' });
    return { status, said: `${stdout}${stderr}` };
  };

  it('writes a configuration that the agent takes', () => {
    const file = filesOf(renderNodeUserData({ image: fromEcr, config })).get(
      '/var/lib/skep/machine/agent.json',
    );
    expect(AgentConfig.parse(JSON.parse(file!.content))).toEqual({ ...config, dataDirectory: '/data' });
  });

  it('has secrets in that file alone, which is its owner’s alone', () => {
    const userData = renderNodeUserData({ image: fromEcr, config });
    for (const secret of [joinSecret, ringKey]) {
      expect(userData.split(secret)).toHaveLength(2);
      const holders = [...filesOf(userData).values()].filter((file) => file.content.includes(secret));
      expect(holders).toMatchObject([{ path: '/var/lib/skep/machine/agent.json', permissions: '0600' }]);
    }
    expect(userData).not.toMatch(/set -[a-z]*x|xtrace|--password/);
  });

  it('runs the image by its digest, locked down', () => {
    const program = filesOf(renderNodeUserData({ image: fromEcr, config })).get(
      '/usr/local/lib/skep/run-agent',
    );
    expect(program!.content).toContain(`'${fromEcr}' agent`);
    for (const flag of ['--read-only', '--cap-drop ALL', 'no-new-privileges', '--network host']) {
      expect(program!.content).toContain(flag);
    }
  });

  it('keeps the agent, which is on the instance’s network, from the instance’s rights', () => {
    const program = filesOf(renderNodeUserData({ image: fromEcr, config })).get(
      '/usr/local/lib/skep/become-machine',
    );
    expect(program!.content).toMatch(/iptables .*169\.254\.169\.254 .*--uid-owner 10001 --jump REJECT/);
  });

  it('logs in to ECR by the instance’s own rights, and nowhere else', () => {
    const credentials = (image: string) =>
      filesOf(renderNodeUserData({ image, config })).get('/etc/skep/docker/config.json')!.content;
    expect(JSON.parse(credentials(fromEcr))).toEqual({
      credHelpers: { '123456789012.dkr.ecr.eu-west-1.amazonaws.com': 'ecr-login' },
    });
    expect(JSON.parse(credentials(fromElsewhere))).toEqual({ credHelpers: {} });
    expect(renderNodeUserData({ image: fromElsewhere, config })).not.toContain('ecr-credential-helper');
  });

  it('is the same for the same machine', () => {
    expect(renderNodeUserData({ image: fromEcr, config })).toBe(
      renderNodeUserData({ image: fromEcr, config: { ...config } }),
    );
  });

  it('refuses an image without its digest, and one that the shell would read otherwise', () => {
    for (const image of ['registry.example/trial:latest', `registry.example/tri'al@${digest}`, digest]) {
      expect(() => renderNodeUserData({ image, config })).toThrow('registry/repository@sha256:digest');
    }
  });

  it('refuses what EC2 would not take', () => {
    const large = { ...config, apiUrl: `https://control.internal/${'a'.repeat(16_000)}` };
    expect(() => renderNodeUserData({ image: fromEcr, config: large })).toThrow('EC2 takes at most 16384');
  });

  it.skipIf(isMissing('cloud-init'))('is what cloud-init’s schema asks for', () => {
    const files = { 'user-data.yaml': renderNodeUserData({ image: fromEcr, config }) };
    expect(run('cloud-init', ['schema', '--config-file', 'user-data.yaml'], files)).toMatchObject({
      status: 0,
    });
    const wrong = { 'wrong.yaml': '#cloud-config\nwrite_files:\n  - permissions: 600\n' };
    expect(run('cloud-init', ['schema', '--config-file', 'wrong.yaml'], wrong)).toMatchObject({ status: 1 });
  });

  it.skipIf(isMissing('shellcheck')).each([fromEcr, fromElsewhere])('passes shellcheck for %s', (image) => {
    const scripts = [...filesOf(renderNodeUserData({ image, config })).values()].filter((file) =>
      file.content.startsWith('#!/bin/bash\n'),
    );
    expect(scripts).toHaveLength(2);
    for (const script of scripts) {
      expect(run('shellcheck', ['script'], { script: script.content })).toEqual({ status: 0, said: '' });
    }
  });
});
