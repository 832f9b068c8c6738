/** NodeHost keeps Host's promises. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describeHost } from '../compliance.ts';
import { createNodeHost } from './index.ts';

describeHost('NodeHost', async () => {
  const uncaught: unknown[] = [];
  const directory = await mkdtemp(join(tmpdir(), 'skep-host-'));
  const makeMachine = async (name: string) => ({
    host: createNodeHost({ onUncaught: (error) => uncaught.push(error), workers: 1 }),
    address: '127.0.0.1',
    scratch: await mkdtemp(join(directory, name)),
  });
  const machines = [await makeMachine('first-'), await makeMachine('second-')] as const;
  return {
    machines,
    uncaught,
    run: (body) => body(),
    async close() {
      await Promise.all(machines.map(({ host }) => host.close()));
      await rm(directory, { recursive: true });
    },
  };
});
