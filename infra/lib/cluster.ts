/**
 * A whole deployment: network, image, functions, machines' templates, control API, schedules; and, unless it is told not to,
 * the cluster itself: stood up when all the rest is there, torn down before any of it goes.
 */
import { CustomResource, Stack } from 'aws-cdk-lib';
import { Construct } from 'constructs';
import type { ClusterSpec } from './cluster-spec.ts';
import { type Architecture, checkInstanceType, defaultArchitecture } from './container-host.ts';
import type { DomainProps } from './control-door.ts';
import { ControlPlane } from './control-plane.ts';
import { Functions } from './functions.ts';
import { ImageBuilder } from './image-builder.ts';
import { type INetwork, Network } from './network.ts';
import { NodeFleet, type NodeRole } from './node-fleet.ts';
import { tagDeployment } from './tags.ts';
import { Watchdog } from './watchdog.ts';
import { connectFunctions, mayInvoke } from './wiring.ts';

/** Machines outlive a control API that is on its way to a new instance. */
const orphanMs = 600_000;

export interface ClusterProps {
  /**
   * What is to run in it, as the control API takes it; `false` for the platform alone, on which clusters are made later.
   * @default - three bootstrap nodes and five peers
   */
  readonly cluster?: ClusterSpec | false;
  /**
   * Value of the tag `skep:cluster` of all that belongs to it; its own within account and region.
   * @default - name of the stack
   */
  readonly deploymentName?: string;
  /**
   * Until when it may live, ISO 8601; the reaper ends what is past it.
   * @default - for ever
   */
  readonly expiresAt?: string;
  /** @default - an own network without NAT gateways, in the zones of the cluster's placement */
  readonly network?: INetwork;
  /**
   * IPv4 range of the own network, /16 to /18.
   * @default 10.83.0.0/16
   */
  readonly cidr?: string;
  /** @default arm64 */
  readonly architecture?: Architecture;
  /**
   * Roles whose machines are spot instances.
   * @default - none
   */
  readonly spotRoles?: readonly NodeRole[];
  /**
   * Of the control API's instance.
   * @default t4g.small, or t3.small for x86_64
   */
  readonly controlInstanceType?: string;
  /**
   * Name of the SSM parameter that holds the AMI of all instances.
   * @default - the ECS-optimised Amazon Linux 2023 of the architecture
   */
  readonly amiParameter?: string;
  /**
   * Image with Node 24 on Debian that the image is built on.
   * @default - the official slim image, from AWS's public registry
   */
  readonly baseImage?: string;
  /**
   * A load balancer in front of the control API.
   * @default - none: people come in by a tunnel of Session Manager
   */
  readonly domain?: DomainProps;
}

export class Cluster extends Construct {
  readonly network: INetwork;
  readonly imageBuilder: ImageBuilder;
  readonly functions: Functions;
  readonly fleet: NodeFleet;
  readonly controlPlane: ControlPlane;
  readonly watchdog: Watchdog;
  /** The image that runs, by its digest. */
  readonly image: string;
  readonly deploymentName: string;

  constructor(scope: Construct, id: string, props: ClusterProps = {}) {
    super(scope, id);
    const { cluster = {}, architecture = defaultArchitecture, amiParameter } = props;
    const deploymentName = props.deploymentName ?? Stack.of(this).stackName;
    const { instanceTypes = [], zones } = cluster === false ? {} : (cluster.placement ?? {});
    for (const type of instanceTypes) checkInstanceType(type, architecture);
    if (props.expiresAt !== undefined) checkExpiry(props.expiresAt);
    tagDeployment(this, deploymentName, props.expiresAt);
    this.deploymentName = deploymentName;

    const { cidr } = props;
    this.network =
      props.network ??
      new Network(this, 'Network', {
        ...(cidr === undefined ? {} : { cidr }),
        ...(zones === undefined ? {} : { zones }),
      });
    this.functions = new Functions(this, 'Functions');
    this.imageBuilder = new ImageBuilder(this, 'Image', {
      architecture,
      ...(props.baseImage === undefined ? {} : { baseImage: props.baseImage }),
    });
    const { repository } = this.imageBuilder;
    const build = this.functions.get('build');
    build.addEnvironment('SKEP_PROJECT', this.imageBuilder.project.projectName);
    build.addEnvironment('SKEP_REPOSITORY', repository.repositoryUri);
    this.imageBuilder.grantBuild(build);
    this.image = this.#buildImage();

    const host = { architecture, ...(amiParameter === undefined ? {} : { amiParameter }) };
    this.fleet = new NodeFleet(this, 'Fleet', {
      ...host,
      network: this.network,
      repository,
      deploymentName,
      ...(instanceTypes[0] === undefined ? {} : { instanceType: instanceTypes[0] }),
      ...(props.spotRoles === undefined ? {} : { spotRoles: props.spotRoles }),
    });
    this.controlPlane = new ControlPlane(this, 'ControlPlane', {
      ...host,
      network: this.network,
      image: this.image,
      repository,
      deploymentName,
      deploy: this.functions.get('deploy'),
      teardown: this.functions.get('teardown'),
      lifecycle: this.functions.get('lifecycle'),
      nodeSecurityGroup: this.fleet.securityGroup,
      ...(props.controlInstanceType === undefined ? {} : { instanceType: props.controlInstanceType }),
      ...(props.domain === undefined ? {} : { domain: props.domain }),
    });
    connectFunctions({
      functions: this.functions,
      fleet: this.fleet,
      controlPlane: this.controlPlane,
      deploymentName,
      image: this.image,
      expiresAt: props.expiresAt,
    });
    this.watchdog = new Watchdog(this, 'Watchdog', {
      watchdog: this.functions.get('watchdog'),
      reap: this.functions.get('reap'),
    });
    if (cluster !== false) this.#standUp(cluster);
  }

  /** Has the image of the source built, or found, and is its name by digest. */
  #buildImage(): string {
    const build = this.functions.get('build');
    const lifecycle = this.functions.get('lifecycle');
    const image = new CustomResource(this, 'BuiltImage', {
      resourceType: 'Custom::SkepImage',
      serviceToken: lifecycle.functionArn,
      properties: {
        Kind: 'image',
        SourceHash: this.imageBuilder.sourceHash,
        Build: build.functionName,
      },
    });
    image.node.addDependency(
      mayInvoke(this, 'LifecycleBuilds', lifecycle, [build]),
      build,
      this.imageBuilder,
    );
    return image.getAttString('Image');
  }

  /** Last of all at creation, first of all at deletion, for everything else is what it stands on. */
  #standUp(spec: ClusterSpec): void {
    const lifecycle = this.functions.get('lifecycle');
    const deploy = this.functions.get('deploy');
    const teardown = this.functions.get('teardown');
    const others = this.node.children.slice();
    const cluster = new CustomResource(this, 'Running', {
      resourceType: 'Custom::SkepCluster',
      serviceToken: lifecycle.functionArn,
      properties: {
        Kind: 'cluster',
        Spec: JSON.stringify({ name: this.deploymentName.toLowerCase(), orphanMs, ...spec }),
        Deploy: deploy.functionName,
        Teardown: teardown.functionName,
      },
    });
    cluster.node.addDependency(...others, mayInvoke(this, 'LifecycleRuns', lifecycle, [deploy, teardown]));
  }
}

function checkExpiry(expiresAt: string): void {
  if (
    !/^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)$/.test(expiresAt) ||
    Number.isNaN(Date.parse(expiresAt))
  ) {
    throw new Error(`expiresAt is no time: ${expiresAt}; give one as 2027-01-31T18:00:00Z`);
  }
}
