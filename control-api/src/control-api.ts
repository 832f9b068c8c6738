/**
 * The control API put together: one per process, over any store, journal and launcher. It touches the world
 * only through the Host and those three, so that it runs in the simulator unchanged.
 */
import type { Host, HttpHandler } from '@skep/p2p-core/host';
import { AgentReports } from './agent-reports.ts';
import { Clusters } from './clusters.ts';
import { hashText, joinSecret, ringKey } from './credentials.ts';
import type { ClusterState } from './decisions/decision.ts';
import { decideDelete } from './decisions/deletion.ts';
import { Faults } from './faults.ts';
import { createHandlers } from './handlers.ts';
import { Healing } from './healing.ts';
import { Liveness } from './liveness.ts';
import type { Pages } from './page/pages.ts';
import type { Journal } from './ports/journal.ts';
import { type Launcher, type MachineRef, machineRef } from './ports/launcher.ts';
import type { Store } from './ports/store.ts';
import { ProblemError } from './problems.ts';
import { Reconciler } from './reconciler.ts';
import { RingChanges } from './ring-changes.ts';
import { createRoutes } from './routes.ts';
import { SelfTests } from './self-tests.ts';
import { Silence } from './silence.ts';
import { viewTopic, Wakeups } from './wakeups.ts';

export interface ControlApiComponents {
  readonly host: Host;
  readonly store: Store;
  readonly journal: Journal;
  readonly launcher: Launcher;
  readonly pages?: Pages;
}

export interface ControlApiOptions {
  readonly adminToken: string;
  readonly viewerToken?: string;
  /** Shown in /healthz and in the OpenAPI document. */
  readonly version: string;
  /** Where agents reach this API, for instance http://127.0.0.1:7700; asked for when a machine is launched. */
  readonly baseUrl: () => string;
  /** In PEM: the only one that agents trust at `baseUrl`. The same over restarts. @default any that Node trusts */
  readonly apiCertificate?: string;
  /** At least 16 bytes; the same over restarts, or no machine launched before can join. */
  readonly masterSecret: Uint8Array;
  /** Other processes may write to the store: a control API that stands in for this one. @default false */
  readonly sharesStore?: boolean;
  /** Every cluster is given a network, if only an empty one, so that every fault can be done to it. */
  readonly alwaysShaped?: boolean;
  /** @default 5000 */
  readonly stopGraceMs?: number;
  /** @default 60000 */
  readonly joinTimeoutMs?: number;
  /** Told, in sentences, of what went wrong without a caller to tell it to. */
  readonly onTrouble?: (message: string) => void;
}

export interface ControlApi {
  /** Answers requests; serve it with `host.http.serve`, or call it. */
  readonly handler: HttpHandler;
  /** The same without the pages and the OpenAPI document: it answers nobody without a token, but for health. */
  readonly closedHandler: HttpHandler;
  /** Adopts running machines, takes up the effects that wait, begins to watch. Serve only after it resolved. */
  start(): Promise<void>;
  /** Reads all clusters again, which another control API may have looked after meanwhile. Rejects StoreError. */
  refresh(): Promise<void>;
  /** Answers what is held, ends streams and timers. Machines run on. */
  stop(): Promise<void>;
  /**
   * Deletes the clusters that must not outlive this process. Resolves when they are gone, or after `patienceMs`,
   * with the names of those that are not.
   */
  deleteEphemeralClusters(patienceMs: number): Promise<readonly string[]>;
}

const shortestSecretBytes = 16;
/** How often a deletion that the store did not take is tried again. */
const deletionRetryMs = 500;

/** Reads the store. Rejects StoreError. */
export async function createControlApi(
  components: ControlApiComponents,
  options: ControlApiOptions,
): Promise<ControlApi> {
  if (options.masterSecret.length < shortestSecretBytes || options.adminToken.length < shortestSecretBytes) {
    throw new Error(`masterSecret and adminToken must be at least ${shortestSecretBytes} long`);
  }
  const { host, store, journal, launcher } = components;
  const { clock, compute, random } = host;
  const { stopGraceMs = 5_000, joinTimeoutMs = 60_000, onTrouble = () => undefined } = options;
  const wakeups = new Wakeups(clock);
  const liveness = new Liveness();
  const clusters = new Clusters(components, { isShared: options.sharesStore ?? false });
  await clusters.load();
  const silence = new Silence(liveness);
  const healing = new Healing(
    { clock, clusters, liveness, silence, wakeups },
    { drainMs: stopGraceMs, onTrouble },
  );
  const ringChanges = new RingChanges({ clock, clusters, liveness }, { drainMs: stopGraceMs, onTrouble });
  const faults = new Faults({ host, clusters, launcher, healing }, { baseUrl: options.baseUrl, onTrouble });
  const selfTests = new SelfTests({ host, clusters }, { onTrouble });
  const reconciler = new Reconciler(
    { clock, random, clusters, launcher, wakeups },
    {
      machineRef: (machine) => machineRef(compute, machine),
      configFor: (state, machine) => configFor(host, options, state, machine),
      stopGraceMs,
      joinTimeoutMs,
      onTrouble,
    },
  );
  const hash = (text: string) => hashText(compute, text);
  const reports = new AgentReports({
    clock,
    clusters,
    liveness,
    silence,
    selfTests,
    wakeups,
    surroundings: () => faults.surroundings,
    configFor: (record, { slot, generation, attempt, directories }) => ({
      ...configFor(
        host,
        options,
        record,
        machineRef(compute, { clusterUid: record.uid, slot, generation, attempt }),
      ),
      ...directories!,
    }),
    hash,
  });
  const streams = { clock, journal, liveness, wakeups, now: () => clusters.now() };
  const handlers = createHandlers(
    {
      host,
      store,
      journal,
      launcher,
      clusters,
      liveness,
      healing,
      ringChanges,
      faults,
      selfTests,
      reports,
      streams,
    },
    options,
  );
  const routesOf = (isClosed: boolean) =>
    createRoutes(
      { compute, clusters, handlers, pages: components.pages },
      { ...options, isClosed, onTrouble },
    );
  const routes = routesOf(false);
  const closedRoutes = routesOf(true);
  clusters.onChange((record) => {
    wakeups.wake(viewTopic(record.uid));
    if (record.ended) liveness.forget(record.uid);
  });

  return {
    handler: (request) => routes.fetch(request),
    closedHandler: (request) => closedRoutes.fetch(request),
    async start() {
      await faults.start();
      await reconciler.start();
      healing.start();
      ringChanges.start();
      selfTests.start();
    },
    refresh: () => clusters.refresh(),
    async stop() {
      healing.stop();
      ringChanges.stop();
      selfTests.stop();
      faults.stop();
      wakeups.close();
      await reconciler.stop();
    },
    async deleteEphemeralClusters(patienceMs) {
      const ephemeral = clusters.all().filter((record) => record.about.spec.ephemeral);
      const topics = ephemeral.map((record) => viewTopic(record.uid));
      const dueMs = clock.now() + patienceMs;
      for (;;) {
        let left = ephemeral.filter((record) => !record.ended);
        await Promise.all(
          left.map((record) =>
            clusters.transact(record, decideDelete).catch((error) => {
              if (!(error instanceof ProblemError))
                onTrouble(`${record.about.name} lives on: ${String(error)}`);
            }),
          ),
        );
        left = left.filter((record) => !record.ended);
        const leftMs = dueMs - clock.now();
        if (left.length === 0 || leftMs <= 0 || wakeups.closed)
          return left.map((record) => record.about.name);
        await wakeups.wait(topics, Math.min(leftMs, deletionRetryMs));
      }
    },
  };
}

/** What a machine is started with: the same for the same attempt, whoever launches it and when. */
function configFor(host: Host, options: ControlApiOptions, state: ClusterState, machine: MachineRef) {
  const { about } = state;
  const { spec } = about;
  const slot = state.slots.get(machine.slot)!;
  const { listen, ringPort, healthPort } = slot.addresses;
  const { compute } = host;
  return {
    apiUrl: options.baseUrl(),
    ...(options.apiCertificate === undefined ? {} : { apiCertificate: options.apiCertificate }),
    cluster: about.name,
    clusterUid: about.uid,
    slot: machine.slot,
    role: slot.role,
    generation: machine.generation,
    attempt: machine.attempt,
    joinSecret: joinSecret(compute, options.masterSecret, machine),
    ...(slot.role === 'bootstrap'
      ? { ringKey: ringKey(compute, options.masterSecret, about.uid), ringPort }
      : {}),
    listen,
    healthPort,
    reportIntervalMs: spec.reportIntervalMs,
    graceMs: spec.graceMs,
    orphanMs: spec.orphanMs,
    uploadBytesPerSecond: spec.uploadBytesPerSecond,
    downloadBytesPerSecond: spec.downloadBytesPerSecond,
    ...(spec.network === undefined ? {} : { shaped: true }),
  };
}
