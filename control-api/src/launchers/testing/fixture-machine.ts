/** Launches of machines that run the fixture, `fixtures/agent.ts`, whose upload rate says what it does. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Address } from '@skep/contract';
import { type LaunchRequest, machineRef } from '../../ports/launcher.ts';
import { clusterUid, type LauncherWorld } from '../../ports/launcher-compliance.ts';

/** What the fixture does, by its rate. */
export const behaviours = { lives: 0, 'ignores being told to end': 1, 'ends at once': 3 } as const;

const patienceMs = 60_000;
const pollMs = 10;

/** What worlds of the compliance suite have in common that run the fixture in real time. */
export const fixtureWorld = {
  behaving: (request, behaviour) => ({
    ...request,
    config: { ...request.config, uploadBytesPerSecond: behaviours[behaviour] },
  }),
  async until(condition) {
    const deadline = performance.now() + patienceMs;
    while (!(await condition())) {
      if (performance.now() > deadline) throw new Error('it did not come about');
      await sleep(pollMs);
    }
  },
} satisfies Pick<LauncherWorld, 'behaving' | 'until'>;

/** A machine of a peer's slot, at an address of its own if none is given. */
export async function requestFor(
  { launcher, compute }: Pick<LauncherWorld, 'launcher' | 'compute'>,
  {
    slot = 'peer-1',
    generation = 1,
    emptyDisk = false,
    behaviour = 0,
    listen = undefined as Address | undefined,
  } = {},
): Promise<LaunchRequest> {
  const [addresses] = await launcher.allocate(1, [], { clusterUid });
  const machine = machineRef(compute, { clusterUid, slot, generation, attempt: 1 });
  return {
    machine,
    config: {
      apiUrl: 'http://127.0.0.1:1',
      cluster: 'bees',
      clusterUid,
      slot,
      role: 'peer',
      generation,
      attempt: 1,
      joinSecret: 'ab'.repeat(32),
      listen: listen ?? addresses!.listen,
      healthPort: 6883,
      reportIntervalMs: 1_000,
      graceMs: 6_000,
      orphanMs: 60_000,
      uploadBytesPerSecond: behaviour,
      downloadBytesPerSecond: 0,
    },
    ephemeral: false,
    emptyDisk,
  };
}
