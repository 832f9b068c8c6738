/**
 * The REST API as data: one entry per operation. The control API's routes, the typed client and the
 * OpenAPI document are all derived from this table, so that they cannot disagree.
 */
import * as z from 'zod';
import { JoinAnswer, JoinRequest, Report, ReportAnswer } from './agent.ts';
import {
  ClusterSpec,
  ClusterView,
  LeaseView,
  NewNode,
  NewTorrent,
  NodeView,
  RedeploymentId,
  RedeploymentView,
  TorrentView,
} from './cluster.ts';
import { ClusterEvent } from './events.ts';
import { Fault, FaultId, FaultView } from './fault.ts';
import { ClusterName, InfoHash, SlotName } from './identity.ts';
import { LeaseAnswer, LeaseRequest, RedeploymentRequest } from './ring.ts';
import { SelfTestId, SelfTestRun } from './self-test.ts';

/**
 * Who may call: `anyone`; `joiner` proves itself by the join secret in the body; `agent` is one machine of
 * the cluster; `viewer` reads; `admin` does all that viewers do and changes things.
 */
export type Access = 'anyone' | 'joiner' | 'agent' | 'viewer' | 'admin';

export interface Endpoint {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  /** Path with `{name}` for parameters, as OpenAPI writes it. */
  readonly path: string;
  readonly access: Access;
  readonly summary: string;
  readonly params?: z.ZodObject;
  readonly query?: z.ZodObject;
  readonly body?: z.ZodType;
  readonly status: 200 | 201 | 202 | 204;
  /** Schema of a JSON answer; or the media type of another one. */
  readonly response: z.ZodType | 'text/plain' | 'text/event-stream' | 'image/svg+xml' | 'none';
}

/** Keeps the literal types of an entry while checking its form. */
const endpoint = <const E extends Endpoint>(entry: E): E => entry;

const cluster = z.object({ cluster: ClusterName });
const clusterSlot = z.object({ cluster: ClusterName, slot: SlotName });
const clusterFault = z.object({ cluster: ClusterName, fault: FaultId });
const clusterRedeployment = z.object({ cluster: ClusterName, redeployment: RedeploymentId });
const clusterTest = z.object({ cluster: ClusterName, test: SelfTestId });
const clusterTorrent = z.object({ cluster: ClusterName, infoHash: InfoHash });

export const endpoints = {
  health: endpoint({
    method: 'GET',
    path: '/healthz',
    access: 'anyone',
    summary: 'Whether the control API and its store answer.',
    status: 200,
    response: z.object({
      ok: z.boolean(),
      version: z.string(),
      /** The control API's wall clock at this moment, in milliseconds since the Unix epoch: what nodes compare theirs with. */
      wallTimeMs: z.number(),
    }),
  }),
  getViewerToken: endpoint({
    method: 'GET',
    path: '/v1/viewer-token',
    access: 'admin',
    summary:
      'The token that only reads, if there is one: it may be handed on, and stand in the address of the page.',
    status: 200,
    response: z.object({ token: z.string().optional() }),
  }),
  createCluster: endpoint({
    method: 'POST',
    path: '/v1/clusters',
    access: 'admin',
    summary: 'Creates a cluster and launches its nodes.',
    body: ClusterSpec,
    status: 201,
    response: ClusterView,
  }),
  listClusters: endpoint({
    method: 'GET',
    path: '/v1/clusters',
    access: 'viewer',
    summary: 'All clusters of this control API.',
    status: 200,
    response: z.array(ClusterView),
  }),
  getCluster: endpoint({
    method: 'GET',
    path: '/v1/clusters/{cluster}',
    access: 'viewer',
    summary: 'A cluster, its lease and its nodes.',
    params: cluster,
    status: 200,
    response: ClusterView,
  }),
  deleteCluster: endpoint({
    method: 'DELETE',
    path: '/v1/clusters/{cluster}',
    access: 'admin',
    summary:
      'Stops every node and forgets the cluster; the cluster is gone when getCluster answers not-found.',
    params: cluster,
    status: 202,
    response: z.object({ name: ClusterName }),
  }),
  listNodes: endpoint({
    method: 'GET',
    path: '/v1/clusters/{cluster}/nodes',
    access: 'viewer',
    summary: 'Every slot with the machine that is in it now.',
    params: cluster,
    status: 200,
    response: z.array(NodeView),
  }),
  addNode: endpoint({
    method: 'POST',
    path: '/v1/clusters/{cluster}/nodes',
    access: 'admin',
    summary: 'Adds a slot and launches its node. A ring grows by one bootstrap slot at a time.',
    params: cluster,
    body: NewNode,
    status: 201,
    response: NodeView,
  }),
  removeNode: endpoint({
    method: 'DELETE',
    path: '/v1/clusters/{cluster}/nodes/{slot}',
    access: 'admin',
    summary:
      'Removes a slot: its node finishes and ends, and the slot is gone once that is proven. A bootstrap slot leaves the ring first, one at a time. Asking again is harmless.',
    params: clusterSlot,
    status: 202,
    response: NodeView,
  }),
  killNode: endpoint({
    method: 'POST',
    path: '/v1/clusters/{cluster}/nodes/{slot}/kill',
    access: 'admin',
    summary: 'Kills the machine in a slot abruptly, as a failure would, and tells nobody.',
    params: clusterSlot,
    status: 202,
    response: NodeView,
  }),
  nodeLogs: endpoint({
    method: 'GET',
    path: '/v1/clusters/{cluster}/nodes/{slot}/logs',
    access: 'viewer',
    summary: 'The end of the log of the machine in a slot, or of an earlier generation.',
    params: clusterSlot,
    query: z.object({
      generation: z.coerce.number().int().min(1).optional(),
      tailBytes: z.coerce.number().int().min(1).max(4_194_304).default(65_536),
    }),
    status: 200,
    response: 'text/plain',
  }),
  join: endpoint({
    method: 'POST',
    path: '/v1/clusters/{cluster}/join',
    access: 'joiner',
    summary: 'An agent exchanges its join secret for the right to use the token that it made.',
    params: cluster,
    body: JoinRequest,
    status: 200,
    response: JoinAnswer,
  }),
  report: endpoint({
    method: 'POST',
    path: '/v1/clusters/{cluster}/reports',
    access: 'agent',
    summary: 'An agent’s report; held until its commands change or `waitMs` has passed.',
    params: cluster,
    body: Report,
    status: 200,
    response: ReportAnswer,
  }),
  getLease: endpoint({
    method: 'GET',
    path: '/v1/clusters/{cluster}/lease',
    access: 'viewer',
    summary: 'Who leads.',
    params: cluster,
    status: 200,
    response: LeaseView,
  }),
  requestLease: endpoint({
    method: 'PUT',
    path: '/v1/clusters/{cluster}/lease',
    access: 'agent',
    summary: 'Acquires the lease for a higher term than its own, or renews it for the same holder and term.',
    params: cluster,
    body: LeaseRequest,
    status: 200,
    response: LeaseAnswer,
  }),
  requestRedeployment: endpoint({
    method: 'POST',
    path: '/v1/clusters/{cluster}/redeployments',
    access: 'agent',
    summary: 'The leader asks that a dead generation be replaced. Asking again is harmless.',
    params: cluster,
    body: RedeploymentRequest,
    status: 202,
    response: RedeploymentView,
  }),
  listRedeployments: endpoint({
    method: 'GET',
    path: '/v1/clusters/{cluster}/redeployments',
    access: 'viewer',
    summary: 'Redeployments, newest first.',
    params: cluster,
    status: 200,
    response: z.array(RedeploymentView),
  }),
  cancelRedeployment: endpoint({
    method: 'DELETE',
    path: '/v1/clusters/{cluster}/redeployments/{redeployment}',
    access: 'admin',
    summary:
      'Gives up a redeployment that is not complete: what was launched for it is stopped, and the slot stays empty until redeployNode. Harmless if it is over.',
    params: clusterRedeployment,
    status: 202,
    response: RedeploymentView,
  }),
  redeployNode: endpoint({
    method: 'POST',
    path: '/v1/clusters/{cluster}/nodes/{slot}/redeploy',
    access: 'admin',
    summary:
      'Replaces the machine in a slot by the next generation, whatever its state; a living one is told to stop first. Answers the one under way, if any.',
    params: clusterSlot,
    status: 202,
    response: RedeploymentView,
  }),
  addTorrent: endpoint({
    method: 'POST',
    path: '/v1/clusters/{cluster}/torrents',
    access: 'admin',
    summary: 'Has the seeds seed a torrent and gives the leeches its magnet link.',
    params: cluster,
    body: NewTorrent,
    status: 201,
    response: TorrentView,
  }),
  listTorrents: endpoint({
    method: 'GET',
    path: '/v1/clusters/{cluster}/torrents',
    access: 'viewer',
    summary: 'The torrents that the cluster spreads.',
    params: cluster,
    status: 200,
    response: z.array(TorrentView),
  }),
  removeTorrent: endpoint({
    method: 'DELETE',
    path: '/v1/clusters/{cluster}/torrents/{infoHash}',
    access: 'admin',
    summary: 'Has every node drop a torrent; what was downloaded stays on its disk.',
    params: clusterTorrent,
    status: 204,
    response: 'none',
  }),
  injectFault: endpoint({
    method: 'POST',
    path: '/v1/clusters/{cluster}/faults',
    access: 'admin',
    summary:
      'Does a fault to nodes. What lasts ends by itself, at the nodes too when they hear nobody, but for a pause. Posted twice it is two.',
    params: cluster,
    body: Fault,
    status: 201,
    response: FaultView,
  }),
  listFaults: endpoint({
    method: 'GET',
    path: '/v1/clusters/{cluster}/faults',
    access: 'viewer',
    summary: 'The faults that were injected, newest first.',
    params: cluster,
    status: 200,
    response: z.array(FaultView),
  }),
  cancelFault: endpoint({
    method: 'DELETE',
    path: '/v1/clusters/{cluster}/faults/{fault}',
    access: 'admin',
    summary:
      'Ends a fault early; harmless if it is over. A node that it cuts off from the control API ends it at its time.',
    params: clusterFault,
    status: 200,
    response: FaultView,
  }),
  runTests: endpoint({
    method: 'POST',
    path: '/v1/clusters/{cluster}/tests',
    access: 'admin',
    summary:
      'Has every serving node test what it stands in: its ring, the DHT, a transfer, its disk, its clock. While a run goes on, it is the answer.',
    params: cluster,
    status: 202,
    response: SelfTestRun,
  }),
  getTests: endpoint({
    method: 'GET',
    path: '/v1/clusters/{cluster}/tests/{test}',
    access: 'viewer',
    summary: 'A run of the self-tests: what the nodes have told so far. The newest few are remembered.',
    params: clusterTest,
    status: 200,
    response: SelfTestRun,
  }),
  listEvents: endpoint({
    method: 'GET',
    path: '/v1/clusters/{cluster}/events',
    access: 'viewer',
    summary: 'Events after a sequence, oldest first.',
    params: cluster,
    query: z.object({
      after: z.coerce.number().int().min(0).default(0),
      limit: z.coerce.number().int().min(1).max(1_000).default(200),
    }),
    status: 200,
    response: z.array(ClusterEvent),
  }),
  drawEvents: endpoint({
    method: 'GET',
    path: '/v1/clusters/{cluster}/events/space-time',
    access: 'viewer',
    summary:
      'Events as a space-time diagram in their merged order, with arrows from causes to effects: those after a sequence, or the newest.',
    params: cluster,
    query: z.object({
      after: z.coerce.number().int().min(0).optional(),
      limit: z.coerce.number().int().min(1).max(2_000).default(400),
    }),
    status: 200,
    response: 'image/svg+xml',
  }),
  streamEvents: endpoint({
    method: 'GET',
    path: '/v1/clusters/{cluster}/events/stream',
    access: 'viewer',
    summary:
      'Server-sent events: `event` (a ClusterEvent; its id can be given as Last-Event-ID or `after`) and `nodes` (the list of nodes, when it changed, at most four a second).',
    params: cluster,
    query: z.object({ after: z.coerce.number().int().min(0).optional() }),
    status: 200,
    response: 'text/event-stream',
  }),
} as const;

export type Endpoints = typeof endpoints;
export type EndpointName = keyof Endpoints;
