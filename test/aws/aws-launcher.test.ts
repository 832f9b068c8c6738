/** The launcher `aws` keeps the promises of a launcher, over the functions `deploy` and `teardown` and moto's EC2, DynamoDB and SQS. */
import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { describeLauncher } from '@skep/control-api/launcher-compliance';
import { AwsLauncher } from '@skep/control-api/launchers/aws';
import { createNodeHost } from '@skep/p2p-core/host/node';
import { afterAll, beforeAll, describe } from 'vitest';
import { type MotoAccount, MotoDeployment, startMotoAccount } from './deployment-on-moto.ts';
import { hasMoto } from './moto.ts';

const mayBeMissing = process.env.SKEP_TEST_ALL !== '1';
const patienceMs = 60_000;
const { clock } = createNodeHost();
const compute = {
  hash: (algorithm: string, bytes: Uint8Array) =>
    new Uint8Array(createHash(algorithm).update(bytes).digest()),
};

describe.skipIf(!hasMoto() && mayBeMissing)('over moto', { timeout: 120_000 }, () => {
  let account: MotoAccount;
  let deployments = 0;
  beforeAll(async () => {
    account = await startMotoAccount();
  }, patienceMs);
  afterAll(() => account.stop());

  describeLauncher('AwsLauncher', async () => {
    deployments += 1;
    const deployment = await MotoDeployment.start(account, `bees-${deployments}`);
    const make = () =>
      new AwsLauncher(
        { clock, lambda: deployment.lambda, sqs: account.sqs },
        {
          deployFunction: 'deploy',
          teardownFunction: 'teardown',
          eventsQueue: deployment.eventsQueue,
          subnets: account.subnets,
        },
      );
    let launcher = make();
    return {
      launcher,
      compute,
      restart() {
        launcher.close();
        launcher = make();
        return launcher;
      },
      behaving(request, behaviour) {
        // EC2 ends an instance whether or not its system agrees.
        if (behaviour === 'ends at once') deployment.endingAtOnce.add(request.machine.token);
        return request;
      },
      async isRunning(machine) {
        const instances = await deployment.instancesOf(machine);
        return instances.some(({ State }) => State?.Name === 'running');
      },
      async until(condition) {
        const dueMs = performance.now() + patienceMs;
        while (!(await condition())) {
          if (performance.now() > dueMs) throw new Error(`it did not come about within ${patienceMs} ms`);
          await sleep(20);
        }
      },
      async close() {
        launcher.close();
        await deployment.stop();
      },
    };
  });
});
