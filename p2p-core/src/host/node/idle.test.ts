/** An idle NodeHost keeps no process alive, closed or not, and a connect that nobody answers ends in time. */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { Probe } from '../compliance/probe.ts';
import { createNodeHost } from './index.ts';

const HOST_MODULE = JSON.stringify(new URL('./index.ts', import.meta.url).href);

test('a process whose Host has done its work ends by itself, threads and open files notwithstanding', () => {
  const directory = mkdtempSync(join(tmpdir(), 'skep-idle-'));
  try {
    const script = `
      import { createNodeHost } from ${HOST_MODULE};
      const host = createNodeHost();
      const content = await host.payload.openContent({ root: process.argv[1], files: [{ path: 'file', length: 5 }] });
      await content.createFiles();
      console.log((await content.hashRange(0, 5, 'sha1')).length);
    `;
    const output = execFileSync(process.execPath, ['--input-type=module', '-e', script, directory], {
      encoding: 'utf8',
      timeout: 15_000,
    });
    expect(output).toBe('20\n');
  } finally {
    rmSync(directory, { recursive: true });
  }
});

/** On Linux a stopped process whose backlog is full answers no further connection: a machine that went silent. */
test.runIf(process.platform === 'linux')('a connection that nobody answers is a timeout', async () => {
  const script = `
    const server = require('net').createServer();
    server.listen({ port: 0, host: '127.0.0.1', backlog: 1 }, () => {
      console.log(server.address().port);
      process.kill(process.pid, 'SIGSTOP');
    });
  `;
  const silent = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
  const host = createNodeHost();
  try {
    const [line] = (await once(silent.stdout, 'data')) as [Buffer];
    const remote = { host: '127.0.0.1', port: Number(line.toString()) };
    const probes = Array.from({ length: 6 }, () => {
      const probe = new Probe();
      host.net.connectTcp(remote, probe, { timeoutMs: 300 });
      return probe;
    });
    const last = probes.at(-1)!;
    await last.until(() => last.closed);
    expect(last.calls).toEqual(['close']);
    expect(last.closeError?.code).toBe('timeout');
  } finally {
    await host.close();
    silent.kill('SIGKILL');
  }
});
