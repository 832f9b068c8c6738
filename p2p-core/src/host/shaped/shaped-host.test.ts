/** A ShapedHost without conditions keeps Host's promises, over real sockets. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describeHost } from '../compliance.ts';
import { createNodeHost } from '../node/index.ts';
import { ShapedHost } from './index.ts';

describeHost('ShapedHost over NodeHost', async () => {
  const uncaught: unknown[] = [];
  const directory = await mkdtemp(join(tmpdir(), 'skep-shaped-'));
  const hosts = [0, 1].map(() => createNodeHost({ onUncaught: (error) => uncaught.push(error), workers: 1 }));
  const makeMachine = async (index: number) => ({
    host: new ShapedHost(hosts[index]!),
    address: '127.0.0.1',
    scratch: await mkdtemp(join(directory, `machine-${index}-`)),
  });
  return {
    machines: [await makeMachine(0), await makeMachine(1)],
    uncaught,
    run: (body) => body(),
    async close() {
      await Promise.all(hosts.map((host) => host.close()));
      await rm(directory, { recursive: true });
    },
  };
});
