/** What an agent is started with, what it reports, and the commands that ride back on the answer. */
import * as z from 'zod';
import { TorrentHolding } from './cluster.ts';
import { Conditions } from './conditions.ts';
import { FaultId, mostFaults } from './fault.ts';
import {
  Address,
  ClusterName,
  ClusterUid,
  Generation,
  InfoHash,
  MachineId,
  Role,
  Sha256,
  SlotName,
} from './identity.ts';
import { RingConfiguration } from './ring.ts';
import { SelfTestId, SelfTestReport } from './self-test.ts';

/**
 * An agent's configuration: the file that a launcher writes, named by `SKEP_CONFIG`. Deterministic in
 * (cluster uid, slot, generation, attempt), so that a launch tried twice is the same launch.
 */
export const AgentConfig = z
  .strictObject({
    apiUrl: z.url({ protocol: /^https?$/ }),
    /** The control API's certificate, in PEM: where there is one, the agent trusts no other. */
    apiCertificate: z.string().startsWith('-----BEGIN CERTIFICATE-----').max(8_192).optional(),
    cluster: ClusterName,
    clusterUid: ClusterUid,
    slot: SlotName,
    role: Role,
    generation: Generation,
    attempt: z.int().min(1),
    /** Exchanged once for the agent's own credential; worthless afterwards and for any other machine. */
    joinSecret: z.string().regex(/^[0-9a-f]{64}$/),
    /** Authenticates the ring's datagrams; bootstrap nodes only. */
    ringKey: z
      .string()
      .regex(/^[0-9a-f]{64}$/)
      .optional(),
    /** TCP and DHT share this port; the ring's datagrams use `ringPort`. */
    listen: Address,
    ringPort: z.int().min(1).max(65535).optional(),
    /** Health and metrics, loopback only. */
    healthPort: z.int().min(1).max(65535),
    /** The slot's data: outlives the machine where the runner can keep it. */
    dataDirectory: z.string().min(1),
    reportIntervalMs: z.int().min(50),
    graceMs: z.int().min(500),
    orphanMs: z.int().min(1_000),
    uploadBytesPerSecond: z.int().min(0),
    downloadBytesPerSecond: z.int().min(0),
    /** The agent wraps its host in a ShapedHost, and connects from the address that it listens at. */
    shaped: z.boolean().optional(),
    /** Of an ephemeral cluster: removed by the machine if it ends as an orphan. */
    ephemeralDirectory: z.string().min(1).optional(),
    /** Removed whole by the last orphan: when no process that an identity file below it names lives any more. */
    ephemeralRoot: z.string().min(1).optional(),
  })
  .meta({ id: 'AgentConfig' });
export type AgentConfig = z.infer<typeof AgentConfig>;

/** `key` is made and saved by the agent first, so that a lost answer can be asked for again. */
export const JoinRequest = z
  .strictObject({
    machine: MachineId,
    attempt: z.int().min(1),
    joinSecret: z.string().regex(/^[0-9a-f]{64}$/),
    /** SHA-256 of the bearer token that the agent made for itself. */
    tokenSha256: Sha256,
    /** How long the agent has been running. */
    runningMs: z.number().min(0).optional(),
  })
  .meta({ id: 'JoinRequest' });
export type JoinRequest = z.infer<typeof JoinRequest>;

export const JoinAnswer = z.object({ machine: MachineId }).meta({ id: 'JoinAnswer' });

/** Something that happened at a node, stamped by its Lamport clock. `sequence` grows by one for each of a machine's life. */
export const AgentEvent = z
  .object({
    sequence: z.int().min(1),
    lamport: z.int().min(0),
    kind: z.string().regex(/^[a-z][a-z-]{1,39}$/),
    /** How long ago it happened when it was reported, by the node's monotonic clock. */
    ageMs: z.number().min(0).optional(),
    data: z
      .record(z.string().max(64), z.union([z.string().max(400), z.number(), z.boolean()]))
      .refine((data) => Object.keys(data).length <= 32, 'at most 32 entries')
      .default({}),
  })
  .meta({ id: 'AgentEvent' });
export type AgentEvent = z.infer<typeof AgentEvent>;

export const Report = z
  .strictObject({
    machine: MachineId,
    attempt: z.int().min(1),
    state: z.enum(['joined', 'serving', 'stopping']),
    lamport: z.int().min(0),
    /** Revision of the commands that the node has made so; empty at first. */
    revision: z.string().max(64),
    /** Longest the answer may be held back for a change of the commands. */
    waitMs: z.int().min(0).max(60_000),
    dhtNodes: z.int().min(0),
    ring: z
      .strictObject({
        role: z.enum(['follower', 'candidate', 'leader']),
        term: z.int().min(0),
        configurationVersion: z.int().min(0),
        /** Members that this node holds dead by silence. */
        dead: z.array(MachineId).max(128),
      })
      .optional(),
    torrents: z.array(TorrentHolding).max(1_000),
    /** What came of the self-test that is commanded, once it is done and for as long as it is commanded. */
    selfTest: SelfTestReport.optional(),
    events: z.array(AgentEvent).max(100),
  })
  .meta({ id: 'Report' });
export type Report = z.infer<typeof Report>;

/**
 * What a shaped node is to live under: `base` as long as it lives, and the faults of now. The node
 * ends each fault by its own monotonic clock, `forMs` after it began, also when nobody can tell it to; one that
 * is no longer named ends at once.
 *
 * Durations, not times of day: a skewed clock is itself a fault. `ageMs` is how long the fault had lasted when
 * this was sent, so that a machine that is launched in the middle of it does not live under it from the
 * beginning. It does not count in the revision, and a node that sees a fault again keeps the earlier end of the
 * two: a report that is repeated or an answer that is late prolong nothing.
 */
const Endure = z.object({
  kind: z.literal('endure'),
  base: Conditions,
  faults: z
    .array(
      z.object({ id: FaultId, conditions: Conditions, forMs: z.number().min(0), ageMs: z.number().min(0) }),
    )
    .max(mostFaults),
});
export type Endure = z.infer<typeof Endure>;

export const Command = z
  .discriminatedUnion('kind', [
    /** Join the DHT through these. */
    z.object({ kind: z.literal('bootstrap-from'), addresses: z.array(Address).max(128) }),
    z.object({ kind: z.literal('form-ring'), configuration: RingConfiguration }),
    /** Machines known dead by evidence and not replaced yet, and those of no ring that the control API hears no more. */
    z.object({
      kind: z.literal('heed-deaths'),
      deaths: z.array(z.object({ machine: MachineId, evidence: z.string() })).max(1_000),
      silent: z
        .array(z.object({ machine: MachineId, silentMs: z.number().min(0) }))
        .max(1_000)
        .optional(),
    }),
    z.object({
      kind: z.literal('hold-torrent'),
      infoHash: InfoHash,
      magnet: z.string(),
      /** With the .torrent, in base64, it seeds: content that lies in this directory, or that it first fetches from the web. */
      metainfo: z.base64().optional(),
      contentRoot: z.string().optional(),
      contentUrl: z.string().optional(),
    }),
    Endure,
    /**
     * Test what the node stands in, once for each id, and report what came of it. Meanwhile it seeds a small torrent of
     * its own, made from the id and its name, and fetches that of `partner`, which is missing where nobody else is tested.
     */
    z.object({
      kind: z.literal('self-test'),
      id: SelfTestId,
      partner: z.object({ machine: MachineId, address: Address }).optional(),
    }),
    /**
     * Of a spare: end its idle self, and run on, in the same process, as the machine of this configuration. Once the
     * process has begun to, whatever is said to the spare concerns it no more.
     */
    z.object({ kind: z.literal('become'), config: AgentConfig }),
    /** `over`: another generation has the slot. `drained`: finish cleanly. */
    z.object({ kind: z.literal('stop'), reason: z.enum(['over', 'drained']) }),
  ])
  .meta({ id: 'Command' });
export type Command = z.infer<typeof Command>;

/**
 * `commands` is the whole list of standing commands, present only if `revision` differs from the report's:
 * the node makes it so. What is no longer in the list is undone.
 */
export const ReportAnswer = z
  .object({
    revision: z.string(),
    commands: z.array(Command).optional(),
    /** Events up to this sequence are in the journal and need not be sent again. */
    eventsTaken: z.int().min(0),
    /** The control API's Lamport time, which the node merges into its own. */
    lamport: z.int().min(0),
  })
  .meta({ id: 'ReportAnswer' });
export type ReportAnswer = z.infer<typeof ReportAnswer>;
