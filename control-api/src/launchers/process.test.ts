import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createNodeHost } from '@skep/p2p-core/host/node';
import { describe, expect, it } from 'vitest';
import { machineRef } from '../ports/launcher.ts';
import { clusterUid, describeLauncher, type LauncherWorld } from '../ports/launcher-compliance.ts';
import { ProcessLauncher } from './process.ts';
import { boundLog } from './process-logs.ts';
import { fixtureWorld } from './testing/fixture-machine.ts';

const agentProgram = fileURLToPath(new URL('./fixtures/agent.ts', import.meta.url));

async function createWorld(): Promise<LauncherWorld & { directory: string }> {
  const host = createNodeHost();
  const directory = mkdtempSync(join(tmpdir(), 'skep-launcher-'));
  const launchers: ProcessLauncher[] = [];
  const make = () => {
    const launcher = new ProcessLauncher({ host }, { directory, agentProgram });
    launchers.push(launcher);
    return launcher;
  };
  return {
    ...fixtureWorld,
    launcher: make(),
    directory,
    compute: host.compute,
    ownHosts: process.platform === 'linux',
    restart() {
      launchers.at(-1)!.close();
      return make();
    },
    async isRunning({ token }) {
      const living = await launchers.at(-1)!.list();
      const found = living.find(({ machine }) => machine.token === token);
      if (found === undefined) return false;
      return !execFileSync('ps', ['-o', 'state=', '-p', found.name], { encoding: 'utf8' }).startsWith('T');
    },
    async close() {
      const last = launchers.at(-1)!;
      for (const { machine } of await last.list()) await last.stop(machine, { graceMs: 0 });
      last.close();
      await host.close();
      rmSync(directory, { recursive: true });
    },
  };
}

describeLauncher('ProcessLauncher', createWorld);

describe('ProcessLauncher', () => {
  const config = {
    apiUrl: 'http://127.0.0.1:1',
    cluster: 'bees',
    clusterUid,
    slot: 'peer-1',
    role: 'peer' as const,
    generation: 1,
    attempt: 1,
    joinSecret: 'a'.repeat(64),
    listen: { host: '127.0.0.1', port: 1 },
    healthPort: 2,
    reportIntervalMs: 1_000,
    graceMs: 6_000,
    orphanMs: 60_000,
    uploadBytesPerSecond: 0,
    downloadBytesPerSecond: 0,
  };
  const name = { clusterUid, slot: 'peer-1', generation: 1, attempt: 1 };

  it('keeps secrets to the owner, the slot’s data over generations, and logs to read', async () => {
    const world = await createWorld();
    const { launcher, directory } = world;
    try {
      for (const generation of [1, 2]) {
        const machine = machineRef(world.compute, { ...name, generation });
        await launcher.launch({ machine, config: { ...config, generation }, ephemeral: false });
        await world.until(async () => (await launcher.logs(machine, 100)).includes('alive'));
        await launcher.stop(machine, { graceMs: 5_000 });
        expect(await launcher.logs(machine, 100)).toBe('alive\nended as told\n');
        expect(await launcher.logs(machine, 5)).toBe('told\n');
      }
      const slot = join(directory, clusterUid, 'peer-1');
      expect(readdirSync(join(slot, 'data'))).toHaveLength(2);
      expect(statSync(join(slot, '1.1', 'agent.json')).mode & 0o777).toBe(0o600);
      await launcher.forget(clusterUid);
      expect(existsSync(join(directory, clusterUid))).toBe(false);
    } finally {
      await world.close();
    }
  });

  it('empties the disk of a slot before a machine that is to find nothing, and of no other', async () => {
    const world = await createWorld();
    const { launcher, directory } = world;
    try {
      const data = () => readdirSync(join(directory, clusterUid, 'peer-1', 'data'));
      for (const [generation, emptyDisk, files] of [
        [1, false, 1],
        [2, true, 1],
        [3, false, 2],
      ] as const) {
        const machine = machineRef(world.compute, { ...name, generation });
        const request = { machine, config: { ...config, generation }, ephemeral: false, emptyDisk };
        await launcher.launch(request);
        await world.until(() => data().length === files);
        // Asked again, as after an answer that was lost.
        await launcher.launch(request);
        expect(data()).toHaveLength(files);
        await launcher.stop(machine, { graceMs: 5_000 });
      }
    } finally {
      await world.close();
    }
  });

  it('empties the disk of a slot once before a spare takes it over, and lets a spare leave nothing but its own', async () => {
    const world = await createWorld();
    const { launcher, directory } = world;
    try {
      const before = machineRef(world.compute, name);
      await launcher.launch({ machine: before, config, ephemeral: false });
      const slot = join(directory, clusterUid, 'peer-1');
      const data = () => readdirSync(join(slot, 'data'));
      await world.until(() => data().length === 1);
      await launcher.stop(before, { graceMs: 5_000 });

      const spare = machineRef(world.compute, { ...name, slot: 'spare-1' });
      const idle = { ...config, slot: 'spare-1', role: 'spare' as const };
      await launcher.launch({ machine: spare, config: idle, ephemeral: true });
      const own = join(directory, clusterUid, 'spare-1', '1.1');
      const written = JSON.parse(readFileSync(join(own, 'agent.json'), 'utf8'));
      expect(written).toMatchObject({ dataDirectory: join(own, 'data'), ephemeralDirectory: own });

      const machine = machineRef(world.compute, { ...name, generation: 2 });
      const request = { machine, config: { ...config, generation: 2 }, ephemeral: true, emptyDisk: true };
      const directories = { dataDirectory: join(slot, 'data'), ephemeralDirectory: slot };
      expect(await launcher.assign!(spare, request)).toEqual(directories);
      expect(data()).toEqual([]);
      writeFileSync(join(slot, 'data', 'new'), 'mine');
      // Asked again, as after an answer that was lost.
      expect(await launcher.assign!(spare, request)).toEqual(directories);
      expect(data()).toEqual(['new']);
    } finally {
      await world.close();
    }
  });

  it('says that an agent ended before it began, and may be asked again', async () => {
    const world = await createWorld();
    try {
      const machine = machineRef(world.compute, name);
      const request = { machine, config: { ...config, uploadBytesPerSecond: 2 }, ephemeral: false };
      await expect(world.launcher.launch(request)).rejects.toMatchObject({ code: 'not-launched' });
      await expect(world.launcher.launch(request)).rejects.toMatchObject({ code: 'not-launched' });
      await world.launcher.launch({ ...request, config });
      expect(await world.launcher.list()).toHaveLength(1);
    } finally {
      await world.close();
    }
  });

  it('yields to a process that an owner spawned before it died', async () => {
    const world = await createWorld();
    try {
      const machine = machineRef(world.compute, name);
      await world.launcher.launch({ machine, config, ephemeral: false });
      const [first] = await world.launcher.list();
      const directory = join(world.directory, clusterUid, 'peer-1', '1.1');
      const late = spawn(process.execPath, [agentProgram], {
        env: { SKEP_CONFIG: join(directory, 'agent.json') },
      });
      const [code] = await once(late, 'exit');
      expect(code).toBe(17);
      expect(await world.launcher.list()).toEqual([first]);
    } finally {
      await world.close();
    }
  });

  it('has a paused machine end cleanly, well within its grace', async () => {
    const world = await createWorld();
    try {
      const machine = machineRef(world.compute, name);
      await world.launcher.launch({ machine, config, ephemeral: false });
      await world.launcher.pause!(machine);
      await world.until(async () => !(await world.isRunning(machine)));
      const exits: string[] = [];
      world.launcher.watch(({ evidence }) => exits.push(evidence));
      await world.launcher.stop(machine, { graceMs: 20_000 });
      expect(exits).toEqual([expect.not.stringContaining('SIGKILL')]);
    } finally {
      await world.close();
    }
  });

  it('takes no stranger with the same pid for its machine', async () => {
    const world = await createWorld();
    try {
      const machine = machineRef(world.compute, name);
      await world.launcher.stop(machine, { graceMs: 0 });
      const claim = join(world.directory, clusterUid, 'peer-1', '1.1', 'machine.json');
      writeFileSync(claim, JSON.stringify({ pid: process.pid, startTime: '1' }));
      expect(await world.launcher.list()).toEqual([]);
      await world.launcher.kill(machine);
      await world.launcher.stop(machine, { graceMs: 0 });
    } finally {
      await world.close();
    }
  });

  it('goes on when a claim was half written by one that died', async () => {
    const world = await createWorld();
    try {
      const machine = machineRef(world.compute, name);
      await world.launcher.stop(machine, { graceMs: 0 });
      writeFileSync(join(world.directory, clusterUid, 'peer-1', '1.1', 'machine.json'), '{"pid":');
      await expect(world.launcher.launch({ machine, config, ephemeral: false })).rejects.toMatchObject({
        code: 'called-off',
      });
      await world.launcher.stop(machine, { graceMs: 0 });
    } finally {
      await world.close();
    }
  });

  it('bounds a log', () => {
    const directory = mkdtempSync(join(tmpdir(), 'skep-log-'));
    try {
      const path = join(directory, 'agent.log');
      writeFileSync(path, 'short');
      boundLog(path);
      expect(readFileSync(path, 'utf8')).toBe('short');
      writeFileSync(path, new Uint8Array(17 * 1024 * 1024));
      boundLog(path);
      expect([statSync(path).size, statSync(`${path}.1`).size]).toEqual([0, 17 * 1024 * 1024]);
      boundLog(join(directory, 'none'));
    } finally {
      rmSync(directory, { recursive: true });
    }
  });
});
