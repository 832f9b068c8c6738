/** The function `teardown`: see cluster.ts and machines.ts. It alone may terminate, beside the reaper. */
import { EC2Client } from '@aws-sdk/client-ec2';
import { TeardownAnswer, TeardownRequest } from '@skep/contract';
import { createNodeHost } from '@skep/p2p-core/host/node';
import { deploymentTable } from '../deployment-table.ts';
import { Ec2Instances } from '../ec2/ec2-instances.ts';
import { Ec2NetworkInterfaces } from '../ec2/ec2-network-interfaces.ts';
import { readEnvironment, TeardownEnvironment } from '../environment.ts';
import { type LambdaContext, once, readRequest, waitWithin } from '../lambda.ts';
import { ClusterTeardown } from './cluster.ts';
import { MachineTeardown } from './machines.ts';

const teardowns = once(() => {
  const { SKEP_CLUSTER, SKEP_TABLE } = readEnvironment(TeardownEnvironment, process.env);
  const host = createNodeHost();
  const { agreements } = deploymentTable(host, SKEP_TABLE);
  const ec2 = new EC2Client();
  const deployment = { deployment: SKEP_CLUSTER };
  const components = { clock: host.clock, agreements, instances: new Ec2Instances({ ec2 }, deployment) };
  const interfaces = new Ec2NetworkInterfaces({ ec2 }, deployment);
  return {
    machines: new MachineTeardown(components),
    cluster: new ClusterTeardown({ ...components, interfaces }),
  };
});

export async function handler(event: unknown, context: LambdaContext): Promise<TeardownAnswer> {
  const request = readRequest(TeardownRequest, event);
  const waitMs = waitWithin(context, request.waitMs);
  const { machines, cluster } = teardowns();
  const answer =
    request.scope === 'machines'
      ? await machines.end(request.machines, waitMs)
      : await cluster.end(request.clusterUid, waitMs);
  return TeardownAnswer.parse(answer);
}
