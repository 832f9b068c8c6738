/**
 * `skep connect` with moto for AWS and a real control API behind the tunnel. Session Manager itself cannot be had here:
 * a process stands in for the tunnel.
 */
import { existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { type Running, runCli, startCli } from '../../cli/src/testing/run-cli.ts';
import { hasMoto } from './moto.ts';
import { createOutputsStack } from './outputs-stack.ts';
import { endQuietly, isRunning, stack, TunnelledDeployment, token, vpc } from './tunnelled-deployment.ts';

vi.setConfig({ testTimeout: 120_000, hookTimeout: 180_000 });

const mayBeMissing = process.env.SKEP_TEST_ALL !== '1';

describe.skipIf(!hasMoto() && mayBeMissing)('skep connect (moto, from test/aws/install-emulators)', () => {
  let deployment: TunnelledDeployment;
  let state: string;
  let directory: string;
  let environment: Readonly<Record<string, string>>;
  const running: Running[] = [];

  beforeEach(async () => {
    deployment = await TunnelledDeployment.start();
    ({ state, directory, environment } = deployment);
  });
  afterEach(async () => {
    for (const { child, finished } of running.splice(0)) {
      child.kill('SIGKILL');
      await finished;
    }
    await deployment?.stop();
  });

  const connect = (...args: string[]): Running => {
    const started = startCli(['connect', '--stack', stack, ...args], state, environment);
    running.push(started);
    return started;
  };

  it('leads the other commands to the deployment, through breaks, until Ctrl-C, and leaves nothing', async () => {
    const connected = connect('--json');
    const told = JSON.parse(await connected.line());
    expect(told).toMatchObject({ stack, region: 'eu-central-1', instanceId: expect.stringMatching(/^i-/) });
    expect(statSync(told.tokenFile).mode & 0o777).toBe(0o600);
    expect(readFileSync(told.tokenFile, 'utf8').trim()).toBe(token);

    const status = await runCli(['status', '--json'], state);
    expect(JSON.parse(status.stdout)).toEqual({ api: told.api, clusters: [] });
    const byHand = ['status', '--json', '--api', told.api, '--token-file', told.tokenFile];
    expect(JSON.parse((await runCli(byHand, join(directory, 'elsewhere'))).stdout)).toEqual({
      api: told.api,
      clusters: [],
    });
    const page = new URL(told.page);
    const viewer = new URLSearchParams(page.hash.slice(1)).get('token') ?? '';
    const answer = await fetch(`${page.origin}/v1/clusters`, {
      headers: { authorization: `Bearer ${viewer}` },
    });
    expect([viewer === token, answer.status]).toEqual([false, 200]);

    const second = await connect().finished;
    expect(second).toMatchObject({ code: 5, stderr: expect.stringMatching(/runs already/) });
    await expect.poll(async () => (await fetch(`${told.api}/healthz`)).status).toBe(200);

    const first = deployment.tunnels()[0];
    expect(first?.words).toEqual(
      expect.arrayContaining(['--target', told.instanceId, '--region', 'eu-central-1']),
    );
    process.kill(first?.pid ?? 0, 'SIGKILL');
    await expect
      .poll(
        () =>
          fetch(`${told.api}/healthz`).then(
            ({ ok }) => ok,
            () => false,
          ),
        { timeout: 60_000 },
      )
      .toBe(true);

    connected.child.kill('SIGINT');
    const { code, stdout, stderr } = await connected.finished;
    expect({ code, stderr }).toMatchObject({ code: 0, stderr: expect.stringMatching(/opening it again/) });
    expect(stdout + stderr + readFileSync(join(directory, 'tunnels'), 'utf8')).not.toContain(token);
    expect(existsSync(told.tokenFile)).toBe(false);
    await expect.poll(() => deployment.tunnels().filter(({ pid }) => isRunning(pid))).toEqual([]);
    expect((await runCli(['status'], state)).code).toBe(4);
  });

  it('has commands say which of two control APIs is meant', async () => {
    const told = JSON.parse(await connect('--json').line());
    const up = await runCli(['up', '--bootstrap', '1', '--peers', '0', '--json'], state);
    try {
      const { api } = JSON.parse(up.stdout);
      const unclear = await runCli(['status'], state);
      expect(unclear).toMatchObject({
        code: 2,
        stderr: expect.stringContaining(`--api ${api} or --api ${told.api}`),
      });
      const clear = await runCli(['status', '--json', '--api', told.api], state);
      expect(JSON.parse(clear.stdout).clusters).toEqual([]);
    } finally {
      const { api } = JSON.parse(up.stdout);
      await runCli(['down', '--api', api], state);
      endQuietly(JSON.parse(readFileSync(join(state, 'control-api.json'), 'utf8')).pid);
    }
  });

  it('says what is missing: a program, a stack, an instance, a way through', async () => {
    const without = await runCli(['connect', '--stack', stack], state, { ...environment, PATH: '/nowhere' });
    expect(without).toMatchObject({ code: 7, stderr: expect.stringMatching(/AWS CLI \(aws\).*install/) });
    const elsewhere = await runCli(['connect', '--stack', 'Wasps'], state, environment);
    expect(elsewhere).toMatchObject({
      code: 3,
      stderr: expect.stringMatching(/no stack Wasps in eu-central-1/),
    });
    const nobody = { ...deployment.outputs, ControlGroup: 'nobody' };
    await createOutputsStack(deployment.moto, 'Empty', vpc, nobody);
    const empty = await runCli(['connect', '--stack', 'Empty'], state, environment);
    expect(empty).toMatchObject({ code: 4, stderr: expect.stringMatching(/No instance .*group nobody/) });
    const refusing = { ...environment, TUNNEL_LOG: '/nowhere/tunnels' };
    const refused = await runCli(['connect', '--stack', stack], state, refusing);
    expect(refused).toMatchObject({
      code: 4,
      stderr: expect.stringMatching(/^skep: The tunnel to i-\w+ ended/m),
    });
    expect(existsSync(join(state, 'connection-token'))).toBe(false);
  });
});
