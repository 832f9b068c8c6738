/**
 * A deployment by the command line, from its cost to the proof that nothing is left, in an emulated account: `skep deploy`,
 * `connect`, `demo --runner aws` with instances, `test`, `build` and `destroy`, as a user runs them. Session Manager alone has
 * something in its place: tunnel-stand-in.js, at the other end of which is the session's door of the instance.
 */
import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Finished, type Running, runCli, startCli } from '../../cli/src/testing/run-cli.ts';
import { hasEngine } from '../containers/image.ts';
import { type EmulatedUser, emulatedUser } from './emulated-user.ts';
import { hasMiniStack } from './ministack.ts';

const isRequired = process.env.SKEP_TEST_ALL === '1';
const stack = 'Bees';
const setUpMs = 600_000;
const stepMs = 600_000;

describe.skipIf(!isRequired && !(hasEngine() && hasMiniStack()))(
  'the commands for AWS (need a Docker engine, and test/aws/install-emulators)',
  () => {
    let user: EmulatedUser;
    const running: Running[] = [];

    beforeAll(async () => {
      user = await emulatedUser();
    }, setUpMs);
    afterAll(async () => {
      for (const { child, finished } of running.splice(0)) {
        child.kill('SIGKILL');
        await finished;
      }
      expect((await user?.stop()) ?? []).toEqual([]);
    }, setUpMs);

    const skep = (...args: string[]): Promise<Finished> => runCli(args, user.state, user.environment);
    const answerOf = async (...args: string[]) => {
      const { code, stdout, stderr } = await skep(...args, '--json');
      expect({ code, stderr }).toMatchObject({ code: 0 });
      return JSON.parse(stdout);
    };

    it(
      'say what is missing before the account is bootstrapped',
      async () => {
        const early = await skep('deploy', '--stack', stack, '--yes', ...user.context);
        expect(early).toMatchObject({
          code: 5,
          stderr: expect.stringMatching(/npx cdk bootstrap aws:\/\/000000000000\/eu-central-1/),
        });
        const unasked = await skep('deploy', '--stack', stack, ...user.context);
        expect(unasked).toMatchObject({ code: 2, stderr: expect.stringMatching(/give --yes/) });
      },
      stepMs,
    );

    it(
      'end with the CDK when they are interrupted, and say what becomes of the stack',
      async () => {
        const begun = startCli(
          ['deploy', '--stack', stack, '--yes', ...user.context],
          user.state,
          user.environment,
        );
        running.push(begun);
        // It is made anew when the CDK is started.
        rmSync(join(user.state, 'deployments'), { recursive: true, force: true });
        const log = join(user.state, 'deployments', `${stack}.log`);
        await expect.poll(() => existsSync(log), { timeout: 60_000 }).toBe(true);
        begun.child.kill('SIGINT');
        const { code, stderr } = await begun.finished;
        expect({ code, stderr }).toMatchObject({
          code: 130,
          stderr: expect.stringMatching(/Nothing was asked of CloudFormation/),
        });
      },
      stepMs,
    );

    it(
      'deploy a platform, with its cost shown before',
      async () => {
        await user.bootstrap();
        const { code, stdout, stderr } = await skep(
          ...['deploy', '--stack', stack, '--yes', '--json', '--ttl', '2h', ...user.context],
          ...['--context', 'cluster=false'],
        );
        expect({ code, stderr }).toMatchObject({
          code: 0,
          stderr: expect.stringMatching(/^total +\$0\.\d+/m),
        });
        const deployed = JSON.parse(stdout);
        expect(deployed).toMatchObject({
          stack,
          region: 'eu-central-1',
          outputs: { BuildFunction: expect.any(String), SourceHash: expect.any(String) },
        });
        expect(Date.parse(deployed.expiresAt)).toBeGreaterThan(Date.now());
      },
      stepMs,
    );

    it(
      'tell the story of the demonstration on instances, and leave none',
      async () => {
        const told = await answerOf('demo', '--runner', 'aws', '--stack', stack, '--exit', '--peers', '3');
        expect(told).toMatchObject({ nodes: 7, ok: true });
        expect(told.downloads.map(({ sha256Ok }: { sha256Ok: boolean }) => sha256Ok)).toEqual([
          true,
          true,
          true,
        ]);
        expect(Object.keys(told.healing).sort()).toEqual([
          'detectedMs',
          'electedMs',
          'firstLookupMs',
          'redeployedMs',
        ]);
        expect(user.machines()).toEqual([]);
      },
      stepMs,
    );

    it(
      'lead to a cluster, have its nodes tested by the function, and find its image',
      async () => {
        const connected = startCli(['connect', '--stack', stack, '--json'], user.state, user.environment);
        running.push(connected);
        const { api } = JSON.parse(await connected.line());
        await user.createCluster(api, { name: 'bees', bootstrap: 1, peers: 1 });
        const status = await answerOf('status');
        expect(status.clusters).toMatchObject([
          { name: 'bees', nodes: [{ state: 'serving' }, { state: 'serving' }] },
        ]);
        const tested = await answerOf('test', '--stack', stack, '--cluster', 'bees');
        expect(tested.results.map(({ slot }: { slot: string }) => slot)).toEqual(['bootstrap-1', 'peer-1']);
        expect(await answerOf('build', '--stack', stack, '--wait')).toMatchObject({
          state: 'built',
          image: expect.stringMatching(/@sha256:[0-9a-f]{64}$/),
        });
        connected.child.kill('SIGINT');
        expect((await connected.finished).code).toBe(0);
      },
      stepMs,
    );

    it(
      'destroy it with the cluster that is in it, and show that nothing is left',
      async () => {
        expect(await answerOf('destroy', '--stack', stack, '--yes')).toMatchObject({ stack, left: [] });
        expect(user.machines()).toEqual([]);
        expect(existsSync(join(user.state, 'deployments', `${stack}.json`))).toBe(false);
        expect(await skep('destroy', '--stack', stack, '--yes')).toMatchObject({ code: 3 });
      },
      stepMs,
    );
  },
);
