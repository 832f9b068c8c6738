/**
 * Ends single machines, side by side. Whether one is gone is decided by `isProvenGone`: nothing is listed, and no call that
 * deploy was allowed can make anything any more. Safe at any time, also while deploy launches the same machine.
 */
import { formatMachineId, type MachineToken, type TeardownAnswer, tableKeys } from '@skep/contract';
import type { Clock } from '@skep/p2p-core/host';
import { type Instance, type Instances, isEnding } from '../ec2/instances.ts';
import type { LaunchAgreements } from '../launches/agreement.ts';
import { pause } from '../patience.ts';
import { concludeLaunch, endLaunch } from './launch-end.ts';

export interface TeardownComponents {
  readonly clock: Clock;
  readonly agreements: LaunchAgreements;
  readonly instances: Instances;
}

/** How often EC2 is asked again. */
export const pollMs = 1_500;

export class MachineTeardown {
  readonly #components: TeardownComponents;

  constructor(components: TeardownComponents) {
    this.#components = components;
  }

  /** Waits up to `waitMs` for all to be gone. Idempotent. */
  async end(machines: readonly MachineToken[], waitMs: number): Promise<TeardownAnswer> {
    const { clock } = this.#components;
    const dueMs = clock.now() + waitMs;
    const gone: string[] = [];
    let left = machines;
    for (;;) {
      const states = await this.#endOnce(left);
      gone.push(...left.filter((_, index) => states[index] === 'gone').map(({ token }) => token));
      const stays = left.flatMap((machine, index) => {
        const state = states[index]!;
        return state === 'gone' ? [] : [{ machine, words: `${formatMachineId(machine)}: ${state}` }];
      });
      left = stays.map(({ machine }) => machine);
      if (left.length === 0) return { state: 'gone', left: [], gone };
      if (clock.now() + pollMs > dueMs)
        return { state: 'ending', left: stays.map(({ words }) => words), gone };
      await pause(clock, pollMs);
    }
  }

  /** For each machine `gone`, or what is left of it in words. */
  async #endOnce(machines: readonly MachineToken[]): Promise<string[]> {
    const { instances } = this.#components;
    // Before anything is listed: what is made after the list was taken is made by a call that this row allowed.
    const agreed = await Promise.all(
      machines.map((machine) => endLaunch(this.#components.agreements, tableKeys.launch(machine))),
    );
    const found = await instances.find(machines);
    const living = found.filter((instance) => !isEnding(instance)).map(({ instanceId }) => instanceId);
    const troubles = living.length === 0 ? [] : await instances.terminate(living);
    return Promise.all(
      machines.map(async (machine, index) => {
        const own = found.filter(({ machine: other }) => other?.token === machine.token);
        if (await concludeLaunch(this.#components, tableKeys.launch(machine), agreed[index]!, own))
          return 'gone';
        const trouble = troubles.find((each) => own.some(({ instanceId }) => each.startsWith(instanceId)));
        return trouble ?? describe(own);
      }),
    );
  }
}

function describe(instances: readonly Instance[]): string {
  if (instances.length === 0) return 'a call for its instance may still come through';
  return instances.map(({ instanceId, state }) => `${instanceId} is ${state}`).join(', ');
}
