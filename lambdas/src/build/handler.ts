/** The function `build`: see build.ts. */
import { CodeBuildClient } from '@aws-sdk/client-codebuild';
import { ECRClient } from '@aws-sdk/client-ecr';
import { BuildAnswer, BuildRequest } from '@skep/contract';
import { createNodeHost } from '@skep/p2p-core/host/node';
import { BuildEnvironment, readEnvironment } from '../environment.ts';
import { type LambdaContext, once, readRequest, waitWithin } from '../lambda.ts';
import { ImageBuilds } from './build.ts';

const builds = once(() => {
  const { SKEP_PROJECT, SKEP_REPOSITORY } = readEnvironment(BuildEnvironment, process.env);
  const { clock, compute } = createNodeHost();
  return new ImageBuilds(
    { clock, compute, codeBuild: new CodeBuildClient(), ecr: new ECRClient() },
    { project: SKEP_PROJECT, repository: SKEP_REPOSITORY },
  );
});

export async function handler(event: unknown, context: LambdaContext): Promise<BuildAnswer> {
  const { sourceHash, waitMs } = readRequest(BuildRequest, event);
  return BuildAnswer.parse(await builds().build({ sourceHash, waitMs: waitWithin(context, waitMs) }));
}
