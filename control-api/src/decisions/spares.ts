/**
 * Warm spares: machines that were launched before they were needed. One that is assigned to a slot runs on as that
 * slot's machine, in the place that it was launched in, and so the launcher knows it by the spare's name until it is
 * gone: whoever speaks to the launcher of a machine asks `refOf` for its name first, and `dwellerOf` whom it means.
 *
 * The spare is fenced by the commit that assigns it, as any machine is that is replaced, and no later one finds it.
 * Its slot's next machine is launched once the spare is no spare any more: as it has joined as another, or is proven
 * gone.
 */
import { type Change, type ClusterState, currentMachine, put, remove } from './decision.ts';
import { placementFor } from './placement.ts';
import { type Attempt, effectKey, type MachineRow, machineKey, type SlotRow } from './rows.ts';

/** How long a pool waits before it makes up for an assigned spare, whose host may still be busy with its new part. */
const refillAfterMs = 1_000;
/** How many old generations of a slot are remembered. */
const rememberedGenerations = 8;

type Machines = Pick<ClusterState, 'machines'>;

/** The name by which the launcher knows an attempt's machine. */
export function refOf(state: Machines, { slot, generation, attempt }: Attempt): Attempt {
  return spareOf(state, { slot, generation, attempt }) ?? { slot, generation, attempt };
}

/** Whether the machine's present attempt is one that took over a spare. */
export function livesInSpare({ attempt, livesIn }: MachineRow): boolean {
  return attempt === 1 && livesIn !== undefined;
}

/** The spare that an attempt took over. Whoever takes one over does so as its generation's first attempt. */
function spareOf({ machines }: Machines, { slot, generation, attempt }: Attempt): Attempt | undefined {
  return attempt === 1 ? machines.get(machineKey(slot, generation))?.livesIn : undefined;
}

/** The attempt whose machine the launcher knows by a name. */
export function dwellerOf(state: Machines, { slot, generation, attempt }: Attempt): Attempt {
  const taker = takerOf(state, { slot, generation, attempt });
  return taker === undefined
    ? { slot, generation, attempt }
    : { slot: taker.slot, generation: taker.generation, attempt: 1 };
}

/** The generation that took a spare's machine over, if one did. */
function takerOf({ machines }: Machines, { slot, generation, attempt }: Attempt): MachineRow | undefined {
  if (!slot.startsWith('spare-')) return undefined;
  for (const machine of machines.values()) {
    const { livesIn } = machine;
    if (livesIn?.slot === slot && livesIn.generation === generation && livesIn.attempt === attempt)
      return machine;
  }
  return undefined;
}

/** What a spare that was assigned is still to become; undefined of all other machines. */
export function becoming(state: ClusterState, spare: MachineRow): MachineRow | undefined {
  if (spare.state !== 'stopping' || spare.gone || state.about.state === 'deleting') return undefined;
  const taker = takerOf(state, spare);
  if (taker === undefined || taker.attempt !== 1 || taker.state === 'stopping') return undefined;
  const isPresent = state.slots.get(taker.slot)?.generation === taker.generation;
  return isPresent && taker.tokenSha256 === undefined ? taker : undefined;
}

/**
 * The spare that takes a slot over, if one can: it serves, is in the zone that the slot's machine is to be in, and is
 * among the `heard` (machine keys). The same for the same state, whoever asks.
 */
export function chooseSpare(
  state: ClusterState,
  slot: SlotRow,
  heard: ReadonlySet<string>,
): MachineRow | undefined {
  if (heard.size === 0 || slot.role === 'spare') return undefined;
  const zone = placementFor(state.about.spec, slot, 1)?.zone;
  return [...state.slots.values()]
    .filter(({ role, held, leaving }) => role === 'spare' && !held && !leaving)
    .sort((one, other) => one.ordinal - other.ordinal)
    .map((spare) => currentMachine(state, spare))
    .find(
      (machine) =>
        machine.state === 'serving' &&
        !machine.gone &&
        machine.placement?.zone === zone &&
        heard.has(machineKey(machine.slot, machine.generation)),
    );
}

/** What becomes of the pool as one of its spares is assigned: it is fenced, and its slot waits for its next machine. */
export function taken(state: ClusterState, spare: MachineRow, now: number): Change[] {
  const slot = state.slots.get(spare.slot)!;
  return [put.machine({ ...spare, state: 'stopping' }), ...nextSpare(state, slot, now)];
}

/** A spare's slot in its next generation, of which nothing is launched yet. */
export function nextSpare(state: ClusterState, slot: SlotRow, now: number): Change[] {
  const generation = slot.generation + 1;
  const placement = placementFor(state.about.spec, slot, 1);
  const oldest = state.machines.get(machineKey(slot.slot, generation - rememberedGenerations));
  return [
    put.slot({ ...slot, generation }),
    put.machine({
      slot: slot.slot,
      generation,
      attempt: 1,
      state: 'launching',
      sinceMs: now,
      eventsTaken: 0,
      gone: false,
      ...(placement === undefined ? {} : { placement }),
    }),
    ...(oldest?.gone ? [remove('machines', machineKey(oldest.slot, oldest.generation))] : []),
  ];
}

/**
 * What follows for the pool when an attempt has joined, or is proven gone, if it took over a spare: the spare is over,
 * and made up for.
 */
export function released(state: ClusterState, attempt: Attempt, now: number): Change[] {
  const livesIn = spareOf(state, attempt);
  if (livesIn === undefined) return [];
  const spare = state.machines.get(machineKey(livesIn.slot, livesIn.generation));
  if (spare === undefined || spare.gone) return [];
  return [
    put.machine({ ...spare, state: 'stopped', gone: true }),
    ...refilled(state, state.slots.get(livesIn.slot), livesIn.generation + 1, now),
  ];
}

/** Launches what a spare's slot has waited for since its last machine was assigned. */
function refilled(
  { about, machines, effects }: ClusterState,
  slot: SlotRow | undefined,
  generation: number,
  now: number,
): Change[] {
  if (slot?.generation !== generation || slot.held || slot.leaving || about.state === 'deleting') return [];
  const launch = { kind: 'launch', slot: slot.slot, generation, attempt: 1 } as const;
  const machine = machines.get(machineKey(slot.slot, generation));
  const isBegun = machine?.attempt !== 1 || machine.name !== undefined || effects.has(effectKey(launch));
  return isBegun ? [] : [put.effect({ ...launch, notBeforeMs: now + refillAfterMs })];
}
