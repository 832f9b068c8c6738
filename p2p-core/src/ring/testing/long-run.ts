/**
 * How often a ring of the living is wrong about its members, over many node-hours: what a detector's rules are
 * judged by. Nobody dies in these worlds, so every verdict is false, and every redeployment asked for is worse.
 */
import type { RingTiming } from '../timing.ts';
import { World } from './world.ts';

export interface LongRunOptions {
  readonly members: number;
  readonly seed: number;
  readonly nodeHours: number;
  /** Share of datagrams lost, 0 to 1. @default 0 */
  readonly loss?: number;
  /** One way. @default 25 */
  readonly latencyMs?: number;
  /** Every so often in the whole ring, one node, drawn at random, stands still for so long. */
  readonly pauses?: { readonly everyMs: number; readonly forMs: number };
  /** This many nodes stand still for 0.9 s of each second, and their timers run ten times late. @default 0 */
  readonly starved?: number;
  readonly timing?: Partial<RingTiming>;
}

export interface FalseVerdicts {
  /** Simulated; at least what was asked for. */
  readonly nodeHours: number;
  /** Members were called dead so often, counted once for each node that did. */
  readonly verdicts: number;
  /** Redeployments of the living that a leader asked for. */
  readonly replacements: number;
  readonly suspicions: number;
  /** Changes of the leader after the first. */
  readonly elections: number;
  /** Of the seed: when the first verdict was, by virtual time. */
  readonly firstVerdictMs: number | undefined;
}

const STARVED_FACTOR = 10;
const LEASE_MS = 5_000;
const HOUR_MS = 3_600_000;
const SLICE_MS = 1_000;
const STARVED_MS = 900;

/** One world of one seed for as long as it takes. */
export function falseVerdicts(options: LongRunOptions): FalseVerdicts {
  const { members, seed, pauses, starved = 0, latencyMs = 25 } = options;
  const slots = Array.from({ length: members }, (_, index) => `bootstrap-${index + 1}`);
  const starvedSlots = slots.slice(0, starved);
  const counts = { verdicts: 0, suspicions: 0, elections: -1 };
  let firstVerdictMs: number | undefined;
  const world: World = new World({
    seed,
    slots,
    latencyMs: [latencyMs, latencyMs],
    loss: options.loss ?? 0,
    leaseMs: LEASE_MS,
    timing: options.timing ?? {},
    slowTimers: new Map(starvedSlots.map((slot) => [slot, STARVED_FACTOR])),
    onEvent: ({ event }) => {
      if (event.type === 'member-suspected') counts.suspicions += 1;
      else if (event.type === 'lease-granted') counts.elections += 1;
      else if (event.type === 'member-dead') {
        counts.verdicts += 1;
        firstVerdictMs ??= world.nowMs;
      }
    },
  });
  const durationMs = (options.nodeHours * HOUR_MS) / members;
  let nextPauseMs = pauses?.everyMs ?? Number.POSITIVE_INFINITY;
  while (world.nowMs < durationMs) {
    for (const slot of starvedSlots) world.pause(slot, STARVED_MS);
    world.run(Math.min(SLICE_MS, Math.max(1, nextPauseMs - world.nowMs)));
    if (pauses === undefined || world.nowMs < nextPauseMs) continue;
    nextPauseMs += pauses.everyMs;
    world.pause(slots[Math.floor(world.chance() * members)]!, pauses.forMs);
  }
  const nodeHours = (world.nowMs * members) / HOUR_MS;
  return { nodeHours, ...counts, replacements: world.asked.length, firstVerdictMs };
}
