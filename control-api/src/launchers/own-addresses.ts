/**
 * Gives addresses to slots whose machines have a host each, so that all listen at the same ports. Whoever asks has not
 * had the time yet to say that they are taken, so what was given lately is not given again.
 */
import type { Clock } from '@skep/p2p-core/host';
import type { SlotAddresses } from '../ports/launcher.ts';

/** Where a machine listens that has a host to itself. */
export const slotPorts = { listen: 6_881, ring: 6_882, health: 6_883 } as const;

/** How long addresses stay given out that nobody has said are taken. */
const givenMs = 60_000;

export class OwnAddresses {
  readonly #clock: Clock;
  /** Hosts, and until when they count as taken. */
  readonly #given = new Map<string, number>();

  constructor(components: { clock: Clock }) {
    this.#clock = components.clock;
  }

  /** `choose` is told which hosts there are no more; what it throws is thrown. */
  give(
    taken: readonly SlotAddresses[],
    choose: (unfree: ReadonlySet<string>) => readonly string[],
  ): readonly SlotAddresses[] {
    const now = this.#clock.now();
    for (const [host, untilMs] of this.#given) if (untilMs <= now) this.#given.delete(host);
    const hosts = choose(new Set([...taken.map(({ listen }) => listen.host), ...this.#given.keys()]));
    for (const host of hosts) this.#given.set(host, now + givenMs);
    return hosts.map((host) => ({
      listen: { host, port: slotPorts.listen },
      ringPort: slotPorts.ring,
      healthPort: slotPorts.health,
    }));
  }
}
