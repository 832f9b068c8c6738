/** The function `reap`, which a schedule calls with whatever it likes: see reap.ts. */
import { AutoScalingClient } from '@aws-sdk/client-auto-scaling';
import { CloudFormationClient } from '@aws-sdk/client-cloudformation';
import { EC2Client } from '@aws-sdk/client-ec2';
import { ReapAnswer } from '@skep/contract';
import { createNodeHost } from '@skep/p2p-core/host/node';
import type * as z from 'zod';
import { ReapEnvironment, readEnvironment } from '../environment.ts';
import { reap } from './reap.ts';

export async function handler(): Promise<z.infer<typeof ReapAnswer>> {
  const { SKEP_CLUSTER, SKEP_EXPIRES_AT } = readEnvironment(ReapEnvironment, process.env);
  const { clock } = createNodeHost();
  const answer = await reap(
    {
      clock,
      ec2: new EC2Client(),
      autoScaling: new AutoScalingClient(),
      cloudFormation: new CloudFormationClient(),
    },
    SKEP_CLUSTER === undefined
      ? {}
      : {
          own: {
            deployment: SKEP_CLUSTER,
            ...(SKEP_EXPIRES_AT === undefined ? {} : { expiresAt: SKEP_EXPIRES_AT }),
          },
        },
  );
  // What it did, and above all what it could not do, is read in the log.
  console.log(JSON.stringify(answer));
  return ReapAnswer.parse(answer);
}
