/** A cluster: what is asked for (spec) and what is (views). */
import * as z from 'zod';
import {
  Address,
  ClusterName,
  ClusterUid,
  Generation,
  MachineName,
  Role,
  SlotName,
  WorkingRole,
} from './identity.ts';
import { NetworkSpec } from './network.ts';

const names = z.array(z.string().min(1).max(64)).min(1).max(8);

/** What machines may be made of and where, best first; for runners that have instance types and zones. */
export const Placement = z
  .strictObject({
    /** Tried in this order, in a slot's own zone first. */
    instanceTypes: names.optional(),
    /** Slots are spread over them by ordinal; a slot's launches move on only where its own zone fails. */
    zones: names.optional(),
  })
  .meta({ id: 'Placement' });
export type Placement = z.infer<typeof Placement>;

/** What one attempt's machine is made of, and where. */
export const MachinePlacement = z
  .object({ instanceType: z.string().optional(), zone: z.string().optional() })
  .meta({ id: 'MachinePlacement' });
export type MachinePlacement = z.infer<typeof MachinePlacement>;

/** The most bootstrap slots of a cluster, those added later counted. */
export const mostBootstrap = 100;

export const ClusterSpec = z
  .strictObject({
    name: ClusterName,
    /** An odd number keeps a majority with the fewest machines. At most as many as a ring has members. */
    bootstrap: z.int().min(1).max(mostBootstrap).default(3),
    /** Nodes that are to hold the index of what the cluster's torrents are. Until they have one they only serve the DHT. */
    index: z.int().min(0).max(100).default(0),
    peers: z.int().min(0).max(10_000).default(5),
    /** Machines that are launched and idle, to take over the slots of others that die. Always made up to this number. */
    spares: z.int().min(0).max(32).default(0),
    /** Which roles are redeployed when they die. Spares are made up for without being named. */
    heal: z
      .array(Role)
      .refine((roles) => !roles.includes('spare'), 'spares are always made up for: they are not named')
      .default(['bootstrap', 'index', 'peer']),
    /** How long silence is only suspicion. Longer than any pause that must be survived. */
    graceMs: z.int().min(500).max(600_000).default(6_000),
    leaseMs: z.int().min(500).max(600_000).default(5_000),
    /** The control API heals by itself when nobody has held the lease for this long. */
    watchdogMs: z.int().min(1_000).max(3_600_000).default(15_000),
    reportIntervalMs: z.int().min(50).max(60_000).default(1_000),
    /** An agent that could not reach the control API for this long ends itself. */
    orphanMs: z.int().min(1_000).max(86_400_000).default(60_000),
    /** Budgets against redeployment storms, in any 60 seconds. */
    redeploymentsPerSlot: z.int().min(1).max(100).default(4),
    redeploymentsPerCluster: z.int().min(1).max(1_000).default(20),
    /** Payload limits of each node; 0 is unlimited. */
    uploadBytesPerSecond: z.int().min(0).default(0),
    downloadBytesPerSecond: z.int().min(0).default(0),
    /** The network that machines stand in. Needed, if only empty, by faults of network, clock and disk. */
    network: NetworkSpec.optional(),
    /** Missing: as the runner chooses. Runners that know neither instance types nor zones pay no heed to it. */
    placement: Placement.optional(),
    /** Nothing of the cluster outlives it: machines remove their data when they end. */
    ephemeral: z.boolean().default(false),
  })
  .meta({ id: 'ClusterSpec', description: 'What a cluster should be.' });
export type ClusterSpec = z.infer<typeof ClusterSpec>;

/**
 * The life of a slot's present generation. `dead` is known by evidence or fenced silence and waits to be
 * redeployed; `failed` could not be launched and is tried again with the next attempt.
 */
export const NodeState = z
  .enum(['launching', 'joined', 'serving', 'stopping', 'dead', 'failed', 'stopped'])
  .meta({ id: 'NodeState' });
export type NodeState = z.infer<typeof NodeState>;

export const LeaseView = z
  .object({
    term: z.int().min(0),
    /** A slot@generation, or `watchdog`; missing before the first lease. */
    holder: z.string().optional(),
    /** Whether it is still running, by the control API's clock. */
    held: z.boolean(),
  })
  .meta({ id: 'Lease' });
export type LeaseView = z.infer<typeof LeaseView>;

export const TorrentHolding = z
  .object({
    infoHash: z.string(),
    name: z.string().optional(),
    state: z.enum(['metadata', 'checking', 'downloading', 'seeding', 'stopped', 'error']),
    message: z.string().optional(),
    lengthBytes: z.number(),
    haveBytes: z.number(),
    downloadRate: z.number(),
    uploadRate: z.number(),
    downloadedBytes: z.number(),
    uploadedBytes: z.number(),
    /** Downloaded again or beyond need. */
    wastedBytes: z.number(),
    peers: z.int(),
    /** From the command to the last verified piece. */
    seconds: z.number().optional(),
    /** Milliseconds from the command to the first peer that a DHT lookup found. */
    firstPeerMs: z.number().optional(),
    /** SHA-256 of the content laid end to end, read back from disk once complete. */
    sha256: z.string().optional(),
  })
  .meta({ id: 'TorrentHolding', description: 'One torrent as one node holds it.' });
export type TorrentHolding = z.infer<typeof TorrentHolding>;

export const NodeView = z
  .object({
    slot: SlotName,
    role: Role,
    generation: Generation,
    attempt: z.int(),
    state: NodeState,
    address: Address,
    placement: MachinePlacement.optional(),
    /** On its way in, as a member of the ring that does not vote yet; or out, being removed. */
    moving: z.enum(['joining', 'leaving']).optional(),
    /** Its redeployment was cancelled: it stays empty until an operator has it redeployed. */
    held: z.literal(true).optional(),
    /** The runner's own name of the machine: for processes the pid. */
    machine: z.string().optional(),
    /** Why it is dead or failed. */
    reason: z.string().optional(),
    /** Milliseconds since the last report. */
    heardAgoMs: z.number().optional(),
    lamport: z.number().optional(),
    dhtNodes: z.int().optional(),
    ringRole: z.enum(['follower', 'candidate', 'leader']).optional(),
    term: z.int().optional(),
    torrents: z.array(TorrentHolding),
  })
  .meta({ id: 'Node', description: 'A slot and the machine that is in it now.' });
export type NodeView = z.infer<typeof NodeView>;

export const ClusterView = z
  .object({
    name: ClusterName,
    uid: ClusterUid,
    state: z.enum(['active', 'deleting']),
    spec: ClusterSpec,
    createdAtMs: z.number(),
    lease: LeaseView,
    nodes: z.array(NodeView),
  })
  .meta({ id: 'Cluster' });
export type ClusterView = z.infer<typeof ClusterView>;

export const NewNode = z
  .strictObject({
    /** A bootstrap node joins the ring, and votes as soon as it serves with the ring's configuration. */
    role: WorkingRole.default('peer'),
    /** Bootstrap slots that it joins the DHT through; default all of the ring. */
    bootstrap: z.array(SlotName).min(1).optional(),
  })
  .refine(({ role, bootstrap }) => role !== 'bootstrap' || bootstrap === undefined, {
    path: ['bootstrap'],
    message: 'a bootstrap node joins through the whole ring: only others have bootstrap slots of their own',
  })
  .meta({ id: 'NewNode' });
export type NewNode = z.infer<typeof NewNode>;

/** Where a seed has its content: at a path of its own machine, or at a web address that it fetches it from first. */
export const Seed = z
  .union([
    z.strictObject({ slot: SlotName, contentRoot: z.string().min(1).max(4096) }),
    /** For torrents of one file. It may hold a signature: it is told to that machine alone. */
    z.strictObject({ slot: SlotName, contentUrl: z.url({ protocol: /^https?$/ }).max(4096) }),
  ])
  .meta({ id: 'Seed' });
export type Seed = z.infer<typeof Seed>;

/** A torrent to spread: seeds hold the content, leeches get the magnet link. */
export const NewTorrent = z
  .strictObject({
    /** The .torrent file, in base64. */
    metainfo: z.base64().max(14_000_000),
    seeds: z.array(Seed).min(1),
    /** `all`: every peer slot that is no seed, those added later too. */
    leeches: z.union([z.literal('all'), z.array(SlotName)]).default('all'),
  })
  .meta({ id: 'NewTorrent' });
export type NewTorrent = z.infer<typeof NewTorrent>;

export const TorrentView = z
  .object({
    infoHash: z.string(),
    name: z.string(),
    magnet: z.string(),
    lengthBytes: z.number(),
    seeds: z.array(SlotName),
    leeches: z.union([z.literal('all'), z.array(SlotName)]),
  })
  .meta({ id: 'Torrent' });
export type TorrentView = z.infer<typeof TorrentView>;

/** When a redeployment came to where it is, by the control API's clock. Of the launch only the present attempt counts. */
export const RedeploymentTimes = z
  .object({
    /** First asked for, if in vain at first: a budget was spent, or the machine was still heard. */
    askedMs: z.number(),
    /** Accepted; by the same commit the old generation is fenced, and its stop begins. */
    acceptedMs: z.number(),
    /** The old machine was proven gone. */
    goneMs: z.number().optional(),
    /** Nothing stood in the way of the launch any more: the machine before it is gone, the back-off over. */
    launchingMs: z.number().optional(),
    /** The launcher had made the machine. */
    launchedMs: z.number().optional(),
    /** The agent began to run, by its own word. */
    bootedMs: z.number().optional(),
    joinedMs: z.number().optional(),
    servingMs: z.number().optional(),
    /** It serves, and the old one is gone. */
    completeMs: z.number().optional(),
    cancelledMs: z.number().optional(),
  })
  .meta({ id: 'RedeploymentTimes' });
export type RedeploymentTimes = z.infer<typeof RedeploymentTimes>;

/** `serving`: the new machine serves while the old one is not proven gone. */
export const RedeploymentState = z
  .enum(['stopping', 'launching', 'booting', 'joining', 'serving', 'complete', 'cancelled'])
  .meta({ id: 'RedeploymentState' });
export type RedeploymentState = z.infer<typeof RedeploymentState>;

/** A machine's name, which is that of the redeployment that makes it: the slot and the generation to come. */
export const RedeploymentId = MachineName;

/** The replacing of a slot's dead generation by the next one. */
export const RedeploymentView = z
  .object({
    id: RedeploymentId,
    slot: SlotName,
    fromGeneration: Generation,
    toGeneration: Generation,
    /** Of the lease when it was asked for; 0 before the first. */
    term: z.int().min(0),
    /** A slot@generation, `watchdog`, `operator`, or `fault ` and its id. */
    askedBy: z.string(),
    /** How the death was known, or who wanted it without one. */
    cause: z.enum(['evidence', 'silence', 'fault', 'operator']),
    reason: z.string(),
    state: RedeploymentState,
    /** The spare that takes the slot over, as the first attempt; missing where a machine is launched for it. */
    spare: SlotName.optional(),
    attempts: z.int(),
    times: RedeploymentTimes,
  })
  .meta({ id: 'Redeployment' });
export type RedeploymentView = z.infer<typeof RedeploymentView>;
