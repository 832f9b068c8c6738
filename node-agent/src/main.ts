#!/usr/bin/env node
/**
 * One machine of a cluster as a process: reads the configuration that its launcher wrote, claims its one
 * life, runs the agent, and ends when it is told to, or when its time is over.
 *
 * Environment: SKEP_CONFIG names the AgentConfig file; with SKEP_AWAIT_CONFIG=1 it is waited for. Exit codes: 0 ended as told, 1 could not run,
 * 17 another process already lives this (slot, generation, attempt) or it has been called off.
 */
import { readFileSync } from 'node:fs';
import { flushCompileCache } from 'node:module';
import { dirname, join } from 'node:path';
import { pid } from 'node:process';
import { AgentConfig } from '@skep/contract';
import { type Files, HostError } from '@skep/p2p-core/host';
import { createNodeHost, type NodeHost } from '@skep/p2p-core/host/node';
import { identifyProcess } from '@skep/p2p-core/process-identity';
import { awaitConfig } from './await-config.ts';
import { startLife } from './life.ts';
import { createLog } from './log.ts';
import { removeRemains } from './orphan.ts';

const alreadyLived = 17;

/** Tells the time to the log, also before it is known what the machine's own Host is to be. */
const { clock } = createNodeHost();
const log = createLog(clock, (line) => process.stdout.write(line));

function fail(what: string, error: unknown): never {
  log.warn(what, { error: error instanceof Error ? (error.stack ?? error.message) : String(error) });
  process.exit(1);
}

/** Of all processes ever started for one launch token, the one that makes this file is the machine. */
async function claim(files: Files, configPath: string): Promise<void> {
  const record = JSON.stringify(identifyProcess(pid));
  const path = join(dirname(configPath), 'machine.json');
  try {
    await files.createExclusive(path, new TextEncoder().encode(record));
  } catch (error) {
    if (!(error instanceof HostError) || error.code !== 'exists') throw error;
    log.warn('this launch already has its machine, or was called off');
    process.exit(alreadyLived);
  }
}

function readConfig(path: string): AgentConfig {
  const parsed = AgentConfig.safeParse(JSON.parse(readFileSync(path, 'utf8')));
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new Error(`${path} is no agent configuration: ${issue?.path.join('.')}: ${issue?.message}`);
}

async function waitHere(configPath: string): Promise<void> {
  const host = createNodeHost();
  log.info('waiting for a configuration', { path: configPath });
  await awaitConfig(host, configPath);
  await host.close();
}

async function main(): Promise<void> {
  const configPath = process.env.SKEP_CONFIG;
  if (configPath === undefined) {
    throw new Error('SKEP_CONFIG must name the agent’s configuration file; a launcher sets it');
  }
  if (process.env.SKEP_AWAIT_CONFIG === '1') await waitHere(configPath);
  const config = readConfig(configPath);
  let host = hostOf(config);
  await claim(host.files, configPath);
  const hostFor = async (next: AgentConfig): Promise<NodeHost> => {
    if (next === config) return host;
    await host.close();
    host = hostOf(next);
    return host;
  };
  const life = await startLife({ hostFor, log }, config);
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => life.stop());
  // Written at an exit else, and who is killed makes none: the next machine would have to compile everything anew.
  flushCompileCache();
  const end = await life.ended;
  log.info('ended', { reason: end });
  if (end === 'orphaned') for (const lived of life.configs) removeRemains(lived);
  await host.close();
  process.exit(end === 'refused' ? 1 : 0);
}

function hostOf(config: AgentConfig): NodeHost {
  return createNodeHost({
    onUncaught: (error) => fail('an error reached the host uncaught', error),
    // Paths between shaped machines are told apart by address, so a machine has one for both ways.
    ...(config.apiCertificate === undefined ? {} : { trustedCertificates: [config.apiCertificate] }),
    ...(config.shaped === true ? { outgoingHost: config.listen.host } : {}),
  });
}

process.on('uncaughtException', (error) => fail('uncaught exception', error));
process.on('unhandledRejection', (error) => fail('unhandled rejection', error));
main().catch((error) => fail('the agent could not run', error));
