import { execFile, execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { createNodeHost } from '@skep/p2p-core/host/node';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { fixtureImage, freeSubnet, hasCompose } from '../../../test/containers/image.ts';
import { describeLauncher, type LauncherWorld } from '../ports/launcher-compliance.ts';
import { ComposeLauncher } from './compose.ts';
import { DockerEngine } from './docker-engine.ts';
import { behaviours, fixtureWorld, requestFor } from './testing/fixture-machine.ts';

const isRequired = process.env.SKEP_TEST_ALL === '1';
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
        ...fixtureWorld,
        launcher: make(),
        compute: host.compute,
        restart() {
          launchers.at(-1)!.close();
          return make();
        },
        async isRunning({ token }) {
          const found = (await launchers.at(-1)!.list()).find(({ machine }) => machine.token === token);
          return found !== undefined && (await engine.find(found.name))?.state === 'running';
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

    it('leaves a container alone that others have told to end, until they start it', async () => {
      const world = await createWorld();
      const engine = new DockerEngine();
      try {
        const { launcher } = world;
        launcher.watch(() => undefined);
        // One that takes its time to end, as an agent may: the launcher is asked to stop it meanwhile.
        const machine = await requestFor(world, { behaviour: behaviours['ignores being told to end'] });
        const { name } = await launcher.launch(machine);
        await world.until(async () => (await launcher.logs(machine.machine, 100)).includes('alive'));
        const told = new Set<string>();
        const unfollow = await engine.endings(
          { 'com.docker.compose.project': project },
          Date.now(),
          ({ id, what }) => what === 'told' && told.add(id.slice(0, name.length)),
          () => undefined,
        );
        const stopping = promisify(execFile)('docker', ['stop', '--time', '3', name]);
        await world.until(() => told.has(name));
        unfollow();
        await launcher.stop(machine.machine, { graceMs: 10_000 });
        await stopping;
        expect((await engine.find(name))?.state).toBe('exited');
        const launchOf = async (slot: string) => launcher.launch(await requestFor(world, { slot }));
        const others = [await launchOf('peer-2'), await launchOf('peer-3')];
        expect(others.map((other) => other.name)).not.toContain(name);
        await expect(launchOf('peer-4')).rejects.toMatchObject({ code: 'no-capacity' });
        compose('start');
        await world.until(async () => (await engine.find(name))?.state === 'running');
        expect((await launchOf('peer-4')).name).toBe(name);
      } finally {
        await world.close();
      }
    });
  },
);
