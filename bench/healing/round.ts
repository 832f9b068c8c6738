/**
 * One fault in one ring, and when what followed it: read from the machines' logs and the control API's journal,
 * in the ring's own words.
 */
import { RandomStream } from '@skep/sim';
import type { TrafficFigures } from './traffic.ts';
import { type Logged, RingWorld, type RingWorldOptions } from './world.ts';

/**
 * `kill`: a follower's process ends, which the launcher sees. `silence`: a follower is cut off. `leader`: as `kill`.
 * `transfer`: the leader is asked to stop, and hands over.
 */
export const faultNames = ['kill', 'silence', 'leader', 'transfer'] as const;
export type FaultName = (typeof faultNames)[number];

/** Milliseconds from the fault; missing for what did not come about. */
export interface Round {
  /** The first survivor suspects the victim, or holds it dead without suspecting it first. */
  readonly suspectedMs: number | undefined;
  /** The last survivor holds it dead, or has been told of the ring without it. */
  readonly agreedMs: number | undefined;
  /** A survivor is elected; of a leader that died or left. */
  readonly electedMs: number | undefined;
  /** It has the lease. */
  readonly leadsMs: number | undefined;
  /** The leader's request is accepted: the slot is fenced. */
  readonly acceptedMs: number | undefined;
  /** The next generation serves. */
  readonly replacedMs: number | undefined;
  /** Machines replaced that nothing was done to. */
  readonly falseReplacements: number;
  readonly atRest: TrafficFigures;
  readonly whileHealing: TrafficFigures;
  /** Processor time per virtual second, of the whole world. */
  readonly cpuMsPerSecond: number;
}

const settleMs = 5_000;
const restMs = 10_000;
const limitMs = 60_000;
const lookMs = 500;
const afterMs = 2_000;
/** Of traffic: so that a second can be told from it. */
const leastWindowMs = 1_000;

export async function playRound(fault: FaultName, options: RingWorldOptions): Promise<Round> {
  const ring = await RingWorld.start(options);
  const random = new RandomStream(options.seed, 'benchmark');
  const cpu = process.cpuUsage();
  const cpuFromMs = ring.nowMs;
  await ring.pass(settleMs);
  const restFromMs = ring.nowMs;
  // No round of probes may know when the fault comes.
  await ring.pass(restMs + random.between(0, 1_000));
  const faultMs = ring.nowMs;
  const atRest = ring.traffic.between(restFromMs, faultMs);

  const leader = await ring.leader();
  const followers = ring.machines().filter(({ ref }) => ref.slot !== leader);
  const ofLeader = fault === 'leader' || fault === 'transfer';
  const victim = ofLeader
    ? ring.machineIn(leader)
    : followers[Math.floor(random.float() * followers.length)]!;
  const { slot } = victim.ref;
  const fromMs = ring.nowMs;
  if (fault === 'silence') ring.cutOff(victim);
  else if (fault === 'transfer') ring.fleet.terminate(victim);
  else ring.fleet.crash(victim, 'process');
  const replacedMs = await replacement(ring, slot, fromMs);
  await ring.pass(afterMs);

  const { user, system } = process.cpuUsage(cpu);
  const since = (atMs: number | undefined) => (atMs === undefined ? undefined : atMs - fromMs);
  const events = (await ring.events()).filter(({ virtualMs }) => virtualMs >= fromMs);
  const accepted = events.filter(({ kind }) => kind === 'redeployment-accepted');
  const logged = ring.logged(fromMs).filter((entry) => entry.slot !== slot);
  const name = `${slot}@1`;
  const held = logged.filter(
    ({ message, fields }) =>
      (message === 'member-suspected' || message === 'member-dead') && fields.member === name,
  );
  const first = (message: string) => earliest(logged.filter((entry) => entry.message === message));
  // Each replacement of a bootstrap node is one version of the ring.
  const versionWithout = 2 + accepted.findIndex((event) => event.slot === slot);
  return {
    suspectedMs: since(earliest(held)),
    agreedMs: since(agreement(logged, options.members - 1, name, versionWithout)),
    electedMs: ofLeader ? since(first('elected')) : undefined,
    leadsMs: ofLeader ? since(first('lease-granted')) : undefined,
    acceptedMs: since(accepted.find((event) => event.slot === slot)?.virtualMs),
    replacedMs: since(replacedMs),
    falseReplacements: accepted.filter((event) => event.slot !== slot).length,
    atRest,
    whileHealing: ring.traffic.between(fromMs, Math.max(replacedMs ?? ring.nowMs, fromMs + leastWindowMs)),
    cpuMsPerSecond: (user + system) / (ring.nowMs - cpuFromMs),
  };
}

/** Lets time pass until the slot's next generation serves; when that was, or missing after the longest wait. */
async function replacement(ring: RingWorld, slot: string, fromMs: number): Promise<number | undefined> {
  while (ring.nowMs < fromMs + limitMs) {
    await ring.pass(lookMs);
    const serving = (await ring.events()).find(
      (event) => event.kind === 'node-serving' && event.slot === slot && event.virtualMs >= fromMs,
    );
    if (serving !== undefined) return serving.virtualMs;
  }
  return undefined;
}

/** When the last of so many survivors knew; missing if one never did. */
function agreement(
  logged: readonly Logged[],
  survivors: number,
  member: string,
  versionWithout: number,
): number | undefined {
  const knewAtMs = new Map<string, number>();
  for (const { slot, atMs, message, fields } of logged) {
    const knows =
      ((message === 'member-dead' || message === 'member-left') && fields.member === member) ||
      (message === 'configuration-adopted' && Number(fields.version) >= versionWithout);
    if (knows) knewAtMs.set(slot, Math.min(atMs, knewAtMs.get(slot) ?? atMs));
  }
  return knewAtMs.size === survivors ? Math.max(...knewAtMs.values()) : undefined;
}

function earliest(entries: readonly Logged[]): number | undefined {
  return entries.length === 0 ? undefined : Math.min(...entries.map(({ atMs }) => atMs));
}
