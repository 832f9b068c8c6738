#!/usr/bin/env node
/**
 * The image's health check: asks the program that runs in the container for its own health, and ends with 0 if it is
 * well, else with 1 and why.
 *
 * Environment: that of the program. With SKEP_CONFIG it is an agent, asked at its health port; else it is a control
 * API, asked where it listens without TLS: SKEP_LOCAL_LISTEN, or SKEP_LISTEN, or by default 127.0.0.1:7700.
 */
import { readFileSync } from 'node:fs';
import { AgentConfig } from '@skep/contract';
import { createNodeHost } from '@skep/p2p-core/host/node';

const patienceMs = 4_000;

function healthUrl(): string {
  const { SKEP_CONFIG, SKEP_LOCAL_LISTEN, SKEP_LISTEN } = process.env;
  if (SKEP_CONFIG !== undefined) {
    const { healthPort } = AgentConfig.pick({ healthPort: true })
      .loose()
      .parse(JSON.parse(readFileSync(SKEP_CONFIG, 'utf8')));
    return `http://127.0.0.1:${healthPort}/healthz`;
  }
  const listen = new URL(`http://${SKEP_LOCAL_LISTEN ?? SKEP_LISTEN ?? '127.0.0.1:7700'}/healthz`);
  if (listen.hostname === '0.0.0.0') listen.hostname = '127.0.0.1';
  return listen.href;
}

const host = createNodeHost();
try {
  const response = await host.http.fetch(healthUrl(), { timeoutMs: patienceMs });
  console.log(await response.text());
  process.exitCode = response.ok ? 0 : 1;
} catch (error) {
  console.log(error instanceof Error ? error.message : String(error));
  process.exitCode = 1;
} finally {
  await host.close();
}
