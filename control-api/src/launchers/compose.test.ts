import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { createNodeHost } from '@skep/p2p-core/host/node';
import { afterAll, beforeAll, describe } from 'vitest';
import { fixtureImage, freeSubnet, hasCompose } from '../../../test/containers/image.ts';
import { describeLauncher, type LauncherWorld } from '../ports/launcher-compliance.ts';
import { ComposeLauncher } from './compose.ts';
import { DockerEngine } from './docker-engine.ts';

const isRequired = process.env.SKEP_TEST_ALL === '1';
const behaviours = { lives: 0, 'ignores being told to end': 1, 'ends at once': 3 } as const;
const buildMs = 900_000;
const testMs = 240_000;
const containers = 3;

describe.skipIf(!isRequired && !hasCompose())(
  'ComposeLauncher (needs docker-compose)',
  { timeout: testMs },
  () => {
    const project = `skeptest${randomBytes(4).toString('hex')}`;
    const directory = mkdtempSync(join(tmpdir(), 'skep-compose-'));
    const compose = (...args: string[]) =>
      execFileSync('docker-compose', ['--project-name', project, '--file', 'compose.yaml', ...args], {
        cwd: directory,
        stdio: 'ignore',
      });
    beforeAll(async () => {
      const { subnet, rest } = freeSubnet();
      const project = {
        services: {
          peer: {
            image: fixtureImage(),
            environment: { SKEP_CONFIG: '/config/agent.json', SKEP_AWAIT_CONFIG: '1' },
            labels: { 'skep.role': 'peer' },
            scale: containers,
            networks: ['cluster'],
            tmpfs: ['/config:uid=10001,gid=10001,mode=700'],
          },
        },
        networks: { cluster: { ipam: { config: [{ subnet, ip_range: rest }] } } },
      };
      writeFileSync(join(directory, 'compose.yaml'), JSON.stringify(project));
      compose('up', '--detach');
    }, buildMs);
    afterAll(() => {
      compose('down', '--volumes', '--timeout', '0');
      rmSync(directory, { recursive: true });
    }, testMs);

    async function createWorld(): Promise<LauncherWorld> {
      const host = createNodeHost();
      const engine = new DockerEngine();
      const records = mkdtempSync(join(directory, 'records-'));
      const launchers: ComposeLauncher[] = [];
      const make = () => {
        const launcher = new ComposeLauncher({ host, engine }, { project, directory: records });
        launchers.push(launcher);
        return launcher;
      };
      return {
        launcher: make(),
        compute: host.compute,
        restart() {
          launchers.at(-1)!.close();
          return make();
        },
        behaving: (request, behaviour) => ({
          ...request,
          config: { ...request.config, uploadBytesPerSecond: behaviours[behaviour] },
        }),
        async isRunning({ token }) {
          const found = (await launchers.at(-1)!.list()).find(({ machine }) => machine.token === token);
          return found !== undefined && (await engine.find(found.name))?.state === 'running';
        },
        async until(condition) {
          const deadline = performance.now() + 60_000;
          while (!(await condition())) {
            if (performance.now() > deadline) throw new Error('it did not come about');
            await sleep(20);
          }
        },
        async close() {
          const last = launchers.at(-1)!;
          for (const { machine } of await last.list()) await last.stop(machine, { graceMs: 0 });
          for (const launcher of launchers) launcher.close();
          await host.close();
        },
      };
    }

    describeLauncher('ComposeLauncher', createWorld);
  },
);
