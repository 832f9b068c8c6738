/**
 * The standing commands of a machine: pure in the cluster's rows, so that whoever asks twice is told the same,
 * and a lost answer costs nothing.
 */
import type { Command, MachineId } from '@skep/contract';
import { baseConditions, faultConditions, type Surroundings } from './conditions.ts';
import type { ClusterState } from './decision.ts';
import { metainfoOf } from './metainfo-parts.ts';
import { type MachineRow, machineKey, type SlotRow, type TorrentRow } from './rows.ts';
import { selfTestCommand } from './self-tests.ts';
import { becoming } from './spares.ts';

/** A machine that is heard no more, and since when. */
export interface Silent extends MachineId {
  readonly sinceMs: number;
}

/**
 * All that the machine should be doing now. The time tells only the ages of faults and silences. `silent`: the
 * machines of no ring that the control API hears no more, which leaders are to have replaced.
 */
export function commandsFor(
  state: ClusterState,
  machine: MachineRow,
  surroundings: Surroundings,
  now: number,
  silent: readonly Silent[] = [],
): readonly Command[] {
  const slot = state.slots.get(machine.slot);
  // Whoever knows its secret tells it what to become, once the launcher is ready for it.
  if (slot?.role === 'spare' && becoming(state, machine) !== undefined) return [];
  if (slot === undefined || slot.generation !== machine.generation || machine.state === 'dead') {
    return [{ kind: 'stop', reason: 'over' }];
  }
  const isRemoved = slot.leaving && machine.state === 'stopping';
  if (state.about.state === 'deleting' || slot.held || isRemoved)
    return [{ kind: 'stop', reason: 'drained' }];
  const endured = endure(state, slot, surroundings, now);
  if (slot.role === 'spare') return endured;
  const commands: Command[] = [
    { kind: 'bootstrap-from', addresses: bootstrapAddresses(state, slot) },
    ...endured,
    ...selfTested(state, machine),
  ];
  if (slot.role === 'bootstrap') {
    commands.push({ kind: 'form-ring', configuration: state.ring });
    commands.push({ kind: 'heed-deaths', deaths: knownDeaths(state), ...silences(silent, now) });
  } else if (slot.role === 'peer') {
    for (const torrent of state.torrents.values()) {
      const command = holdTorrent(state, torrent, slot.slot);
      if (command !== undefined) commands.push(command);
    }
  }
  return commands;
}

/**
 * An infohash stands for the metainfo, a fault's id for what it does to the machine, and its version for the ring's
 * configuration: all three can be large. The ages of faults and silences change all the time.
 */
const namedOtherwise: ReadonlySet<string> = new Set([
  'metainfo',
  'conditions',
  'members',
  'ageMs',
  'silentMs',
]);

/** Deaths and silences beyond this many are told once these are healed. */
const mostTold = 1_000;

/** A short name of a list of commands: equal exactly if they are. `hash` is SHA-256 to hexadecimal. */
export function revisionOf(commands: readonly Command[], hash: (text: string) => string): string {
  const texts = commands.map((command) =>
    command.kind === 'bootstrap-from'
      ? command.addresses.map(({ host, port }) => `${host} ${port}`).join()
      : JSON.stringify(command, (key, value) => (namedOtherwise.has(key) ? true : value)),
  );
  return hash(texts.join('\n')).slice(0, 16);
}

/** Only those that can answer: a change of this list is also the sign to ask them. */
function bootstrapAddresses(state: ClusterState, slot: SlotRow) {
  // Slots that it was to join through may have been removed since: then any other will do.
  const named = slot.bootstrap?.filter((name) => state.slots.has(name)) ?? [];
  // Bootstrap slots are members of the ring; looking there spares a look at thousands of peers.
  return state.ring.members
    .filter((member) => {
      if (member.slot === slot.slot) return false;
      if (named.length > 0 && !named.includes(member.slot)) return false;
      const machine = state.machines.get(machineKey(member.slot, member.generation));
      return machine?.state === 'joined' || machine?.state === 'serving';
    })
    .map((member) => state.slots.get(member.slot)!.addresses.listen);
}

function endure(
  { about, slots, faults }: ClusterState,
  slot: SlotRow,
  surroundings: Surroundings,
  now: number,
): Command[] {
  const { network } = about.spec;
  if (network === undefined) return [];
  const base = baseConditions(network, slots, slot, surroundings);
  const borne = [...faults.values()].flatMap(({ id, fault, state, injectedAtMs, untilMs }) => {
    if (state !== 'active') return [];
    const conditions = faultConditions(fault, slots, slot.slot, surroundings);
    if (conditions === undefined) return [];
    return [{ id, conditions, forMs: untilMs - injectedAtMs, ageMs: Math.max(0, now - injectedAtMs) }];
  });
  if (borne.length === 0 && Object.keys(base).length === 0) return [];
  return [{ kind: 'endure', base, faults: borne }];
}

function selfTested(state: ClusterState, machine: MachineRow): Command[] {
  const command = selfTestCommand(state, machine);
  return command === undefined ? [] : [command];
}

function knownDeaths(state: ClusterState) {
  const deaths: { machine: MachineId; evidence: string }[] = [];
  for (const { slot, generation, state: at, reason } of state.machines.values()) {
    if (at !== 'dead' || deaths.length >= mostTold) continue;
    const row = state.slots.get(slot);
    if (row?.generation !== generation) continue;
    if (row.role !== 'bootstrap' && !state.about.spec.heal.includes(row.role)) continue;
    deaths.push({ machine: { slot, generation }, evidence: reason ?? 'exited' });
  }
  return deaths;
}

function silences(silent: readonly Silent[], now: number) {
  if (silent.length === 0) return {};
  const told = silent.slice(0, mostTold).map(({ slot, generation, sinceMs }) => ({
    machine: { slot, generation },
    silentMs: Math.max(0, now - sinceMs),
  }));
  return { silent: told };
}

function holdTorrent(state: ClusterState, torrent: TorrentRow, slot: string): Command | undefined {
  const { infoHash, magnet } = torrent;
  const seed = torrent.seeds.find((candidate) => candidate.slot === slot);
  if (seed !== undefined) {
    const { slot: _, ...content } = seed;
    return { kind: 'hold-torrent', infoHash, magnet, metainfo: metainfoOf(state, torrent), ...content };
  }
  if (torrent.leeches === 'all' || torrent.leeches.includes(slot)) {
    return { kind: 'hold-torrent', infoHash, magnet };
  }
  return undefined;
}
