/**
 * Ends a whole cluster, or all that the deployment has launched, whoever launched it and whether or not anybody knows of
 * it still: first it is closed to launches, then ended, then proven by listing to have left nothing.
 */
import type { TeardownAnswer } from '@skep/contract';
import { isEnding, type NetworkInterfaces } from '../ec2/instances.ts';
import type { Agreed } from '../launches/agreement.ts';
import { pause, sideBySide } from '../patience.ts';
import { concludeLaunch, endLaunch } from './launch-end.ts';
import { pollMs, type TeardownComponents } from './machines.ts';

export interface ClusterTeardownComponents extends TeardownComponents {
  readonly interfaces: NetworkInterfaces;
}

const mostAtOnce = 16;

export class ClusterTeardown {
  readonly #components: ClusterTeardownComponents;

  constructor(components: ClusterTeardownComponents) {
    this.#components = components;
  }

  /** Waits up to `waitMs` for all to be gone. Without `clusterUid` it is the whole deployment. Idempotent. */
  async end(clusterUid: string | undefined, waitMs: number): Promise<TeardownAnswer> {
    const { clock, agreements } = this.#components;
    const dueMs = clock.now() + waitMs;
    await agreements.close(clusterUid);
    for (;;) {
      const left = await this.#endOnce(clusterUid);
      if (left.length === 0) {
        await agreements.remove(await agreements.list(clusterUid));
        return { state: 'gone', left, gone: [] };
      }
      if (clock.now() + pollMs > dueMs) return { state: 'ending', left, gone: [] };
      await pause(clock, pollMs);
    }
  }

  /** What is left, in words. */
  async #endOnce(clusterUid: string | undefined): Promise<string[]> {
    const { instances } = this.#components;
    // Before anything is listed: what is made after the list was taken is made by a call that a row allowed.
    const rows = await this.#endLaunches(clusterUid);
    const living = await instances.list(clusterUid === undefined ? {} : { clusterUid });
    const toEnd = living.filter((instance) => !isEnding(instance)).map(({ instanceId }) => instanceId);
    const troubles = toEnd.length === 0 ? [] : await instances.terminate(toEnd);
    const open = await this.#openLaunches(rows);
    const left = [
      ...living.map(
        ({ instanceId, state }) =>
          troubles.find((each) => each.startsWith(instanceId)) ?? `${instanceId} is ${state}`,
      ),
      ...open.map((token) => `a call for the instance of token ${token.slice(0, 8)} may still come through`),
    ];
    // The end of an instance deletes its interface.
    return left.length > 0 ? left : this.#endInterfaces(clusterUid);
  }

  async #endLaunches(clusterUid: string | undefined): Promise<ReadonlyMap<string, Agreed>> {
    const { agreements } = this.#components;
    const keys = [...(await agreements.list(clusterUid)).keys()];
    const ends = await sideBySide(keys, mostAtOnce, (key) => endLaunch(agreements, key));
    return new Map(keys.map((key, index) => [key, ends[index]!]));
  }

  /** Tokens that are not proven gone. */
  async #openLaunches(rows: ReadonlyMap<string, Agreed>): Promise<string[]> {
    const open = [...rows].filter(([, { row }]) => row.state === 'ending');
    const tokenOf = (key: string) => key.slice(key.lastIndexOf('/') + 1);
    const found = await this.#components.instances.find(open.map(([key]) => ({ token: tokenOf(key) })));
    const outcomes = await sideBySide(open, mostAtOnce, async ([key, agreed]) => {
      const token = tokenOf(key);
      const own = found.filter(({ machine }) => machine?.token === token);
      return (await concludeLaunch(this.#components, key, agreed, own)) ? [] : [token];
    });
    return outcomes.flat();
  }

  async #endInterfaces(clusterUid: string | undefined): Promise<string[]> {
    const { interfaces } = this.#components;
    const found = await interfaces.list(clusterUid);
    const left = await sideBySide(found, mostAtOnce, ({ networkInterfaceId, inUse }) =>
      inUse ? Promise.resolve(`${networkInterfaceId} is in use`) : interfaces.delete(networkInterfaceId),
    );
    return left.filter((each) => each !== undefined);
  }
}
