/** What each endpoint does, once its request is validated and its caller known: decide, commit, answer. */
import {
  type ClusterSpec,
  type EndpointName,
  type Endpoints,
  formatMachineId,
  type MachineId,
} from '@skep/contract';
import { toHex } from '@skep/p2p-core/bytes';
import type { Host } from '@skep/p2p-core/host';
import { formatMagnet, type Metainfo, MetainfoError, parseMetainfo } from '@skep/p2p-core/metainfo';
import type * as z from 'zod';
import type { AgentReports } from './agent-reports.ts';
import type { ClusterRecord } from './cluster-record.ts';
import { type Clusters, gone } from './clusters.ts';
import { equalSecrets, joinSecret } from './credentials.ts';
import { decideCreateCluster, slotZones } from './decisions/cluster-creation.ts';
import { currentMachine } from './decisions/decision.ts';
import { decideDelete } from './decisions/deletion.ts';
import { decideJoin } from './decisions/join.ts';
import { decideLease } from './decisions/lease.ts';
import { mostPartsAtOnce, splitMetainfo } from './decisions/metainfo-parts.ts';
import { decideCancelRedeployment } from './decisions/operator.ts';
import { decideAddNode } from './decisions/ring-change.ts';
import type { Attempt, MachineRow, SlotRow, TorrentRow } from './decisions/rows.ts';
import { refOf } from './decisions/spares.ts';
import { decideAddTorrent, decidePutMetainfo, decideRemoveTorrent } from './decisions/torrents.ts';
import { type EventStreamComponents, eventStream } from './event-stream.ts';
import type { Faults } from './faults.ts';
import type { Healing } from './healing.ts';
import type { Liveness } from './liveness.ts';
import { spaceTimeDiagram } from './page/space-time.ts';
import type { Journal } from './ports/journal.ts';
import { LaunchError, type Launcher, machineRef, type SlotAddresses } from './ports/launcher.ts';
import type { Store } from './ports/store.ts';
import { ProblemError } from './problems.ts';
import type { RingChanges } from './ring-changes.ts';
import type { SelfTests } from './self-tests.ts';
import { clusterView, faultView, leaseView, nodeView, nodeViews, selfTestRun, torrentView } from './views.ts';

type Output<T> = T extends z.ZodType ? z.output<T> : undefined;
type Part<E, K extends string> = E extends { readonly [P in K]: infer S } ? Output<S> : undefined;

/** A validated, authorised request. */
export interface Call<E = unknown> {
  readonly params: Part<E, 'params'>;
  readonly query: Part<E, 'query'>;
  readonly body: Part<E, 'body'>;
  /** The machine that calls; for endpoints of agents only. */
  readonly machine: MachineRow | undefined;
  readonly request: Request;
}

type Answer<E> = E extends { readonly response: infer R }
  ? R extends z.ZodType
    ? z.input<R>
    : R extends 'none'
      ? undefined
      : Response
  : never;

/** Answers as the endpoint's schema says; rejects ProblemError. */
export type Handlers = {
  readonly [N in EndpointName]: (call: Call<Endpoints[N]>) => Promise<Answer<Endpoints[N]>>;
};

export interface HandlerComponents {
  readonly host: Host;
  readonly store: Store;
  readonly journal: Journal;
  readonly launcher: Launcher;
  readonly clusters: Clusters;
  readonly liveness: Liveness;
  readonly healing: Healing;
  readonly ringChanges: RingChanges;
  readonly faults: Faults;
  readonly selfTests: SelfTests;
  readonly reports: AgentReports;
  readonly streams: EventStreamComponents;
}

export interface HandlerOptions {
  readonly version: string;
  readonly viewerToken?: string;
  readonly masterSecret: Uint8Array;
  /** Every cluster is given a network, if only an empty one, so that every fault can be done to it. */
  readonly alwaysShaped?: boolean;
}

export function createHandlers(components: HandlerComponents, options: HandlerOptions): Handlers {
  const { host, store, journal, launcher, clusters, liveness } = components;
  const { healing, ringChanges, faults, selfTests, reports } = components;
  const now = () => clusters.now();
  const find = (name: string): ClusterRecord => {
    const record = clusters.byName(name);
    if (record === undefined) throw gone(name);
    return record;
  };
  const allocate = async (
    zones: readonly (string | undefined)[],
    spec: ClusterSpec,
    clusterUid: string,
  ): Promise<readonly SlotAddresses[]> => {
    const taken = clusters
      .all()
      .flatMap((record) => [...record.slots.values()].map((slot) => slot.addresses));
    try {
      const ownHosts = spec.network !== undefined;
      return await launcher.allocate(zones.length, taken, { clusterUid, ownHosts, zones });
    } catch (error) {
      if (!(error instanceof LaunchError)) throw error;
      throw new ProblemError({ code: 'no-free-address', detail: error.message }, { cause: error });
    }
  };
  const launcherRef = (record: ClusterRecord, machine: Attempt) =>
    machineRef(host.compute, { clusterUid: record.uid, ...refOf(record, machine) });

  return {
    async health() {
      await store.get('name/');
      return { ok: true, version: options.version, wallTimeMs: host.clock.wallTime() };
    },
    async getViewerToken() {
      return options.viewerToken === undefined ? {} : { token: options.viewerToken };
    },

    async createCluster({ body }) {
      const spec = options.alwaysShaped ? { network: { latencyMs: 0 }, ...body } : body;
      const known = clusters.byName(spec.name);
      if (known !== undefined) {
        const deleting =
          known.about.state === 'deleting' ? ' and is being deleted: wait, or' : ': delete it, or';
        throw new ProblemError({
          code: 'cluster-exists',
          detail: `${spec.name} exists${deleting} take another name`,
        });
      }
      if (spec.spares > 0 && launcher.assign === undefined) {
        const detail = 'this runner keeps no spares: leave spares out of the spec';
        throw new ProblemError({ code: 'bad-request', detail });
      }
      const uid = toHex(host.random.bytes(16));
      const addresses = await allocate(slotZones(spec), spec, uid);
      const record = await clusters.create(spec.name, uid, decideCreateCluster(spec, uid, addresses, now()));
      return clusterView(record, liveness, now());
    },

    async listClusters() {
      return clusters.all().map((record) => clusterView(record, liveness, now()));
    },

    async getCluster({ params }) {
      return clusterView(find(params.cluster), liveness, now());
    },

    async deleteCluster({ params }) {
      await clusters.transact(find(params.cluster), decideDelete);
      return { name: params.cluster };
    },

    async listNodes({ params }) {
      return nodeViews(find(params.cluster), liveness, now());
    },

    async addNode({ params, body }) {
      const record = find(params.cluster);
      const [addresses] = await allocate([undefined], record.about.spec, record.uid);
      const slot = await clusters.transact(record, (state, at) => decideAddNode(state, body, addresses!, at));
      return nodeView(record, slot, liveness, now());
    },

    async removeNode({ params }) {
      const record = find(params.cluster);
      const slot = await ringChanges.remove(record, params.slot);
      return nodeView(record, slot, liveness, now());
    },

    async killNode({ params }) {
      const record = find(params.cluster);
      const slot = slotOf(record, params.slot);
      await launcher.kill(launcherRef(record, currentMachine(record, slot)));
      return nodeView(record, slot, liveness, now());
    },

    async nodeLogs({ params, query }) {
      const record = find(params.cluster);
      const slot = slotOf(record, params.slot);
      const generation = query.generation ?? slot.generation;
      const machine = record.machines.get(`${slot.slot}@${generation}`);
      if (machine === undefined) {
        const detail = `nothing is known of ${slot.slot}@${generation}: it is in generation ${slot.generation}`;
        throw new ProblemError({ code: 'node-not-found', detail });
      }
      const text = await launcher.logs(launcherRef(record, machine), query.tailBytes);
      return new Response(text, { headers: { 'content-type': 'text/plain; charset=utf-8' } });
    },

    async join({ params, body }) {
      const record = find(params.cluster);
      const ref = machineRef(host.compute, {
        clusterUid: record.uid,
        ...body.machine,
        attempt: body.attempt,
      });
      const expected = joinSecret(host.compute, options.masterSecret, ref);
      const matches = equalSecrets(expected, body.joinSecret);
      await clusters.transact(record, (state, at) => decideJoin(state, body, matches, at));
      return { machine: body.machine };
    },

    async report({ params, body, machine, request }) {
      ownOnly(machine, body.machine);
      return reports.answer(find(params.cluster), body, request.signal);
    },

    async getLease({ params }) {
      return leaseView(find(params.cluster).lease, now());
    },

    async requestLease({ params, body, machine }) {
      ownOnly(machine, body.holder);
      return clusters.transact(find(params.cluster), (state, at) => decideLease(state, body, at));
    },

    async requestRedeployment({ params, body, machine }) {
      const record = find(params.cluster);
      const caller = machine!;
      const generation = slotOf(record, caller.slot).generation;
      if (generation !== caller.generation) {
        const detail = `${formatMachineId(caller)} is over: ${caller.slot} is in generation ${generation}`;
        throw new ProblemError({ code: 'generation-over', detail, current: generation });
      }
      return healing.redeploy(record, { ...body, by: formatMachineId(caller) });
    },

    async listRedeployments({ params }) {
      const rows = [...find(params.cluster).redeployments.values()];
      return rows.sort((one, other) => other.times.acceptedMs - one.times.acceptedMs);
    },

    async cancelRedeployment({ params }) {
      return clusters.transact(find(params.cluster), (state, at) =>
        decideCancelRedeployment(state, params.redeployment, at),
      );
    },

    async redeployNode({ params }) {
      return healing.redeployNode(find(params.cluster), params.slot);
    },

    async addTorrent({ params, body }) {
      const record = find(params.cluster);
      const metainfo = readMetainfo(host, body.metainfo);
      const { info, trackers } = metainfo;
      if (info.files.length > 1 && body.seeds.some((seed) => 'contentUrl' in seed)) {
        throw new ProblemError({
          code: 'bad-request',
          detail: `${info.name} has several files: only a torrent of one file can be fetched from a contentUrl`,
        });
      }
      const infoHash = toHex(info.infoHash);
      const { held, parts } = splitMetainfo(infoHash, body.metainfo);
      const row: TorrentRow = {
        infoHash,
        name: info.name,
        magnet: formatMagnet({
          infoHash: info.infoHash,
          displayName: info.name,
          trackers: trackers.flat(),
          peers: [],
        }),
        lengthBytes: info.length,
        ...held,
        seeds: body.seeds,
        leeches: body.leeches,
      };
      for (let first = 0; first < parts.length; first += mostPartsAtOnce) {
        const some = parts.slice(first, first + mostPartsAtOnce);
        await clusters.transact(record, (state) => decidePutMetainfo(state, row, some));
      }
      return torrentView(await clusters.transact(record, (state) => decideAddTorrent(state, row)));
    },

    async listTorrents({ params }) {
      return [...find(params.cluster).torrents.values()].map(torrentView);
    },

    async removeTorrent({ params }) {
      await clusters.transact(find(params.cluster), (state) => decideRemoveTorrent(state, params.infoHash));
      return undefined;
    },

    async injectFault({ params, body }) {
      return faultView(await faults.inject(find(params.cluster), body));
    },

    async listFaults({ params }) {
      const rows = [...find(params.cluster).faults.values()];
      return rows.sort((one, other) => Number(other.id) - Number(one.id)).map(faultView);
    },

    async cancelFault({ params }) {
      return faultView(await faults.cancel(find(params.cluster), params.fault));
    },

    async runTests({ params }) {
      const record = find(params.cluster);
      return selfTestRun(record, await selfTests.run(record));
    },

    async getTests({ params }) {
      const record = find(params.cluster);
      return selfTestRun(record, selfTests.get(record, params.test));
    },

    async listEvents({ params, query }) {
      return [...(await journal.read(find(params.cluster).uid, query.after, query.limit))];
    },

    async drawEvents({ params, query }) {
      const { uid } = find(params.cluster);
      const { sequence: newest } = await journal.head(uid);
      const after = query.after ?? Math.max(0, newest - query.limit);
      const events = await journal.read(uid, after, query.limit);
      const [first, last] = [events.at(0)?.sequence, events.at(-1)?.sequence];
      const which = first === undefined ? 'no events' : `events ${first} to ${last} of ${newest}`;
      return new Response(spaceTimeDiagram(events, params.cluster, which), {
        headers: { 'content-type': 'image/svg+xml; charset=utf-8' },
      });
    },

    async streamEvents({ params, query, request }) {
      const record = find(params.cluster);
      const resumed = Number(request.headers.get('last-event-id') ?? Number.NaN);
      const after = Number.isSafeInteger(resumed) && resumed >= 0 ? resumed : (query.after ?? 0);
      return new Response(eventStream(components.streams, record, after), {
        headers: { 'content-type': 'text/event-stream', 'x-accel-buffering': 'no' },
      });
    },
  };
}

function slotOf(record: ClusterRecord, name: string): SlotRow {
  const slot = record.slots.get(name);
  if (slot !== undefined) return slot;
  throw new ProblemError({ code: 'node-not-found', detail: `${record.about.name} has no slot ${name}` });
}

/** An agent speaks for its own machine only. */
function ownOnly(caller: MachineRow | undefined, named: MachineId): void {
  if (caller?.slot === named.slot && caller.generation === named.generation) return;
  const detail = `this token is not that of ${formatMachineId(named)}: an agent speaks for its own machine only`;
  throw new ProblemError({ code: 'forbidden', detail });
}

function readMetainfo(host: Host, base64: string): Metainfo {
  try {
    return parseMetainfo(
      host.compute,
      Uint8Array.from(atob(base64), (char) => char.charCodeAt(0)),
    );
  } catch (error) {
    if (!(error instanceof MetainfoError)) throw error;
    throw new ProblemError({ code: 'bad-metainfo', detail: error.message }, { cause: error });
  }
}
