#!/usr/bin/env node
/**
 * The control API as a process of its own, put together as its environment says.
 *
 * Environment:
 * - SKEP_STORE: `sqlite` (the default): state and tokens are in SKEP_STATE_DIRECTORY, one control API a directory; or
 *   `dynamodb`: in the table and the secrets of a deployment (main/deployment-home.ts names their variables), shared
 *   with its functions, whose orders it carries out. It then speaks TLS at SKEP_LISTEN, and answers nobody there
 *   without a token, but for health; with SKEP_PAGES_OVER_TLS=1 the pages are there too, for people to come in by.
 * - SKEP_LISTEN: address to listen at; port 0 takes a free one, and the same again at the next start.
 *   Default 127.0.0.1:7700.
 * - SKEP_LOCAL_LISTEN: loopback address to listen at without TLS too, for people and checks of health.
 * - SKEP_PUBLIC_URL: where agents reach it, if not at SKEP_LISTEN.
 * - SKEP_ADMIN_TOKEN_FILE, SKEP_VIEWER_TOKEN_FILE: made if missing. Default in the state directory.
 * - SKEP_EXIT_WITH_PARENT=1: when stdin ends it deletes the ephemeral clusters and exits.
 * - SKEP_EPHEMERAL_ROOT: directory that this process removes when it ends with its parent. Should both be
 *   killed, the last orphaned agent of an ephemeral cluster does. Identities are in `owner.json` files below it.
 * - SKEP_SHAPED=1: every cluster is given a network, if only an empty one: each of its nodes then has a loopback
 *   address of its own, and every fault can be done to it.
 * - SKEP_RUNNER: `process` (the default), `docker`, `compose` or `aws`.
 * - SKEP_AGENT_PROGRAM: of processes, which live in SKEP_STATE_DIRECTORY, the agent to run instead of node-agent's own.
 * - SKEP_IMAGE: of containers, the image; default skep:VERSION. SKEP_DOCKER_MEMORY (bytes) and SKEP_DOCKER_CPUS: what
 *   each may use. SKEP_DOCKER_ADDRESSES: range that clusters' networks are taken from, as in 10.64.0.0/10. SKEP_CONTENT:
 *   JSON array of the files and folders that they may read. The control API listens, beside SKEP_LISTEN, at the
 *   gateway of each cluster's network, unless SKEP_PUBLIC_URL says how it is reached. SKEP_DOCKER_OWNER: what tells its
 *   containers from those of others, if not a name that is made once.
 * - SKEP_CLUSTER: of a compose project, the name of its cluster; default skep.
 * - SKEP_DEPLOY_FUNCTION, SKEP_TEARDOWN_FUNCTION, SKEP_EVENTS_QUEUE, SKEP_SUBNETS (JSON): of instances, who makes and
 *   ends them, who tells of their ends, and where their addresses are.
 *
 * Prints one line of JSON when it is ready: `url`, `localUrl`, `adminTokenFile`, `viewerTokenFile`, `pid`. What goes wrong
 * later is told on stderr. On SIGTERM and SIGINT it deletes the ephemeral clusters, leaves the others running
 * to be adopted by the next start, and exits 0; or 1 if an ephemeral cluster could not be ended in half a minute.
 * Its agents then end themselves as orphans.
 */
import { readFileSync, rmSync } from 'node:fs';
import { formatAddress, HostError, type HttpHandler } from '@skep/p2p-core/host';
import { createNodeHost } from '@skep/p2p-core/host/node';
import { createControlApi } from './control-api.ts';
import { EngineError } from './launchers/docker-engine-error.ts';
import { clientWithin } from './main/client-within.ts';
import { DeploymentDuties } from './main/deployment-duties.ts';
import { addressIn } from './main/environment.ts';
import { openHome } from './main/home.ts';
import { Listeners } from './main/listeners.ts';
import { createRunner } from './main/runner.ts';
import { createPages } from './page/pages.ts';

const { env } = process;
/** Exit status when this machine is at fault: a port in use, a disk that is full. */
const machineFailed = 7;
const endPatienceMs = 30_000;
const loopback = '127.0.0.1';
const defaultPort = 7700;

function tell(message: string): void {
  process.stderr.write(`${new Date().toISOString()} ${message}\n`);
}

function readText(path: string): string {
  return readFileSync(new URL(path, import.meta.url), 'utf8');
}

const host = createNodeHost({ onUncaught: (error) => tell(`uncaught: ${String(error)}`) });

async function main(): Promise<void> {
  const address = addressIn(env, 'SKEP_LISTEN', { host: loopback, port: defaultPort });
  const { version } = JSON.parse(readText('../package.json')) as { version: string };
  const home = await openHome(host, env, tell);
  const { store, adminToken, viewerToken, masterSecret, tls } = home;
  const begun = Promise.withResolvers<void>();
  const onceBegun =
    (which: 'handler' | 'closedHandler'): HttpHandler =>
    async (request, remote) => {
      await begun.promise;
      return api[which](request, remote);
    };
  const atDoor = env.SKEP_PAGES_OVER_TLS === '1' ? 'handler' : 'closedHandler';
  const listeners = new Listeners(
    host,
    onceBegun('handler'),
    tls && { identity: tls.identity, handler: onceBegun(atDoor) },
  );
  const runner = await createRunner(host, {
    env,
    version,
    serveAt: env.SKEP_PUBLIC_URL ? undefined : (at) => listeners.listenAlsoAt(at),
    onTrouble: tell,
  });
  const { launcher } = runner;
  let baseUrl = env.SKEP_PUBLIC_URL ?? '';
  const api = await createControlApi(
    {
      host,
      store,
      journal: store,
      launcher,
      pages: createPages(host.compute, {
        index: readText('./page/index.html'),
        docs: readText('./page/docs.html'),
      }),
    },
    {
      adminToken,
      viewerToken,
      version,
      baseUrl: () => baseUrl,
      ...(tls && { apiCertificate: tls.identity.certificate }),
      sharesStore: home.isShared,
      alwaysShaped: env.SKEP_SHAPED === '1',
      masterSecret,
      ...(runner.joinTimeoutMs && { joinTimeoutMs: runner.joinTimeoutMs }),
      onTrouble: tell,
    },
  );

  const local = await listeners.listen({ host: address.host, port: await home.portFor(address.port) });
  if (baseUrl === '') baseUrl = tls ? `https://${tls.name}:${local.port}` : `http://${formatAddress(local)}`;
  const localUrl = env.SKEP_LOCAL_LISTEN
    ? `http://${formatAddress(await listeners.listenLocally(addressIn(env, 'SKEP_LOCAL_LISTEN', address)))}`
    : undefined;
  home.onListening(local.port);
  await runner.start();
  await api.start();
  begun.resolve();
  const duties = new DeploymentDuties({ host, store, api }, { adminToken, version, onTrouble: tell });
  if (home.isShared) duties.start();
  const following = runner.follow?.(clientWithin(api, adminToken));

  let ending = false;
  const end = async (why: string): Promise<void> => {
    if (ending) return;
    ending = true;
    tell(`ending: ${why}`);
    duties.stop();
    following?.stop();
    const left = await api.deleteEphemeralClusters(endPatienceMs);
    await api.stop();
    await listeners.close();
    launcher.close();
    await home.close();
    await host.close();
    if (left.length > 0) {
      fail(
        `${left.join(', ')} could not be ended: its agents end themselves once nobody has answered for long`,
      );
    }
    const root = env.SKEP_EPHEMERAL_ROOT;
    if (root && env.SKEP_EXIT_WITH_PARENT === '1') rmSync(root, { recursive: true, force: true });
    process.exit(0);
  };
  const endOrFail = (why: string) => void end(why).catch(fail);
  process.on('SIGTERM', () => endOrFail('SIGTERM'));
  process.on('SIGINT', () => endOrFail('SIGINT'));
  if (env.SKEP_EXIT_WITH_PARENT === '1') {
    process.stdin.on('end', () => endOrFail('the parent is gone'));
    process.stdin.on('error', () => endOrFail('the parent is gone'));
    process.stdin.resume();
  }
  // A parent that no longer reads must not end what it started.
  process.stdout.on('error', () => undefined);
  process.stderr.on('error', () => undefined);
  process.stdout.write(
    `${JSON.stringify({ url: baseUrl, localUrl, ...home.tokenFiles, pid: process.pid })}\n`,
  );
}

function fail(error: unknown): never {
  tell(error instanceof Error ? error.message : String(error));
  process.exit(error instanceof HostError || error instanceof EngineError ? machineFailed : 1);
}

process.on('uncaughtException', (error) => fail(error));
process.on('unhandledRejection', (error) => fail(error));
main().catch(fail);
