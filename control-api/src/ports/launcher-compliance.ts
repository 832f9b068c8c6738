/** What every launcher must do, as a suite. The world says how to make time pass and how to make machines behave. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  type Launcher,
  type LaunchRequest,
  type MachineExit,
  type MachineRef,
  machineRef,
} from './launcher.ts';

export type Behaviour = 'lives' | 'ignores being told to end' | 'ends at once';

export interface LauncherWorld {
  readonly launcher: Launcher;
  readonly compute: Parameters<typeof machineRef>[0];
  /** A launcher over the same machines, as after a restart of its owner; the one before is not used any more. */
  restart(): Launcher;
  /** Makes a machine behave so; the same otherwise. */
  behaving(request: LaunchRequest, behaviour: Behaviour): LaunchRequest;
  /** Whether the machine's code runs: it lives and does not stand still. */
  isRunning(machine: MachineRef): boolean | Promise<boolean>;
  /** Waits until the condition holds. */
  until(condition: () => boolean | Promise<boolean>): Promise<void>;
  /** Whether slots can have hosts of their own: not every system has more than one loopback address. @default true */
  readonly ownHosts?: boolean;
  /** Runs a test's body to its end, where time passes only when it is made to. @default calls it */
  readonly run?: (body: () => Promise<void>) => Promise<void>;
  close(): Promise<void>;
}

export const clusterUid = 'c'.repeat(32);

export function describeLauncher(name: string, make: () => Promise<LauncherWorld>): void {
  describe(`${name} keeps the promises of Launcher`, () => {
    let world: LauncherWorld;
    let launcher: Launcher;
    let exits: MachineExit[];
    beforeEach(async () => {
      world = await make();
      launcher = world.launcher;
      exits = [];
      launcher.watch((exit) => exits.push(exit));
    });
    afterEach(() => world.close());

    const promise = (name: string, body: () => Promise<void>) =>
      it(name, () => (world.run === undefined ? body() : world.run(body)));
    const ref = (attempt = 1, slot = 'peer-1'): MachineRef =>
      machineRef(world.compute, { clusterUid, slot, generation: 1, attempt });
    async function request(machine = ref(), behaviour: Behaviour = 'lives'): Promise<LaunchRequest> {
      const [addresses] = await launcher.allocate(1, [], { clusterUid });
      const { slot, generation, attempt } = machine;
      const config: LaunchRequest['config'] = {
        apiUrl: 'http://127.0.0.1:1',
        cluster: 'bees',
        clusterUid,
        slot,
        role: slot.startsWith('spare-') ? 'spare' : 'peer',
        generation,
        attempt,
        joinSecret: 'a'.repeat(64),
        listen: addresses!.listen,
        healthPort: addresses!.healthPort,
        reportIntervalMs: 1_000,
        graceMs: 6_000,
        orphanMs: 60_000,
        uploadBytesPerSecond: 0,
        downloadBytesPerSecond: 0,
      };
      return world.behaving({ machine, config, ephemeral: false }, behaviour);
    }
    const names = async (from = launcher) => (await from.list(clusterUid)).map((machine) => machine.name);

    promise('allocates distinct addresses, none of those taken', async () => {
      const first = await launcher.allocate(5, [], { clusterUid });
      const all = [...first, ...(await launcher.allocate(5, first, { clusterUid }))];
      const texts = all.flatMap(({ listen, ringPort, healthPort }) =>
        [listen.port, ringPort, healthPort].map((port) => `${listen.host} ${port}`),
      );
      expect(new Set(texts).size).toBe(30);
    });

    promise('makes one machine of a token, however often and from wherever it is asked', async () => {
      const asked = await request();
      const [first, second] = await Promise.all([launcher.launch(asked), launcher.launch(asked)]);
      expect(second.name).toBe(first.name);
      expect((await launcher.launch(asked)).name).toBe(first.name);
      const next = world.restart();
      expect((await next.launch(asked)).name).toBe(first.name);
      expect(await names(next)).toEqual([first.name]);
      await next.stop(asked.machine, { graceMs: 5_000 });
      expect(await names(next)).toEqual([]);
    });

    promise('stops a machine, and tells so', async () => {
      const asked = await request();
      await launcher.launch(asked);
      await launcher.stop(asked.machine, { graceMs: 5_000 });
      expect(await launcher.list()).toEqual([]);
      await world.until(() => exits.length > 0);
      expect(exits.map(({ machine }) => machine)).toEqual([asked.machine]);
      await launcher.stop(asked.machine, { graceMs: 5_000 });
    });

    promise('ends a machine that does not end by itself', async () => {
      const asked = await request(ref(), 'ignores being told to end');
      await launcher.launch(asked);
      await launcher.stop(asked.machine, { graceMs: 50 });
      expect(await launcher.list()).toEqual([]);
    });

    promise('never launches what was stopped before, even after a restart', async () => {
      const asked = await request();
      await launcher.stop(asked.machine, { graceMs: 0 });
      await launcher.stop(asked.machine, { graceMs: 0 });
      await expect(launcher.launch(asked)).rejects.toMatchObject({ code: 'called-off' });
      await expect(world.restart().launch(asked)).rejects.toMatchObject({ code: 'called-off' });
    });

    promise('tells of a machine that is killed, or ends, and does not make it again', async () => {
      const killed = await request();
      const { name } = await launcher.launch(killed);
      await launcher.kill(killed.machine);
      await world.until(() => exits.length > 0);
      expect(exits[0]).toEqual({ machine: killed.machine, evidence: expect.stringMatching(/./) });
      expect(await names()).toEqual([]);
      // A caller that missed it is told again.
      expect((await launcher.launch(killed)).name).toBe(name);
      await world.until(() => exits.length > 1);
      expect(await names()).toEqual([]);
      await launcher.launch(await request(ref(2), 'ends at once'));
      await world.until(() => exits.length > 2);
      expect(exits[2]?.machine.attempt).toBe(2);
    });

    promise('gives each slot a host of its own where that is asked for', async () => {
      if (world.ownHosts === false) return;
      const own = { clusterUid, ownHosts: true };
      const first = await launcher.allocate(3, [], own);
      const all = [...first, ...(await launcher.allocate(3, first, own))];
      expect(new Set(all.map(({ listen }) => listen.host)).size).toBe(6);
    });

    promise('pauses a machine, which lives on, and can be resumed by a later owner and stopped', async () => {
      if (launcher.pause === undefined) return;
      const asked = await request();
      await launcher.pause(asked.machine);
      const { name } = await launcher.launch(asked);
      await world.until(() => world.isRunning(asked.machine));
      await launcher.pause(asked.machine);
      await launcher.pause(asked.machine);
      await world.until(async () => !(await world.isRunning(asked.machine)));
      expect(await names()).toEqual([name]);
      const next = world.restart();
      await next.resume!(asked.machine);
      await world.until(() => world.isRunning(asked.machine));
      await next.pause!(asked.machine);
      await next.stop(asked.machine, { graceMs: 50 });
      expect(await names(next)).toEqual([]);
      await next.resume!(asked.machine);
    });

    const spare = () => ref(1, 'spare-1');

    promise(
      'assigns a spare’s machine, which keeps its name and token, however often it is asked',
      async () => {
        if (launcher.assign === undefined) return;
        const { name } = await launcher.launch(await request(spare()));
        const asked = await request(ref(1, 'peer-7'));
        const assigned = await launcher.assign(spare(), asked);
        expect(assigned.dataDirectory).toMatch(/peer-7/);
        const next = world.restart();
        expect(await next.assign!(spare(), asked)).toEqual(assigned);
        expect(await next.list(clusterUid)).toEqual([{ machine: spare(), name }]);
        const told: MachineExit[] = [];
        next.watch((exit) => told.push(exit));
        await next.stop(spare(), { graceMs: 5_000 });
        await world.until(() => told.length > 0);
        expect(told.map(({ machine }) => machine)).toEqual([spare()]);
        expect(await names(next)).toEqual([]);
      },
    );

    promise('assigns a spare to one slot only, even after a restart', async () => {
      if (launcher.assign === undefined) return;
      await launcher.launch(await request(spare()));
      await launcher.assign(spare(), await request(ref(1, 'peer-7')));
      const other = await request(ref(1, 'peer-8'));
      await expect(launcher.assign(spare(), other)).rejects.toMatchObject({ code: 'called-off' });
      await expect(world.restart().assign!(spare(), other)).rejects.toMatchObject({ code: 'called-off' });
    });

    promise('assigns no spare that has no machine any more', async () => {
      if (launcher.assign === undefined) return;
      const asked = await request(ref(1, 'peer-7'));
      await expect(launcher.assign(spare(), asked)).rejects.toMatchObject({ code: 'called-off' });
      await launcher.launch(await request(spare()));
      await launcher.stop(spare(), { graceMs: 5_000 });
      await expect(launcher.assign(spare(), asked)).rejects.toMatchObject({ code: 'called-off' });
    });

    promise('tells of the end of machines that an earlier owner launched', async () => {
      const asked = await request();
      await launcher.launch(asked);
      const next = world.restart();
      const told: MachineExit[] = [];
      next.watch((exit) => told.push(exit));
      expect(await next.list()).toHaveLength(1);
      await next.kill(asked.machine);
      await world.until(() => told.length > 0);
      expect(told[0]?.machine).toEqual(asked.machine);
    });

    promise('does no harm where there is nothing', async () => {
      await launcher.kill(ref());
      expect(await launcher.logs(ref(), 100)).toBe('');
      await launcher.forget(clusterUid);
      expect(await launcher.list('none')).toEqual([]);
    });
  });
}
