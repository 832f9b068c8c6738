/**
 * What the Lambda functions of a deployment are asked and what they answer, and the orders that they leave for the
 * control API. A deployment is what one `cdk deploy` makes: one control API, its table, its functions. Its name is the
 * value of the tag `skep:cluster` of all that it owns, and the condition under which a function may touch anything.
 *
 * A machine is made by RunInstances with a network interface of its own at the slot's address, made and deleted with it
 * (an interface that is there before gets no public address, without which a network that has no NAT reaches nothing).
 * The address stays the slot's: a generation is launched only when the one before is gone. Instance, volume and
 * interface carry the tags from the first moment.
 */
import * as z from 'zod';
import { AgentConfig } from './agent.ts';
import { ClusterSpec, MachinePlacement, NodeState } from './cluster.ts';
import { ClusterName, ClusterUid, Generation, SlotName } from './identity.ts';
import { SelfTestResult } from './self-test.ts';

/** Keys of the tags by which resources are found. The values are text; `expiresAt` is ISO 8601. */
export const tagKeys = {
  /** The deployment's name. Policies grant by it. */
  deployment: 'skep:cluster',
  uid: 'skep:uid',
  slot: 'skep:slot',
  role: 'skep:role',
  generation: 'skep:generation',
  attempt: 'skep:attempt',
  /** The machine's token, which is also the ClientToken that its instance was asked for with. */
  token: 'skep:token',
  /** Id of the CloudFormation stack without which nobody would end what carries it. */
  stack: 'skep:stack',
  expiresAt: 'skep:expires-at',
} as const;

/** One attempt at one generation of a slot; `token` is its idempotency token (64 hexadecimal digits). */
export const MachineToken = z
  .strictObject({
    clusterUid: ClusterUid,
    slot: SlotName,
    generation: Generation,
    attempt: z.int().min(1),
    token: z.string().regex(/^[0-9a-f]{64}$/),
  })
  .meta({ id: 'MachineToken' });
export type MachineToken = z.infer<typeof MachineToken>;

/** Directories are the machine's own affair, so that the order is the same whoever gives it. */
export const MachineOrder = z.strictObject({
  machine: MachineToken,
  config: AgentConfig.omit({ dataDirectory: true, ephemeralDirectory: true, ephemeralRoot: true }),
  placement: MachinePlacement.optional(),
  emptyDisk: z.boolean().optional(),
});
export type MachineOrder = z.infer<typeof MachineOrder>;

/**
 * What came of one launch. `launched`: the token has its instance, from now or before. `exited`: it had one, which is
 * gone; there will be no other. `called-off`: teardown came first. `no-capacity`: nothing was made, nor will be, for this
 * placement now. `not-launched`: nothing is known of the outcome, or nothing was made; ask again with the same token.
 */
export const LaunchOutcome = z.discriminatedUnion('outcome', [
  z.object({ token: z.string(), outcome: z.literal('launched'), instanceId: z.string() }),
  z.object({
    token: z.string(),
    outcome: z.literal('exited'),
    /** Missing where EC2 has forgotten it. */
    instanceId: z.string().optional(),
    evidence: z.string(),
  }),
  z.object({
    token: z.string(),
    outcome: z.enum(['called-off', 'no-capacity', 'no-free-address', 'not-launched']),
    message: z.string(),
  }),
]);
export type LaunchOutcome = z.infer<typeof LaunchOutcome>;

export const DeployRequest = z.discriminatedUnion('action', [
  /** Leaves the control API the order to create a cluster, and waits until all of its nodes serve or `waitMs` is over. */
  z.strictObject({
    action: z.literal('stand-up'),
    spec: ClusterSpec,
    waitMs: z.int().min(0).max(840_000).default(600_000),
  }),
  /** Launches machines side by side; partial failures are told slot by slot. */
  z.strictObject({ action: z.literal('launch'), machines: z.array(MachineOrder).min(1).max(100) }),
  /** The instances of the deployment that are not terminated: all, those of one cluster, or those of these that are. */
  z.strictObject({
    action: z.literal('list'),
    clusterUid: ClusterUid.optional(),
    instanceIds: z
      .array(z.string().regex(/^i-[0-9a-f]+$/))
      .min(1)
      .max(200)
      .optional(),
  }),
  /** The end of an instance's console output. */
  z.strictObject({
    action: z.literal('console'),
    machine: MachineToken,
    tailBytes: z.int().min(1).max(65_536),
  }),
]);
export type DeployRequest = z.infer<typeof DeployRequest>;

export const SlotStatus = z.object({
  slot: SlotName,
  state: NodeState,
  generation: Generation,
  reason: z.string().optional(),
});

export const StandUpAnswer = z.object({
  cluster: ClusterName,
  /** Missing while the control API has not created it. */
  uid: ClusterUid.optional(),
  /** Whether all nodes serve. */
  complete: z.boolean(),
  slots: z.array(SlotStatus),
  /** Why there are no slots yet. */
  message: z.string().optional(),
});
export const LaunchAnswer = z.object({ outcomes: z.array(LaunchOutcome) });
export const ListedInstance = z.object({
  machine: MachineToken,
  instanceId: z.string(),
  state: z.enum(['pending', 'running', 'stopping', 'stopped', 'shutting-down']),
});
export type ListedInstance = z.infer<typeof ListedInstance>;
export const ListAnswer = z.object({ instances: z.array(ListedInstance) });
export const ConsoleAnswer = z.object({ text: z.string() });

export const TeardownRequest = z.discriminatedUnion('scope', [
  /**
   * Everything of the deployment, or of one of its clusters: machines, then network interfaces. Nothing is launched any
   * more for a cluster once this has begun; for a deployment, not before the next `stand-up`.
   */
  z.strictObject({
    scope: z.literal('cluster'),
    clusterUid: ClusterUid.optional(),
    waitMs: z.int().min(0).max(840_000).default(600_000),
  }),
  /** Single machines, ended side by side; one is called off if it was never launched. */
  z.strictObject({
    scope: z.literal('machines'),
    machines: z.array(MachineToken).min(1).max(100),
    /** How long to wait for all to be gone before answering `ending`. */
    waitMs: z.int().min(0).max(840_000).default(0),
  }),
]);
export type TeardownRequest = z.infer<typeof TeardownRequest>;

/** `gone`: proven by listing that nothing is left. `ending`: ask again. */
export const TeardownAnswer = z.object({
  state: z.enum(['gone', 'ending']),
  /** What is still there, in words. */
  left: z.array(z.string()),
  /** Of the machines asked for: the tokens of those proven gone. */
  gone: z.array(z.string()),
});
export type TeardownAnswer = z.infer<typeof TeardownAnswer>;

/** Builds the image of a source, or finds the one there is; a source whose last build failed is built again. */
export const BuildRequest = z.strictObject({
  /** Names the source: its content's hash, which is also the image's tag. */
  sourceHash: z.string().regex(/^[0-9a-zA-Z_.-]{1,128}$/),
  /** How long to wait for a build that runs. */
  waitMs: z.int().min(0).max(840_000).default(0),
});
export type BuildRequest = z.infer<typeof BuildRequest>;
export const BuildAnswer = z.object({
  state: z.enum(['built', 'building', 'failed']),
  /** `repository@sha256:…`, once built. */
  image: z.string().optional(),
  buildId: z.string().optional(),
  /** Where the log is, or what failed. */
  message: z.string().optional(),
  logGroup: z.string().optional(),
  logStream: z.string().optional(),
});
export type BuildAnswer = z.infer<typeof BuildAnswer>;

export const RunTestsRequest = z.strictObject({
  cluster: ClusterName,
  waitMs: z.int().min(0).max(840_000).default(120_000),
});
export type RunTestsRequest = z.infer<typeof RunTestsRequest>;
export const RunTestsAnswer = z.object({ ok: z.boolean(), results: z.array(SelfTestResult) });

/** What the build is told in its environment: its image's tag. */
export const buildVariables = { tag: 'SKEP_IMAGE_TAG' } as const;

export const WatchdogAnswer = z.object({
  /** How long ago the control API last said that it lives; missing if it never has. */
  controlApiSilentMs: z.number().optional(),
  /** Whether this call healed in its place. */
  acted: z.boolean(),
  /** What it asked for: cluster, and the machine to come, for instance `bees bootstrap-2@3`. */
  redeployments: z.array(z.string()),
});

export const ReapAnswer = z.object({
  terminated: z.array(z.string()),
  interfaces: z.array(z.string()),
  /** Groups of control planes that were set to no instances. */
  groups: z.array(z.string()),
  /** What is past its time and could not be ended now. */
  left: z.array(z.string()),
});

/**
 * Properties of the custom resources that the function `lifecycle` serves. CloudFormation makes text of all values,
 * so the spec travels as JSON. `Deploy`, `Teardown` and `Build` are the names of the functions that do it: were they in the
 * environment of `lifecycle`, the image would have to be there before the function that has it built.
 */
export const LifecycleProperties = z.discriminatedUnion('Kind', [
  /** Creation ends with all nodes serving, deletion with nothing left. Attribute: `Uid` of the cluster. */
  z.object({ Kind: z.literal('cluster'), Spec: z.string(), Deploy: z.string(), Teardown: z.string() }),
  /** Creation ends with an image that can be pulled. Attribute: `Image`, as `repository@sha256:…`. */
  z.object({ Kind: z.literal('image'), SourceHash: BuildRequest.shape.sourceHash, Build: z.string() }),
  /** Deletion ends with no such record in the zone: the control API set it, and the zone can't be deleted with it. */
  z.object({ Kind: z.literal('name'), HostedZone: z.string(), Name: z.string() }),
]);
export type LifecycleProperties = z.infer<typeof LifecycleProperties>;

/**
 * Orders lie in the table under `order/<id>`, where the control API looks for them every two seconds: functions
 * outside the network need no way to it. Who reads `done` or `failed` removes the order.
 */
export const Order = z.object({
  ask: z.discriminatedUnion('kind', [
    /** A cluster that there is already with the same spec is `done` too. */
    z.object({ kind: z.literal('create-cluster'), spec: ClusterSpec }),
    z.object({ kind: z.literal('run-tests'), cluster: ClusterName }),
  ]),
  askedAtMs: z.number(),
  state: z.enum(['asked', 'working', 'done', 'failed']),
  /** Of `create-cluster`, once it is created. */
  clusterUid: ClusterUid.optional(),
  /** Of `run-tests`. */
  results: z.array(SelfTestResult).optional(),
  message: z.string().optional(),
});
export type Order = z.infer<typeof Order>;

/** Rows of the table that are no cluster's: who may read and write which is said in docs/architecture.md. */
export const tableKeys = {
  order: (id: string) => `order/${id}`,
  orders: 'order/',
  /** `{ atMs, version }`, written by the control API every ten seconds. */
  heartbeat: 'heartbeat/control-api',
  /** What deploy and teardown agree by on one token. */
  launch: (machine: { clusterUid: string; token: string }) => `launch/${machine.clusterUid}/${machine.token}`,
  /** Of one cluster, or of the deployment. */
  launches: (clusterUid?: string) => (clusterUid === undefined ? 'launch/' : `launch/${clusterUid}/`),
  /** While there, nothing is launched any more: in one cluster, or in the deployment. */
  closed: (clusterUid?: string) => `closed/${clusterUid ?? 'deployment'}`,
} as const;
