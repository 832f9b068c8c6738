/**
 * `skep build` and `skep test --stack` with MiniStack for AWS: CloudFormation's outputs, a function that runs, a log that
 * grows. The functions are not the deployment's own, but answer as those do.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  CloudWatchLogsClient,
  CreateLogGroupCommand,
  CreateLogStreamCommand,
  PutLogEventsCommand,
} from '@aws-sdk/client-cloudwatch-logs';
import type { BuildAnswer } from '@skep/contract';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type * as z from 'zod';
import { runCli } from '../../cli/src/testing/run-cli.ts';
import type { Emulator } from './emulator.ts';
import { hasMiniStack, startMiniStack } from './ministack.ts';
import { clientOf, createOutputsStack } from './outputs-stack.ts';

vi.setConfig({ testTimeout: 120_000, hookTimeout: 180_000 });

const mayBeMissing = process.env.SKEP_TEST_ALL !== '1';
const logPlace = { logGroup: '/skep/build', logStream: 'b1' };
const image = `bees@sha256:${'0'.repeat(64)}`;
const building: z.input<typeof BuildAnswer> = { state: 'building', buildId: 'bees:1', ...logPlace };

describe.skipIf(!hasMiniStack() && mayBeMissing)(
  'skep build, skep test --stack (MiniStack, from test/aws/install-emulators)',
  () => {
    let directory: string;
    let ministack: Emulator;

    beforeEach(async () => {
      directory = mkdtempSync(join(tmpdir(), 'skep-build-'));
      ministack = await startMiniStack();
    });
    afterEach(async () => {
      await ministack?.stop();
      rmSync(directory, { recursive: true, force: true });
    });

    /** A stack one of whose functions has this program. */
    async function deployed(
      name: string,
      output: 'BuildFunction' | 'RunTestsFunction',
      program: string,
    ): Promise<void> {
      const resources = {
        Role: { Type: 'AWS::IAM::Role', Properties: { AssumeRolePolicyDocument: {} } },
        Function: {
          Type: 'AWS::Lambda::Function',
          Properties: {
            Runtime: 'nodejs24.x',
            Handler: 'index.handler',
            Role: { 'Fn::GetAtt': ['Role', 'Arn'] },
            Code: { ZipFile: program },
          },
        },
      };
      await createOutputsStack(ministack, name, resources, {
        [output]: { Ref: 'Function' },
        SourceHash: 'abc',
      });
    }

    /** Gives these answers one after the other, the last one for ever. */
    const builder = (...answers: readonly object[]): string =>
      `const answers = ${JSON.stringify(answers)};
     exports.handler = async ({ sourceHash, waitMs }) => {
       if (sourceHash !== 'abc' || waitMs !== 0) throw new Error('asked wrongly');
       return answers.length > 1 ? answers.shift() : answers[0];
     };`;

    const run = (...args: string[]) =>
      runCli([...args, '--json'], join(directory, 'state'), { ...ministack.environment });

    it('follows the log to the end of the build, each line once', async () => {
      await deployed('Bees', 'BuildFunction', builder(building, building, { state: 'built', image }));
      const logs = new CloudWatchLogsClient(clientOf(ministack));
      const { logGroup: logGroupName, logStream: logStreamName } = logPlace;
      await logs.send(new CreateLogGroupCommand({ logGroupName }));
      await logs.send(new CreateLogStreamCommand({ logGroupName, logStreamName }));
      const lines = ['Step 1/9 : FROM base', 'Step 2/9 : COPY . .\n', '\u001b[31mred\u001b[0m'];
      const logEvents = lines.map((message, index) => ({ timestamp: Date.now() + index, message }));
      await logs.send(new PutLogEventsCommand({ logGroupName, logStreamName, logEvents }));

      const { code, stdout, stderr } = await run('build', '--stack', 'Bees', '--wait');
      expect({ code, stderr }).toMatchObject({ code: 0, stderr: expect.stringContaining('Step 1/9') });
      expect(JSON.parse(stdout)).toEqual({ stack: 'Bees', sourceHash: 'abc', state: 'built', image });
      expect(stderr.match(/Step 2/g)).toHaveLength(1);
      expect(stderr).not.toContain('\u001b');
    });

    it('says that it goes on, that it failed, and what it did not understand', async () => {
      await deployed('Goes', 'BuildFunction', builder(building));
      expect(JSON.parse((await run('build', '--stack', 'Goes')).stdout)).toMatchObject({ state: 'building' });

      await deployed(
        'Fails',
        'BuildFunction',
        builder({ state: 'failed', message: 'no space left on device' }),
      );
      const failed = await run('build', '--stack', 'Fails', '--wait');
      expect(failed).toMatchObject({
        code: 1,
        stderr: expect.stringMatching(/The build failed: no space left/),
      });

      const throws = "exports.handler = async () => { throw new Error('table is gone') };";
      await deployed('Throws', 'BuildFunction', throws);
      const threw = await run('build', '--stack', 'Throws');
      expect(threw).toMatchObject({
        code: 1,
        stderr: expect.stringMatching(/failed: table is gone.*aws logs tail/),
      });

      await deployed('Old', 'BuildFunction', builder({ status: 'SUCCEEDED' }));
      const old = await run('build', '--stack', 'Old');
      expect(old).toMatchObject({ code: 1, stderr: expect.stringMatching(/deploy the stack again/) });
    });

    it('has the nodes test themselves by the function of the stack, with no connection', async () => {
      const results = [
        {
          slot: 'bootstrap-1',
          generation: 2,
          outcome: 'passed',
          checks: [{ name: 'ring', outcome: 'passed', detail: 'Good.', tookMs: 5 }],
        },
        { slot: 'peer-1', generation: 1, outcome: 'missing', checks: [] },
      ];
      const program = `exports.handler = async (asked) => {
      if (JSON.stringify(asked) !== '{"cluster":"bees","waitMs":120000}') throw new Error('asked wrongly');
      return { ok: false, results: ${JSON.stringify(results)} };
    };`;
      await deployed('Bees', 'RunTestsFunction', program);
      const tested = await run('test', '--stack', 'Bees');
      expect(tested.code).toBe(1);
      expect(JSON.parse(tested.stdout)).toEqual({ cluster: 'bees', ok: false, results });
      const other = await run('test', '--stack', 'Bees', '--cluster', 'wasps');
      expect(other).toMatchObject({ code: 1, stderr: expect.stringMatching(/asked wrongly/) });
    });
  },
);
