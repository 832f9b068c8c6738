/** The function `deploy`: see deploy.ts. */
import { EC2Client } from '@aws-sdk/client-ec2';
import { DeployRequest } from '@skep/contract';
import { createNodeHost } from '@skep/p2p-core/host/node';
import { deploymentTable } from '../deployment-table.ts';
import { Ec2Instances } from '../ec2/ec2-instances.ts';
import { Ec2Runs } from '../ec2/ec2-runs.ts';
import { DeployEnvironment, readEnvironment } from '../environment.ts';
import { type LambdaContext, once, readRequest, waitWithin } from '../lambda.ts';
import { renderNodeUserData } from '../user-data.ts';
import { type DeployComponents, deploy, deployAnswers } from './deploy.ts';
import { Launches } from './launch.ts';

const components = once((): DeployComponents => {
  const environment = readEnvironment(DeployEnvironment, process.env);
  const host = createNodeHost();
  const { clock, random, compute } = host;
  const { store, agreements } = deploymentTable(host, environment.SKEP_TABLE);
  const deployment = { deployment: environment.SKEP_CLUSTER };
  const instances = new Ec2Instances({ ec2: new EC2Client() }, deployment);
  const runs = new Ec2Runs({ ec2: new EC2Client({ maxAttempts: 1 }), clock }, deployment);
  const launches = new Launches(
    { clock, random, compute, agreements, runs, instances, renderUserData: renderNodeUserData },
    {
      subnets: environment.SKEP_SUBNETS,
      launchTemplates: environment.SKEP_LAUNCH_TEMPLATES,
      securityGroupId: environment.SKEP_SECURITY_GROUP,
      image: environment.SKEP_IMAGE,
      ...(environment.SKEP_EXPIRES_AT === undefined ? {} : { expiresAt: environment.SKEP_EXPIRES_AT }),
      ...(environment.SKEP_STACK === undefined ? {} : { stack: environment.SKEP_STACK }),
    },
  );
  return { clock, random, store, agreements, launches, instances };
});

export async function handler(event: unknown, context: LambdaContext) {
  const request = readRequest(DeployRequest, event);
  const answer = await deploy(
    components(),
    request.action === 'stand-up' ? { ...request, waitMs: waitWithin(context, request.waitMs) } : request,
  );
  return deployAnswers[request.action].parse(answer);
}
