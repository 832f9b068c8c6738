/**
 * Gives slots their addresses on this computer: free ports of one loopback address; or, for clusters that are
 * shaped or partitioned, a loopback address each. All of 127.0.0.0/8 is there on Linux without being set up.
 */
import { type Clock, type Random, randomInt } from '@skep/p2p-core/host';
import { LaunchError, type SlotAddresses } from '../ports/launcher.ts';
import { findFreePorts } from './process-ports.ts';

const portsPerSlot = 3;
const ownNetwork = '127.77';
const mostOwnHosts = 250 * 250;
/** How long addresses stay given out that nobody has said are taken. */
const givenMs = 60_000;

interface Giving {
  readonly ports: readonly number[];
  readonly hosts: readonly string[];
  readonly untilMs: number;
}

export class ProcessAddresses {
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #host: string;
  /** Given out lately: whoever asked has not had the time to say that they are taken. */
  readonly #givenPorts = new Set<number>();
  #givings: Giving[] = [];

  constructor(components: { clock: Clock; random: Random }, host: string) {
    this.#clock = components.clock;
    this.#random = components.random;
    this.#host = host;
  }

  /** As `Launcher.allocate`. */
  async allocate(
    count: number,
    taken: readonly SlotAddresses[],
    ownHosts: boolean,
  ): Promise<readonly SlotAddresses[]> {
    this.#forgetOld();
    const hosts = ownHosts ? this.#ownHosts(count, taken) : [];
    const giving = { hosts, ports: [] as number[], untilMs: this.#clock.now() + givenMs };
    // Before the ports are looked for, so that who asks meanwhile is given other hosts.
    this.#givings.push(giving);
    const takenPorts = new Set(
      taken.flatMap(({ listen, ringPort, healthPort }) => [listen.port, ringPort, healthPort]),
    );
    // What is free at the first of a slot's own hosts is free at the others, but for rare strangers.
    const host = hosts[0] ?? this.#host;
    const ports = await findFreePorts(this.#random, host, count * portsPerSlot, this.#givenPorts, takenPorts);
    if (ports === undefined) {
      throw new LaunchError(
        'no-free-address',
        ownHosts
          ? `there are no ${count * portsPerSlot} free ports on ${host}: end something that uses them; where this system has only 127.0.0.1, as others than Linux do, create the cluster without network`
          : `there are no ${count * portsPerSlot} free ports on ${host}: end something that uses them`,
      );
    }
    giving.ports.push(...ports);
    return Array.from({ length: count }, (_, index) => {
      const [listen, ring, health] = ports.slice(index * portsPerSlot);
      return {
        listen: { host: hosts[index] ?? this.#host, port: listen! },
        ringPort: ring!,
        healthPort: health!,
      };
    });
  }

  /** Drawn, so that those of another control API on this computer are seldom the same. */
  #ownHosts(count: number, taken: readonly SlotAddresses[]): string[] {
    const used = new Set([
      ...taken.map(({ listen }) => listen.host),
      ...this.#givings.flatMap(({ hosts }) => hosts),
    ]);
    if (used.size + count > mostOwnHosts / 2) {
      throw new LaunchError(
        'no-free-address',
        `there are no ${count} free addresses in ${ownNetwork}.0.0/16`,
      );
    }
    const hosts: string[] = [];
    while (hosts.length < count) {
      const index = randomInt(this.#random, mostOwnHosts);
      const host = `${ownNetwork}.${Math.floor(index / 250) + 1}.${(index % 250) + 1}`;
      if (used.has(host)) continue;
      used.add(host);
      hosts.push(host);
    }
    return hosts;
  }

  #forgetOld(): void {
    const now = this.#clock.now();
    const isOld = ({ untilMs }: Giving) => untilMs <= now;
    for (const port of this.#givings.filter(isOld).flatMap(({ ports }) => ports))
      this.#givenPorts.delete(port);
    this.#givings = this.#givings.filter((giving) => !isOld(giving));
  }
}
