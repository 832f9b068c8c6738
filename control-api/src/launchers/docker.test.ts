import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { createNodeHost } from '@skep/p2p-core/host/node';
import { beforeAll, describe, expect, it } from 'vitest';
import { fixtureImage, hasEngine } from '../../../test/containers/image.ts';
import type { MachineExit, MachineRef } from '../ports/launcher.ts';
import { clusterUid, describeLauncher, type LauncherWorld } from '../ports/launcher-compliance.ts';
import { DockerLauncher, type DockerLauncherOptions } from './docker.ts';
import { DockerEngine } from './docker-engine.ts';
import { containerName } from './docker-naming.ts';
import { fixtureWorld, requestFor } from './testing/fixture-machine.ts';

const isRequired = process.env.SKEP_TEST_ALL === '1';
const buildMs = 900_000;
const testMs = 240_000;

const docker = (...args: string[]) => execFileSync('docker', args, { encoding: 'utf8' }).trim();
const inspect = (name: string) => JSON.parse(docker('inspect', name))[0];

type DockerWorld = LauncherWorld & {
  readonly launcher: DockerLauncher;
  readonly owner: string;
  restart(): DockerLauncher;
};

async function createWorld(options: Partial<DockerLauncherOptions> = {}): Promise<DockerWorld> {
  const host = createNodeHost();
  const engine = new DockerEngine();
  const owner = randomBytes(8).toString('hex');
  const launchers: DockerLauncher[] = [];
  const make = () => {
    const launcher = new DockerLauncher({ host, engine }, { owner, image: fixtureImage(), ...options });
    launchers.push(launcher);
    return launcher;
  };
  return {
    ...fixtureWorld,
    launcher: make(),
    owner,
    compute: host.compute,
    restart() {
      launchers.at(-1)!.close();
      return make();
    },
    async isRunning(machine) {
      return (await engine.find(containerName(machine)))?.state === 'running';
    },
    async close() {
      await launchers.at(-1)!.forget(clusterUid);
      for (const launcher of launchers) launcher.close();
      await host.close();
      for (const kind of ['container', 'network', 'volume']) {
        const all = kind === 'container' ? ['--all'] : [];
        expect(docker(kind, 'ls', ...all, '--quiet', '--filter', `label=skep.control-api=${owner}`)).toBe('');
      }
    },
  };
}

describe.skipIf(!isRequired && !hasEngine())(
  'DockerLauncher (needs a Docker engine)',
  { timeout: testMs },
  () => {
    beforeAll(() => void fixtureImage(), buildMs);

    describeLauncher('DockerLauncher', createWorld);

    const inWorld = async (
      body: (world: DockerWorld) => Promise<void>,
      options?: Partial<DockerLauncherOptions>,
    ) => {
      const world = await createWorld(options);
      try {
        await body(world);
      } finally {
        await world.close();
      }
    };
    const foldersOn = (machine: MachineRef) =>
      docker(
        'run',
        '--rm',
        '--volume',
        `${diskOf(machine)}:/data:ro`,
        '--entrypoint',
        'ls',
        fixtureImage(),
        '/data',
      );
    const diskOf = (machine: MachineRef) => inspect(containerName(machine)).Mounts[0].Name;

    it('keeps the slot’s address and disk over generations, and gives an empty one where that is asked for', () =>
      inWorld(async (world) => {
        const { launcher } = world;
        const first = await requestFor(world);
        const { listen } = first.config;
        await launcher.launch(first);
        await launcher.kill(first.machine);
        await launcher.stop(first.machine, { graceMs: 0 });
        const second = await requestFor(world, { generation: 2, listen });
        await launcher.launch(second);
        await world.until(async () => (await launcher.logs(second.machine, 100)).includes('alive'));
        const [network] = Object.values(inspect(containerName(second.machine)).NetworkSettings.Networks);
        expect(network).toMatchObject({ IPAddress: listen.host });
        expect(diskOf(second.machine)).toBe(diskOf(first.machine));
        expect(foldersOn(second.machine).split('\n')).toEqual(['1.1', '2.1', 'slot']);
        await launcher.stop(second.machine, { graceMs: 5_000 });
        expect(await launcher.logs(second.machine, 100)).toBe('alive\nended as told\n');
        expect(await launcher.logs(second.machine, 5)).toBe('told\n');
        const third = await requestFor(world, { generation: 3, listen, emptyDisk: true });
        await launcher.launch(third);
        expect(diskOf(third.machine)).not.toBe(diskOf(second.machine));
        expect(foldersOn(third.machine).split('\n')).toEqual(['3.1', 'slot']);
      }));

    it('gives a machine no more rights than it needs, and shows its secret to nobody else', () =>
      inWorld(
        async (world) => {
          const request = await requestFor(world);
          await world.launcher.launch(request);
          const name = containerName(request.machine);
          const shown = docker('inspect', name);
          expect(shown).not.toContain(request.config.joinSecret);
          expect(inspect(name).HostConfig).toMatchObject({
            ReadonlyRootfs: true,
            CapDrop: ['ALL'],
            SecurityOpt: ['no-new-privileges'],
            Memory: 256 * 1024 ** 2,
            NanoCpus: 500_000_000,
          });
          const seen = (script: string) => docker('exec', name, 'sh', '-c', script);
          expect(seen('stat -c "%u %a" $SKEP_CONFIG $(dirname $SKEP_CONFIG)')).toBe('10001 600\n10001 700');
          expect(seen('cat $SKEP_CONFIG')).toContain(request.config.joinSecret);
          expect(seen(`cat ${import.meta.filename} | head -1`)).toContain('import');
          expect(() => seen('touch /skep/x 2>/dev/null')).toThrow();
        },
        { limits: { memoryBytes: 256 * 1024 ** 2, cpus: 0.5 }, content: [import.meta.filename] },
      ));

    it('tells that a machine wanted more memory than it may have', () =>
      inWorld(
        async (world) => {
          const exits: MachineExit[] = [];
          world.launcher.watch((exit) => exits.push(exit));
          await world.launcher.launch(await requestFor(world, { behaviour: 4 }));
          await world.until(() => exits.length > 0);
          expect(exits[0]?.evidence).toBe('killed by the kernel: it needed more than its 96 MiB of memory');
        },
        { limits: { memoryBytes: 96 * 1024 ** 2 } },
      ));

    it('says what to do where the image is missing', () =>
      inWorld(
        async ({ launcher }) => {
          await expect(launcher.start()).rejects.toThrow(
            'there is no Docker image skep-none:1: build it with `docker build -f node-agent/Dockerfile -t skep-none:1 .`',
          );
        },
        { image: 'skep-none:1' },
      ));

    it('learns of ends that came while the engine could not be heard', async () => {
      const gate = await openGate();
      const host = createNodeHost();
      const engine = new DockerEngine({ socketPath: gate.socketPath });
      const launcher = new DockerLauncher({ host, engine }, { owner: gate.owner, image: fixtureImage() });
      const exits: MachineExit[] = [];
      launcher.watch((exit) => exits.push(exit));
      const world = { launcher, compute: host.compute };
      try {
        const request = await requestFor(world);
        await launcher.launch(request);
        gate.shut();
        docker('kill', containerName(request.machine));
        gate.open();
        const deadline = performance.now() + 60_000;
        while (exits.length === 0 && performance.now() < deadline) await sleep(20);
        expect(exits).toEqual([{ machine: request.machine, evidence: 'killed by SIGKILL' }]);
      } finally {
        gate.open();
        await launcher.forget(clusterUid);
        launcher.close();
        await host.close();
        gate.close();
      }
    });
  },
);

/** A way to the engine that can be cut: whoever is connected loses the connection, and new ones are refused. */
async function openGate() {
  const directory = mkdtempSync(join(tmpdir(), 'skep-gate-'));
  const socketPath = join(directory, 'docker.sock');
  const sockets = new Set<Socket>();
  let isOpen = true;
  const server = createServer((near) => {
    if (!isOpen) return near.destroy();
    const far = connect('/var/run/docker.sock');
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(from);
      from.pipe(to);
      from.on('error', () => to.destroy()).on('close', () => to.destroy());
    }
  }).listen(socketPath);
  await once(server, 'listening');
  return {
    socketPath,
    owner: randomBytes(8).toString('hex'),
    shut() {
      isOpen = false;
      for (const socket of sockets) socket.destroy();
      sockets.clear();
    },
    open() {
      isOpen = true;
    },
    close() {
      server.close();
      for (const socket of sockets) socket.destroy();
      rmSync(directory, { recursive: true });
    },
  };
}
