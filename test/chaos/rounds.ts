/**
 * Rounds of one fault each in one long-lived cluster of real processes, at the default settings: what became of
 * it, and what is wrong afterwards, by the process list and not by what anybody says alone.
 */
import type { NodeView, RedeploymentView } from '@skep/contract';
import { fromHex } from '@skep/p2p-core/bytes';
import { isAlive, type ProcessIdentity, signalProcess } from '@skep/p2p-core/process-identity';
import { type FaultOfProcess, type Phases, phasesOf } from '../../bench/healing/processes.ts';
import { lookUpThrough } from '../../cli/src/demo/lookup.ts';
import { ChaosCluster, type Remains, type Spec } from './cluster.ts';
import { shareContent } from './content.ts';
import type { Dice } from './dice.ts';
import { pause, until } from './waiting.ts';

export const roundKinds = {
  follower: 'kill -9 of a follower',
  leader: 'kill -9 of the leader',
  spare: 'kill -9 of any bootstrap node, whose slot a warm spare takes over',
  both: 'kill -9 of the leader and a follower together',
  majority: 'kill -9 of three of five, the leader among them',
  'api-down': 'kill -9 of a bootstrap node while the control API is away',
  pause5: 'SIGSTOP of any node for 5 s, after which nobody may be replaced',
  pause60: 'SIGSTOP of a bootstrap node for 60 s, or until it is ended',
  zombie: 'SIGSTOP of a bootstrap node for 60 s where no launcher reaches it: replaced elsewhere, it goes on',
  cut: 'a bootstrap node cut off by the network, until it is gone',
} as const;
export type RoundKind = keyof typeof roundKinds;

export interface PlayedRound {
  /** Of each victim. */
  readonly victims: readonly (Phases & { readonly slot: string })[];
  /** In sentences; none is how it should be. */
  readonly wrong: readonly string[];
}

interface Victim extends FaultOfProcess {
  readonly process: ProcessIdentity;
}

const bootstrap = 5;
const peers = 2;
/** Defaults but for the budgets: a slot may be replaced in every round. */
const spec: Spec = { bootstrap, peers, redeploymentsPerSlot: 100, redeploymentsPerCluster: 1_000 };
const graceMs = 6_000;
const shortPauseMs = 5_000;
const longPauseMs = 60_000;
/** After a short pause: what it might still lead to has come. */
const aftermathMs = 2_000;
const longestAwayMs = 3_000;
const quietMs = 1_000;
const healingMs = 120_000;
const cutMs = 120_000;
const zombieMs = 10_000;
const seedSlot = 'peer-1';

export class ChaosRounds {
  readonly #cluster: ChaosCluster;
  readonly #kind: RoundKind;
  readonly #dice: Dice;
  readonly #infoHash: Uint8Array;
  /** What ends a fault that lasts. */
  #meanwhile: Promise<void> = Promise.resolve();
  /** The nodes as the last round left them. */
  #calmed: NodeView[] | undefined;
  /** When the control API was back, by the wall clock, if it was away in this round. */
  #apiBackAtMs: number | undefined;
  /** Of this round's zombies: the newest event when they went on, and how long until they had ended themselves. */
  #wentOn: { readonly after: number; readonly endedMs: readonly number[] } | undefined;

  private constructor(cluster: ChaosCluster, kind: RoundKind, dice: Dice, infoHash: Uint8Array) {
    this.#cluster = cluster;
    this.#kind = kind;
    this.#dice = dice;
    this.#infoHash = infoHash;
  }

  /** A cluster for rounds of one kind, with something in its DHT to look up. */
  static async start(kind: RoundKind, dice: Dice): Promise<ChaosRounds> {
    const cluster = await startCluster(kind);
    try {
      const content = await shareContent(cluster, { name: 'sought.bin', length: 2 ** 20, seedSlot });
      await until(
        'the content to be everywhere',
        async () => (await cluster.nodes())?.filter(({ torrents }) => torrents[0]?.sha256).length === peers,
      );
      return new ChaosRounds(cluster, kind, dice, fromHex(content.infoHash)!);
    } catch (error) {
      await cluster.end();
      throw error;
    }
  }

  end(): Promise<Remains> {
    return this.#cluster.end();
  }

  /** Rejects only if the cluster is beyond a next round. */
  async play(): Promise<PlayedRound> {
    const kind = this.#kind;
    const before = this.#calmed ?? (await this.#calm());
    this.#calmed = undefined;
    this.#wentOn = undefined;
    this.#apiBackAtMs = undefined;
    const known = new Set((await this.#cluster.redeployments()).map(({ id }) => id));
    const from = await this.#cluster.newest();
    const leader = await this.#cluster.awaitLeader();
    const slots = this.#choose(leader.slot);
    const atMs = Date.now();
    const victims = await this.#harm(slots, (slot, process) => {
      const { generation } = before.find((node) => node.slot === slot)!;
      return { slot, generation, process, atMs, ...(slot === leader.slot ? { term: leader.term } : {}) };
    });
    const [lookups] = await Promise.all([kind === 'pause5' ? [] : this.#healed(victims), this.#meanwhile]);
    const after = await this.#calm();
    this.#calmed = after;
    const redeployments = (await this.#cluster.redeployments()).filter(({ id }) => !known.has(id));
    const events = (await this.#cluster.readEvents()).filter(({ sequence }) => sequence > from);
    const expected = kind === 'pause5' ? [] : victims;
    return {
      victims: victims.map((victim, index) => ({
        slot: victim.slot,
        ...phasesOf(victim, events, replacing(victim, redeployments), lookups[index]),
        ...(this.#apiBackAtMs === undefined ? {} : { apiMs: this.#apiBackAtMs - victim.atMs }),
        ...(this.#wentOn === undefined ? {} : { zombieMs: this.#wentOn.endedMs[index]! }),
      })),
      wrong: [
        ...this.#wrongProcesses(after),
        ...wrongReplacements(expected, redeployments, before, after),
        ...(kind === 'spare' ? wrongTakeovers(redeployments, before, after) : []),
        ...expected.flatMap(({ process, slot }) =>
          isAlive(process) ? [`${slot}: the replaced process ${process.pid} lives`] : [],
        ),
        ...(await this.#wrongZombies(victims)),
      ],
    };
  }

  // ---------------------------------------------------------------- harm

  #choose(leader: string): string[] {
    const ring = Array.from({ length: bootstrap }, (_, index) => `bootstrap-${index + 1}`);
    const followers = ring.filter((slot) => slot !== leader);
    switch (this.#kind) {
      case 'follower':
        return this.#dice.pick(followers, 1);
      case 'leader':
        return [leader];
      case 'both':
        return [leader, ...this.#dice.pick(followers, 1)];
      case 'majority':
        return [leader, ...this.#dice.pick(followers, 2)];
      case 'pause5':
        return this.#dice.pick(
          [...ring, ...Array.from({ length: peers }, (_, index) => `peer-${index + 1}`)],
          1,
        );
      default:
        return this.#dice.pick(ring, 1);
    }
  }

  /** Does it, and gives who suffered it. */
  async #harm(
    slots: readonly string[],
    named: (slot: string, process: ProcessIdentity) => Victim,
  ): Promise<Victim[]> {
    const cluster = this.#cluster;
    const all = (processes: readonly ProcessIdentity[]) =>
      slots.map((slot, index) => named(slot, processes[index]!));
    switch (this.#kind) {
      case 'pause5': {
        const victims = all(await cluster.signalAll(slots, 'SIGSTOP'));
        await pause(shortPauseMs);
        for (const { process } of victims) signalProcess(process, 'SIGCONT');
        await pause(graceMs - shortPauseMs + aftermathMs);
        return victims;
      }
      case 'pause60': {
        const victims = all(await cluster.signalAll(slots, 'SIGSTOP'));
        this.#meanwhile = this.#resume(victims);
        return victims;
      }
      case 'zombie': {
        const victims = all(await cluster.signalAll(slots, 'SIGSTOP'));
        this.#meanwhile = this.#haunt(victims);
        return victims;
      }
      case 'api-down': {
        const processes = await Promise.all(slots.map((slot) => cluster.processOf(slot)));
        await cluster.killApi();
        const victims = all(processes.map((process) => process!));
        for (const { process } of victims) signalProcess(process, 'SIGKILL');
        await pause(this.#dice.below(longestAwayMs));
        await cluster.startApi();
        this.#apiBackAtMs = Date.now();
        return victims;
      }
      case 'cut': {
        const processes = await Promise.all(slots.map((slot) => cluster.processOf(slot)));
        const victims = all(processes.map((process) => process!));
        const { id } = await cluster.api.injectFault({
          params: cluster.params,
          body: { kind: 'partition', nodes: [...slots], way: 'both', forMs: cutMs },
        });
        this.#meanwhile = this.#reconnect(id, victims);
        return victims;
      }
      default:
        return all(await cluster.signalAll(slots, 'SIGKILL'));
    }
  }

  /** After the long pause whoever still stands still goes on. */
  async #resume(victims: readonly Victim[]): Promise<void> {
    const untilMs = performance.now() + longPauseMs;
    while (performance.now() < untilMs && victims.some(({ process }) => isAlive(process))) await pause(100);
    for (const { process } of victims) signalProcess(process, 'SIGCONT');
  }

  /** After the long pause they go on, and must end by themselves. */
  async #haunt(victims: readonly Victim[]): Promise<void> {
    await pause(longPauseMs);
    const after = await this.#cluster.newest();
    const fromMs = performance.now();
    for (const { process } of victims) signalProcess(process, 'SIGCONT');
    const ended = victims.map(async ({ process }) => {
      await until('the zombie to end itself', () => !isAlive(process), { timeoutMs: zombieMs });
      return performance.now() - fromMs;
    });
    this.#wentOn = { after, endedMs: await Promise.all(ended) };
  }

  /** The fault is the slot's and would befall its next machine too. */
  async #reconnect(fault: string, victims: readonly Victim[]): Promise<void> {
    await until('the machine to be gone', () => victims.every(({ process }) => !isAlive(process)), {
      timeoutMs: cutMs,
    });
    await this.#cluster.api.cancelFault({ params: { ...this.#cluster.params, fault } });
  }

  // ---------------------------------------------------------------- healing

  /** When each of them was replaced by a machine that answered a lookup well: wall clock. */
  #healed(victims: readonly Victim[]): Promise<number[]> {
    return Promise.all(
      victims.map(async ({ slot, generation }) => {
        const isServing = async () =>
          (await this.#cluster.nodes())?.find(
            (node) => node.slot === slot && node.generation > generation && node.state === 'serving',
          );
        const options = { timeoutMs: healingMs, state: () => this.#cluster.describe() };
        const { address } = await until(`${slot} to be replaced`, isServing, options);
        await this.#lookUp(address);
        return Date.now();
      }),
    );
  }

  async #lookUp(through: NodeView['address']): Promise<void> {
    const nodes = (await this.#cluster.nodes()) ?? [];
    const expected = nodes.filter(({ role }) => role === 'peer').map(({ address }) => address);
    const signal = AbortSignal.timeout(healingMs);
    await lookUpThrough(this.#cluster.host, { through, infoHash: this.#infoHash, expected, signal });
  }

  /** Everything serves, every redeployment is over, the ring leads, and nothing has changed for a while. */
  async #calm(): Promise<NodeView[]> {
    const cluster = this.#cluster;
    await until(
      'every redeployment to be over',
      async () => (await cluster.redeployments()).every(({ state }) => state === 'complete'),
      { timeoutMs: healingMs, state: () => cluster.describe() },
    );
    await cluster.awaitServing();
    await cluster.awaitLeader();
    // No round of probes or reports may know when the next fault comes.
    await pause(quietMs + this.#dice.below(quietMs));
    return cluster.awaitServing();
  }

  /** A zombie says itself why it ended, and neither it nor anybody who followed it is in the journal. */
  async #wrongZombies(victims: readonly Victim[]): Promise<string[]> {
    if (this.#wentOn === undefined) return [];
    const { after } = this.#wentOn;
    const since = (await this.#cluster.readEvents()).filter(({ sequence }) => sequence > after);
    const wrong = victims.map(async ({ slot, generation }) => {
      const name = `${slot}@${generation}`;
      const log = await this.#cluster.log(slot, generation);
      const heeded = since.filter(
        (event) =>
          (event.slot === slot && event.generation === generation) ||
          [event.data.leader, event.data.holder, event.data.candidate, event.data.by].includes(name),
      );
      return [
        ...(log.includes('"message":"ended","reason":"over"') ? [] : [`${name} did not end as over`]),
        ...heeded.map((event) => `${name} was heeded after its end: ${JSON.stringify(event)}`),
      ];
    });
    return (await Promise.all(wrong)).flat();
  }

  #wrongProcesses(nodes: readonly NodeView[]): string[] {
    const told = nodes.map(({ slot, generation, machine }) => `${slot}@${generation} is ${machine}`).sort();
    const living = this.#cluster
      .machines()
      .map(({ slot, generation, process }) => `${slot}@${generation} is ${process.pid}`)
      .sort();
    return told.join() === living.join()
      ? []
      : [`the control API says ${told.join(', ')}; the process list says ${living.join(', ')}`];
  }
}

function startCluster(kind: RoundKind): Promise<ChaosCluster> {
  // Only machines in a network of their own can be cut off.
  if (kind === 'cut') return ChaosCluster.start({ ...spec, network: {} });
  // One that stood still for a minute is to end because it is over, and not because it was alone for so long.
  if (kind === 'zombie')
    return ChaosCluster.start({ ...spec, orphanMs: 300_000 }, { preload: './out-of-reach.ts' });
  return ChaosCluster.start({ ...spec, ...(kind === 'spare' ? { spares: 1 } : {}) });
}

function replacing({ slot, generation }: FaultOfProcess, redeployments: readonly RedeploymentView[]) {
  return redeployments.find((each) => each.slot === slot && each.fromGeneration === generation);
}

/** Each victim was replaced once, proven gone, and nobody else was. */
function wrongReplacements(
  victims: readonly Victim[],
  redeployments: readonly RedeploymentView[],
  before: readonly NodeView[],
  after: readonly NodeView[],
): string[] {
  const expected = victims.map(({ slot, generation }) => `${slot}@${generation}`).sort();
  const replaced = redeployments.map(({ slot, fromGeneration }) => `${slot}@${fromGeneration}`).sort();
  const wrong = redeployments
    .filter(({ times }) => times.goneMs === undefined)
    .map(({ id }) => `${id} is complete, and its predecessor not proven gone`);
  if (expected.join() !== replaced.join()) {
    wrong.push(`${replaced.join(', ') || 'nobody'} replaced, not ${expected.join(', ') || 'nobody'}`);
  }
  const generations = (nodes: readonly NodeView[]) =>
    nodes.map(({ slot, generation }) => `${slot}@${generation}`).sort();
  const grown = before.map(({ slot, generation }) => {
    const isVictim = victims.some((victim) => victim.slot === slot);
    const isTaken = redeployments.some(({ spare }) => spare === slot);
    return `${slot}@${isVictim || isTaken ? generation + 1 : generation}`;
  });
  if (grown.sort().join() !== generations(after).join()) {
    wrong.push(`${generations(after).join(', ')} live in the end, not ${grown.join(', ')}`);
  }
  return wrong;
}

/** Each of them was taken over by the process of the spare. */
function wrongTakeovers(
  redeployments: readonly RedeploymentView[],
  before: readonly NodeView[],
  after: readonly NodeView[],
): string[] {
  return redeployments.flatMap(({ id, slot, spare }) => {
    const idle = before.find((node) => node.slot === spare)?.machine;
    const present = after.find((node) => node.slot === slot)?.machine;
    return idle !== undefined && idle === present ? [] : [`${id} is ${present}, not the spare, ${idle}`];
  });
}
