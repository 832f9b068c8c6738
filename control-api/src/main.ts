#!/usr/bin/env node
/**
 * The control API as a process of its own: SQLite, and machines as processes or containers of this computer.
 *
 * Environment:
 * - SKEP_STATE_DIRECTORY (required): database, tokens, machines. One control API a directory.
 * - SKEP_LISTEN: address to listen at; port 0 takes a free one, and the same again at the next start.
 *   Default 127.0.0.1:7700.
 * - SKEP_PUBLIC_URL: where agents reach it, if not at SKEP_LISTEN.
 * - SKEP_ADMIN_TOKEN_FILE, SKEP_VIEWER_TOKEN_FILE: made if missing. Default in the state directory.
 * - SKEP_EXIT_WITH_PARENT=1: when stdin ends it deletes the ephemeral clusters and exits.
 * - SKEP_EPHEMERAL_ROOT: directory that this process removes when it ends with its parent. Should both be
 *   killed, the last orphaned agent of an ephemeral cluster does. Identities are in `owner.json` files below it.
 * - SKEP_SHAPED=1: every cluster is given a network, if only an empty one: each of its nodes then has a loopback
 *   address of its own, and every fault can be done to it.
 * - SKEP_RUNNER: `process` (the default) or `docker`.
 * - SKEP_AGENT_PROGRAM: of processes, the agent to run instead of node-agent's own.
 * - SKEP_IMAGE: of containers, the image; default skep:VERSION. SKEP_DOCKER_MEMORY (bytes) and SKEP_DOCKER_CPUS: what
 *   each may use. SKEP_DOCKER_ADDRESSES: range that clusters' networks are taken from, as in 10.64.0.0/10. SKEP_CONTENT:
 *   files and folders that they may read, separated as in PATH. The control API listens, beside SKEP_LISTEN, at the
 *   gateway of each cluster's network, unless SKEP_PUBLIC_URL says how it is reached.
 *
 * Prints one line of JSON when it is ready: `url`, `adminTokenFile`, `viewerTokenFile`, `pid`. What goes wrong
 * later is told on stderr. On SIGTERM and SIGINT it deletes the ephemeral clusters, leaves the others running
 * to be adopted by the next start, and exits 0; or 1 if an ephemeral cluster could not be ended in half a minute.
 * Its agents then end themselves as orphans.
 */
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { formatAddress, HostError, parseAddress } from '@skep/p2p-core/host';
import { createNodeHost } from '@skep/p2p-core/host/node';
import { identifyProcess } from '@skep/p2p-core/process-identity';
import { createControlApi } from './control-api.ts';
import { EngineError } from './launchers/docker-engine-error.ts';
import { Listeners } from './main/listeners.ts';
import { createRunner } from './main/runner.ts';
import { createPages } from './page/pages.ts';
import { SqliteStore } from './stores/sqlite.ts';

const { env } = process;
const secretBytes = 32;
/** Exit status when this machine is at fault: a port in use, a disk that is full. */
const machineFailed = 7;
const endPatienceMs = 30_000;

function tell(message: string): void {
  process.stderr.write(`${new Date().toISOString()} ${message}\n`);
}

function required(name: string): string {
  const value = env[name];
  if (value === undefined || value === '') throw new Error(`the environment variable ${name} must be set`);
  return value;
}

/** For its owner only; a kill at any moment leaves the old file or the new one. */
function writeWhole(path: string, text: string): void {
  writeFileSync(`${path}.new`, text, { mode: 0o600 });
  renameSync(`${path}.new`, path);
}

/** A secret that is made once, readable by its owner only. */
function secretFile(path: string): string {
  if (!existsSync(path)) {
    const secret = Buffer.from(host.random.bytes(secretBytes)).toString('hex');
    writeWhole(path, secret);
  }
  return readFileSync(path, 'utf8').trim();
}

function readText(path: string): string {
  return readFileSync(new URL(path, import.meta.url), 'utf8');
}

const host = createNodeHost({ onUncaught: (error) => tell(`uncaught: ${String(error)}`) });

async function main(): Promise<void> {
  const directory = resolve(required('SKEP_STATE_DIRECTORY'));
  const asked = env.SKEP_LISTEN ?? '127.0.0.1:7700';
  const address = parseAddress(asked);
  if (address === undefined)
    throw new Error(`SKEP_LISTEN is no address: ${asked}; give for instance 127.0.0.1:7700`);
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const store = new SqliteStore(join(directory, 'control-api.sqlite'));
  // Only now, as the only one that has the store, is this process the owner.
  writeFileSync(join(directory, 'owner.json'), JSON.stringify(identifyProcess(process.pid)));
  const adminTokenFile = env.SKEP_ADMIN_TOKEN_FILE ?? join(directory, 'admin-token');
  const viewerTokenFile = env.SKEP_VIEWER_TOKEN_FILE ?? join(directory, 'viewer-token');
  const { version } = JSON.parse(readText('../package.json')) as { version: string };
  let begin: () => void = () => undefined;
  const begun = new Promise<void>((resolveBegun) => {
    begin = resolveBegun;
  });
  const listeners = new Listeners(host, async (request, remote) => {
    await begun;
    return api.handler(request, remote);
  });
  const runner = await createRunner(host, {
    env,
    stateDirectory: directory,
    version,
    serveAt: env.SKEP_PUBLIC_URL ? undefined : (at) => listeners.listenAlsoAt(at),
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
      adminToken: secretFile(adminTokenFile),
      viewerToken: secretFile(viewerTokenFile),
      version,
      baseUrl: () => baseUrl,
      alwaysShaped: env.SKEP_SHAPED === '1',
      masterSecret: Buffer.from(secretFile(join(directory, 'master-secret')), 'hex'),
      onTrouble: tell,
    },
  );

  // Agents keep the address that they were launched with, so while there are any the port is taken again.
  const portFile = join(directory, 'port');
  const isKept = existsSync(portFile) && (await store.list('name/')).length > 0;
  const port = address.port === 0 && isKept ? Number(readFileSync(portFile, 'utf8')) : address.port;
  const local = await listeners.listen({ host: address.host, port });
  writeWhole(portFile, String(local.port));
  if (baseUrl === '') baseUrl = `http://${formatAddress(local)}`;
  await runner.start();
  await api.start();
  begin();

  let ending = false;
  const end = async (why: string): Promise<void> => {
    if (ending) return;
    ending = true;
    tell(`ending: ${why}`);
    const left = await api.deleteEphemeralClusters(endPatienceMs);
    await api.stop();
    await listeners.close();
    launcher.close();
    store.close();
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
    `${JSON.stringify({ url: baseUrl, adminTokenFile, viewerTokenFile, pid: process.pid })}\n`,
  );
}

function fail(error: unknown): never {
  tell(error instanceof Error ? error.message : String(error));
  process.exit(error instanceof HostError || error instanceof EngineError ? machineFailed : 1);
}

process.on('uncaughtException', (error) => fail(error));
process.on('unhandledRejection', (error) => fail(error));
main().catch(fail);
