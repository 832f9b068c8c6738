/**
 * Builds the image of a source once, however often it is asked for: first the repository is asked for it, then a build that
 * runs is joined, and only then is one started, with a token that makes two who ask at once one.
 */
import {
  BatchGetBuildsCommand,
  type Build,
  type CodeBuildClient,
  ListBuildsForProjectCommand,
  StartBuildCommand,
} from '@aws-sdk/client-codebuild';
import { DescribeImagesCommand, type ECRClient, ImageNotFoundException } from '@aws-sdk/client-ecr';
import { type BuildAnswer, type BuildRequest, buildVariables } from '@skep/contract';
import { toHex } from '@skep/p2p-core/bytes';
import type { Clock, Compute } from '@skep/p2p-core/host';
import { pause } from '../patience.ts';

export interface BuildComponents {
  readonly clock: Clock;
  readonly compute: Pick<Compute, 'hash'>;
  readonly codeBuild: CodeBuildClient;
  readonly ecr: ECRClient;
}

export interface BuildOptions {
  /** Name of the CodeBuild project, which tags what it pushes with its variable SKEP_IMAGE_TAG. */
  readonly project: string;
  /** URI of the repository, without a tag. */
  readonly repository: string;
}

const pollMs = 3_000;
/** Older builds of a source are of no concern: they say nothing that the repository does not. */
const buildsLookedAt = 50;

export class ImageBuilds {
  readonly #components: BuildComponents;
  readonly #options: BuildOptions;

  constructor(components: BuildComponents, options: BuildOptions) {
    this.#components = components;
    this.#options = options;
  }

  /** Resolves with the image, or after `waitMs` with the build that runs, or with why it failed. */
  async build({ sourceHash, waitMs }: BuildRequest): Promise<BuildAnswer> {
    const { clock } = this.#components;
    const dueMs = clock.now() + waitMs;
    const image = await this.#image(sourceHash);
    if (image !== undefined) return { state: 'built', image };
    let build = await this.#runningOrStarted(sourceHash);
    while (build.buildStatus === 'IN_PROGRESS' && clock.now() + pollMs <= dueMs) {
      await pause(clock, pollMs);
      const { builds = [] } = await this.#components.codeBuild.send(
        new BatchGetBuildsCommand({ ids: [build.id!] }),
      );
      build = builds[0] ?? build;
    }
    return this.#answer(sourceHash, build);
  }

  async #answer(sourceHash: string, build: Build): Promise<BuildAnswer> {
    const about = {
      buildId: build.id,
      ...(build.logs?.groupName === undefined ? {} : { logGroup: build.logs.groupName }),
      ...(build.logs?.streamName === undefined ? {} : { logStream: build.logs.streamName }),
    };
    if (build.buildStatus === 'IN_PROGRESS') {
      return {
        ...about,
        state: 'building',
        message: `the image is being built, in the phase ${build.currentPhase}`,
      };
    }
    const image = build.buildStatus === 'SUCCEEDED' ? await this.#image(sourceHash) : undefined;
    return image === undefined
      ? { ...about, state: 'failed', message: failureOf(build) }
      : { ...about, state: 'built', image };
  }

  /** By digest; undefined if there is none of this source. */
  async #image(sourceHash: string): Promise<string | undefined> {
    const { repository } = this.#options;
    try {
      const { imageDetails = [] } = await this.#components.ecr.send(
        new DescribeImagesCommand({
          repositoryName: repository.slice(repository.indexOf('/') + 1),
          imageIds: [{ imageTag: sourceHash }],
        }),
      );
      const digest = imageDetails[0]?.imageDigest;
      return digest && `${repository}@${digest}`;
    } catch (error) {
      if (error instanceof ImageNotFoundException) return undefined;
      throw error;
    }
  }

  async #runningOrStarted(sourceHash: string): Promise<Build> {
    const { codeBuild, compute } = this.#components;
    const { project } = this.#options;
    const { ids = [] } = await codeBuild.send(
      new ListBuildsForProjectCommand({ projectName: project, sortOrder: 'DESCENDING' }),
    );
    const looked = ids.slice(0, buildsLookedAt);
    const { builds = [] } =
      looked.length === 0 ? {} : await codeBuild.send(new BatchGetBuildsCommand({ ids: looked }));
    const same = builds.filter((build) => sourceOf(build) === sourceHash);
    const running = same.find(({ buildStatus }) => buildStatus === 'IN_PROGRESS');
    if (running !== undefined) return running;
    // Two who saw the same builds start one; who saw one more that failed starts the next.
    const seen = new TextEncoder().encode(JSON.stringify([sourceHash, same.map(({ id }) => id).sort()]));
    const { build } = await codeBuild.send(
      new StartBuildCommand({
        projectName: project,
        idempotencyToken: toHex(compute.hash('sha256', seen)),
        environmentVariablesOverride: [{ name: buildVariables.tag, value: sourceHash, type: 'PLAINTEXT' }],
      }),
    );
    if (build?.id === undefined) throw new Error(`CodeBuild started no build of ${project}: ask again`);
    return build;
  }
}

function sourceOf(build: Build): string | undefined {
  return build.environment?.environmentVariables?.find(({ name }) => name === buildVariables.tag)?.value;
}

function failureOf({ buildStatus, phases = [], logs, id }: Build): string {
  const failed = phases.find(({ phaseStatus }) => phaseStatus !== undefined && phaseStatus !== 'SUCCEEDED');
  const said = failed?.contexts?.map(({ message }) => message).filter(Boolean) ?? [];
  const what =
    buildStatus === 'SUCCEEDED'
      ? 'it ended well but left no image in the repository'
      : `it ended as ${buildStatus}${failed === undefined ? '' : ` in ${failed.phaseType}`}`;
  return [
    `the build ${id} failed: ${what}`,
    ...said,
    `its log is ${logs?.deepLink ?? logs?.groupName ?? 'in CodeBuild'}`,
  ].join('; ');
}
