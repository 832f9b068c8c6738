import {
  BatchGetBuildsCommand,
  type Build,
  type CodeBuildClient,
  ListBuildsForProjectCommand,
  type StartBuildCommand,
} from '@aws-sdk/client-codebuild';
import { type DescribeImagesCommand, type ECRClient, ImageNotFoundException } from '@aws-sdk/client-ecr';
import { describe, expect, it } from 'vitest';
import { createVirtualHost } from '../../../control-api/src/testing/virtual-host.ts';
import { ImageBuilds } from './build.ts';

const repository = '123456789012.dkr.ecr.eu-north-1.amazonaws.com/skep/nodes';
const image = `${repository}@sha256:1`;

/** CodeBuild and ECR of one project, in which time makes builds end. */
function world(
  outcome: { status: Build['buildStatus']; afterMs: number; pushes: boolean } = {
    status: 'SUCCEEDED',
    afterMs: 60_000,
    pushes: true,
  },
) {
  const virtual = createVirtualHost();
  const { clock, compute } = virtual.host;
  const pushed = new Set<string>();
  const builds: Build[] = [];
  const tokens = new Map<string, Build>();
  const asked: string[] = [];
  function start({
    idempotencyToken,
    environmentVariablesOverride: [tag] = [],
  }: StartBuildCommand['input']): Build {
    const known = tokens.get(idempotencyToken!);
    if (known !== undefined) return known;
    const build: Build = {
      id: `skep:${builds.length + 1}`,
      buildStatus: 'IN_PROGRESS',
      currentPhase: 'BUILD',
      environment: {
        type: 'ARM_CONTAINER',
        image: 'i',
        computeType: 'BUILD_GENERAL1_SMALL',
        environmentVariables: [tag!],
      },
      logs: { groupName: '/skep/builds', streamName: `stream-${builds.length + 1}` },
    };
    tokens.set(idempotencyToken!, build);
    builds.unshift(build);
    clock.setTimer(outcome.afterMs, () => {
      build.buildStatus = outcome.status;
      if (outcome.status !== 'SUCCEEDED') {
        build.phases = [
          { phaseType: 'INSTALL', phaseStatus: 'SUCCEEDED' },
          {
            phaseType: 'BUILD',
            phaseStatus: 'FAILED',
            contexts: [{ message: 'exit status 1 of docker build' }],
          },
        ];
      }
      if (outcome.pushes) pushed.add(tag!.value!);
    });
    return build;
  }
  const codeBuild = {
    async send(command: unknown) {
      asked.push((command as object).constructor.name);
      if (command instanceof ListBuildsForProjectCommand) return { ids: builds.map(({ id }) => id!) };
      if (command instanceof BatchGetBuildsCommand) {
        return {
          builds: builds.filter(({ id }) => command.input.ids!.includes(id!)).map((build) => ({ ...build })),
        };
      }
      return { build: { ...start((command as StartBuildCommand).input) } };
    },
  } as unknown as CodeBuildClient;
  const ecr = {
    async send({ input: { repositoryName, imageIds } }: DescribeImagesCommand) {
      expect(repositoryName).toBe('skep/nodes');
      if (!pushed.has(imageIds![0]!.imageTag!))
        throw new ImageNotFoundException({ message: 'none', $metadata: {} });
      return { imageDetails: [{ imageDigest: 'sha256:1' }] };
    },
  } as unknown as ECRClient;
  const images = new ImageBuilds({ clock, compute, codeBuild, ecr }, { project: 'skep', repository });
  return {
    pushed,
    builds,
    asked,
    advance: virtual.advance,
    async build(waitMs = 0, sourceHash = 'abc') {
      let isDone = false;
      const answer = images.build({ sourceHash, waitMs }).finally(() => {
        isDone = true;
      });
      while (!isDone) await virtual.advance(1_000);
      return answer;
    },
  };
}

describe('the image of a source', () => {
  it('that is there is not built', async () => {
    const { build, pushed, asked } = world();
    pushed.add('abc');
    expect(await build()).toEqual({ state: 'built', image });
    expect(asked).toEqual([]);
  });

  it('is built, waited for, and known by its digest', async () => {
    const { build, builds } = world();
    expect(await build(120_000)).toEqual({
      state: 'built',
      image,
      buildId: 'skep:1',
      logGroup: '/skep/builds',
      logStream: 'stream-1',
    });
    expect(builds).toHaveLength(1);
  });

  it('that is being built is not built twice, by those who come later or at once', async () => {
    const { build, builds } = world();
    const [one, other] = await Promise.all([build(), build()]);
    expect(one).toMatchObject({ state: 'building', buildId: 'skep:1', logStream: 'stream-1' });
    expect(other).toEqual(one);
    expect(await build(3_000)).toMatchObject({ state: 'building', buildId: 'skep:1' });
    expect(await build(120_000)).toMatchObject({ state: 'built', image });
    expect(builds).toHaveLength(1);
  });

  it('of another source is another build', async () => {
    const { build, builds } = world();
    await build(0, 'abc');
    await build(0, 'def');
    expect(builds.map(({ environment }) => environment!.environmentVariables)).toEqual([
      [{ name: 'SKEP_IMAGE_TAG', value: 'def', type: 'PLAINTEXT' }],
      [{ name: 'SKEP_IMAGE_TAG', value: 'abc', type: 'PLAINTEXT' }],
    ]);
  });

  it('whose build failed is told so with its reason, and built again when asked again', async () => {
    const { build, builds } = world({ status: 'FAILED', afterMs: 5_000, pushes: false });
    const failed = await build(60_000);
    expect(failed).toMatchObject({
      state: 'failed',
      message:
        'the build skep:1 failed: it ended as FAILED in BUILD; exit status 1 of docker build; its log is /skep/builds',
    });
    expect(await build(60_000)).toMatchObject({ state: 'failed', buildId: 'skep:2' });
    expect(builds).toHaveLength(2);
  });

  it('is not said to be there because its build ended well', async () => {
    const { build } = world({ status: 'SUCCEEDED', afterMs: 5_000, pushes: false });
    expect(await build(60_000)).toMatchObject({
      state: 'failed',
      message: expect.stringContaining('left no image in the repository'),
    });
  });
});
