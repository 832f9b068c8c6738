/**
 * Where the image of a cluster comes from: a repository in ECR, and a CodeBuild project that builds into it from a
 * source that is uploaded with the stack. It builds nothing itself: that is the build function's, to which `grantBuild`
 * gives the rights.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Duration, IgnoreMode, RemovalPolicy, Validations } from 'aws-cdk-lib';
import * as codebuild from 'aws-cdk-lib/aws-codebuild';
import * as ecr from 'aws-cdk-lib/aws-ecr';
import * as iam from 'aws-cdk-lib/aws-iam';
import type * as logs from 'aws-cdk-lib/aws-logs';
import { Asset } from 'aws-cdk-lib/aws-s3-assets';
import { Construct } from 'constructs';
import { parse } from 'yaml';
import { acknowledgeWildcard } from './acknowledgements.ts';
import { type Architecture, defaultArchitecture } from './container-host.ts';
import { deploymentLogs } from './deployment-logs.ts';

export interface ImageBuilderProps {
  /**
   * Directory with `node-agent/Dockerfile` and a `.dockerignore`, which also says what is uploaded.
   * @default - the repository that this package lies in
   */
  readonly source?: string;
  /**
   * Image with Node 24 on Debian to build on.
   * @default - the official slim image, from AWS's public registry
   */
  readonly baseImage?: string;
  /** @default arm64 */
  readonly architecture?: Architecture;
  /**
   * How many images are kept, the newest.
   * @default 20
   */
  readonly keptImages?: number;
}

/** The same as the image `node` of Docker Hub, without its limits on who may pull how often. */
const defaultBaseImage = 'public.ecr.aws/docker/library/node:24-slim';
const dockerfile = 'node-agent/Dockerfile';
const buildTimeout = Duration.minutes(14);
const untaggedImagesKeptDays = 1;
const defaultKeptImages = 20;

export class ImageBuilder extends Construct {
  readonly repository: ecr.Repository;
  readonly project: codebuild.Project;
  /** Of the builds. */
  readonly logGroup: logs.LogGroup;
  /** Names the source: what is built of it bears it as its tag. */
  readonly sourceHash: string;

  constructor(scope: Construct, id: string, props: ImageBuilderProps = {}) {
    super(scope, id);
    const { source = join(import.meta.dirname, '../..'), architecture = defaultArchitecture } = props;

    this.repository = new ecr.Repository(this, 'Repository', {
      imageScanOnPush: true,
      imageTagMutability: ecr.TagMutability.IMMUTABLE,
      removalPolicy: RemovalPolicy.DESTROY,
      emptyOnDelete: true,
      lifecycleRules: [
        {
          tagStatus: ecr.TagStatus.UNTAGGED,
          maxImageAge: Duration.days(untaggedImagesKeptDays),
          rulePriority: 1,
        },
        {
          tagStatus: ecr.TagStatus.ANY,
          maxImageCount: props.keptImages ?? defaultKeptImages,
          rulePriority: 2,
        },
      ],
    });

    const asset = new Asset(this, 'Source', {
      path: source,
      ignoreMode: IgnoreMode.DOCKER,
      exclude: [...ignoredByDocker(source), `!${dockerfile}`, '!.dockerignore'],
    });
    this.sourceHash = asset.assetHash;

    this.logGroup = deploymentLogs(this, 'Logs');
    const isArm = architecture === 'arm64';
    const role = this.#buildRole(asset);
    this.project = new codebuild.Project(this, 'Project', {
      role: role.withoutPolicyUpdates(),
      description: 'Builds the image of a Skep cluster',
      source: codebuild.Source.s3({ bucket: asset.bucket, path: asset.s3ObjectKey }),
      buildSpec: codebuild.BuildSpec.fromObjectToYaml(readBuildSpec()),
      timeout: buildTimeout,
      environment: {
        buildImage: isArm
          ? codebuild.LinuxArmBuildImage.AMAZON_LINUX_2023_STANDARD_3_0
          : codebuild.LinuxBuildImage.AMAZON_LINUX_2023_5,
        computeType: codebuild.ComputeType.SMALL,
        privileged: true,
      },
      environmentVariables: {
        SKEP_REPOSITORY: { value: this.repository.repositoryUri },
        SKEP_IMAGE_TAG: { value: this.sourceHash },
        SKEP_BASE_IMAGE: { value: props.baseImage ?? defaultBaseImage },
        SKEP_VERSION: { value: packageVersion() },
      },
      logging: { cloudWatch: { logGroup: this.logGroup } },
    });
    Validations.of(this.project).acknowledge(
      { id: 'AwsSolutions-CB3', reason: 'Docker builds the image, and its daemon needs the privilege.' },
      {
        id: 'AwsSolutions-CB4',
        reason: 'The build has no artifacts: the image goes to ECR, which encrypts it.',
      },
    );
  }

  /** Reading this one source, writing its own log, pulling from and pushing to this one repository. */
  #buildRole(source: Asset): iam.Role {
    const role = new iam.Role(this, 'Role', {
      assumedBy: new iam.ServicePrincipal('codebuild.amazonaws.com'),
      description: 'Builds the image of a Skep cluster',
    });
    role.addToPolicy(
      new iam.PolicyStatement({
        sid: 'ReadTheSource',
        actions: ['s3:GetObject', 's3:GetObjectVersion'],
        resources: [source.bucket.arnForObjects(source.s3ObjectKey)],
      }),
    );
    this.logGroup.grantWrite(role);
    this.repository.grantPullPush(role);
    acknowledgeWildcard(role, '*', 'The token for ECR is of no resource that could be named.');
    return role;
  }

  /** Starting builds of the project, looking at them, and at which images there are. */
  grantBuild(grantee: iam.IGrantable): void {
    grantee.grantPrincipal.addToPrincipalPolicy(
      new iam.PolicyStatement({
        sid: 'BuildAndLook',
        actions: ['codebuild:StartBuild', 'codebuild:BatchGetBuilds', 'codebuild:ListBuildsForProject'],
        resources: [this.project.projectArn],
      }),
    );
    this.repository.grant(grantee, 'ecr:DescribeImages');
  }
}

/** The commands and their phases, as CodeBuild reads them. */
export function readBuildSpec(): Record<string, unknown> {
  return parse(readFileSync(join(import.meta.dirname, 'buildspec.yml'), 'utf8'));
}

function ignoredByDocker(source: string): string[] {
  const path = join(source, '.dockerignore');
  try {
    return readFileSync(path, 'utf8').split('\n');
  } catch (error) {
    throw new Error(`${path} cannot be read, which says what of the source the image is built of`, {
      cause: error,
    });
  }
}

function packageVersion(): string {
  return JSON.parse(readFileSync(join(import.meta.dirname, '../package.json'), 'utf8')).version;
}
