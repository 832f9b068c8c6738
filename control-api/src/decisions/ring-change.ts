/**
 * Decides how slots come and go, and with the bootstrap ones the size of the ring: one slot at a time, one voter
 * a step.
 *
 * Any majorities of two configurations that differ in one voter share a member; those two steps apart need not. So
 * a step is taken only when most of the present voters have reported the configuration as it is: voters refuse
 * whoever stands with an older one than theirs, so nobody is elected by the one before any more (Ongaro 2014,
 * chapter 4.1, with reports in the place of log entries). Who was elected by it before has a voter among those who
 * reported, and its term with it: from the step on all vote in terms above only.
 *
 * A member that is no voter is on its way: in, as a learner until it serves with the ring's configuration, or out,
 * if its slot is leaving.
 *
 * One that goes stops voting first, and gives up its leadership with that; then it goes out of the ring and is told
 * to finish; and its slot is forgotten once its machines are proven gone.
 */
import {
  type ClusterSpec,
  formatMachineId,
  type MachineId,
  mostBootstrap,
  type NewNode,
  type Report,
  type RingConfiguration,
  type WorkingRole,
} from '@skep/contract';
import type { SlotAddresses } from '../ports/launcher.ts';
import { firstMachine, newSlot, ringAddress } from './cluster-creation.ts';
import {
  type Change,
  type ClusterState,
  currentMachine,
  type Decided,
  type DecidedEvent,
  type Decision,
  mostChanges,
  pendingLaunches,
  put,
  type Refused,
  refuse,
  remove,
} from './decision.ts';
import { largestTermLead } from './redeployment.ts';
import { cancelled, isFinished } from './redeployment-course.ts';
import { type AboutRow, machineKey, type SlotRow } from './rows.ts';

type Member = RingConfiguration['members'][number];

/** What a member has lately reported of the ring; undefined if it is not heard. */
export type RingReports = (
  member: MachineId,
) => Pick<NonNullable<Report['ring']>, 'configurationVersion' | 'term'> | undefined;

const nothing: Decided<undefined> = { answer: undefined };

/** A further slot. A bootstrap one joins the ring at once, and votes once it can. */
export function decideAddNode(
  state: ClusterState,
  node: NewNode,
  addresses: SlotAddresses,
  now: number,
): Decision<SlotRow> {
  const { about, ring } = state;
  if (about.state === 'deleting') {
    return refuse('cluster-deleting', `${about.name} is being deleted: nothing can be added to it`);
  }
  const unknown = node.bootstrap?.find((slot) => state.slots.get(slot)?.role !== 'bootstrap');
  if (unknown !== undefined) {
    return refuse('node-not-found', `${unknown} is no bootstrap slot of ${about.name}: name one that is`);
  }
  // Another request may have been given the same addresses before either was committed.
  if ([...state.slots.values()].some((slot) => overlap(slot.addresses, addresses))) {
    return refuse('no-free-address', 'the address was taken in the meantime: ask again');
  }
  if (node.role !== 'bootstrap') {
    const { ordinal, next } = takeOrdinal(about, node.role);
    const slot: SlotRow = {
      ...newSlot(node.role, ordinal, addresses),
      ...(node.bootstrap === undefined ? {} : { bootstrap: node.bootstrap }),
    };
    return {
      answer: slot,
      changes: [put.about(next), ...firstMachine(about.spec, slot, now)],
      events: [{ kind: 'node-added', slot: slot.slot, generation: 1 }],
    };
  }
  const underWay = changing(state);
  if (underWay !== undefined) return underWay;
  if (ring.members.length >= mostBootstrap) {
    return refuse('ring-size', `${about.name} has ${ring.members.length} bootstrap slots: no ring is larger`);
  }
  const { ordinal, next: numbered } = takeOrdinal(about, 'bootstrap');
  const slot = newSlot('bootstrap', ordinal, addresses);
  const member: Member = {
    slot: slot.slot,
    generation: 1,
    address: ringAddress(addresses),
    voter: false,
    admittedAtTerm: 0,
  };
  const next = { version: ring.version + 1, members: [...ring.members, member] };
  return {
    answer: slot,
    changes: [put.about(numbered), ...firstMachine(about.spec, slot, now), put.ring(next)],
    events: [{ kind: 'node-added', slot: slot.slot, generation: 1 }, ringChanged(next, member, 'admitted')],
  };
}

/** The ordinal of a further slot of a role, which no slot had before, and how it is remembered to be taken. */
function takeOrdinal(
  about: AboutRow,
  role: WorkingRole,
): { readonly ordinal: number; readonly next: AboutRow } {
  const { spec } = about;
  // Clusters that are older than the role say nothing of it.
  const { index = 0 } = spec as Partial<ClusterSpec>;
  switch (role) {
    case 'bootstrap': {
      const ordinal = about.nextBootstrap ?? spec.bootstrap + 1;
      return { ordinal, next: { ...about, nextBootstrap: ordinal + 1 } };
    }
    case 'index': {
      const ordinal = about.nextIndex ?? index + 1;
      return { ordinal, next: { ...about, nextIndex: ordinal + 1 } };
    }
    case 'peer':
      return { ordinal: about.nextPeer, next: { ...about, nextPeer: about.nextPeer + 1 } };
  }
}

/** Begins to remove a slot. `drainMs`: how long its machine is given to finish. Asking again is harmless. */
export function decideRemoveNode(
  state: ClusterState,
  name: string,
  reports: RingReports,
  drainMs: number,
  now: number,
): Decision<SlotRow> {
  const { about, ring } = state;
  if (about.state === 'deleting') {
    return refuse('cluster-deleting', `${about.name} is being deleted, and every node with it`);
  }
  const slot = state.slots.get(name);
  if (slot === undefined) return refuse('node-not-found', `${about.name} has no slot ${name}`);
  if (slot.role === 'spare') {
    const detail = `${name} is one of the ${about.spec.spares} spares of ${about.name}, which are always made up to that number`;
    return refuse('bad-request', detail);
  }
  if (slot.leaving) return { answer: slot };
  const leaving: SlotRow = { ...slot, leaving: true };
  const member = ring.members.find((candidate) => candidate.slot === name);
  if (member === undefined) {
    return { answer: leaving, changes: dismissed(state, leaving, drainMs, now), guards: ['about'] };
  }
  // A learner that will not do can be taken back at any time: it never counted.
  if (!member.voter) {
    const next = without(ring, name);
    return {
      answer: leaving,
      changes: [put.ring(next), ...dismissed(state, leaving, drainMs, now)],
      guards: ['about'],
      events: [ringChanged(next, member, 'removed')],
    };
  }
  const underWay = changing(state);
  if (underWay !== undefined) return underWay;
  const next = withVoter(state, name, false, reports);
  if (votersOf(next).length === 0) {
    return refuse('ring-size', `${name} is the last voter of ${about.name}: a ring needs one`);
  }
  const behind = notYet(ring, next, reports);
  if (behind !== undefined) return refuse('ring-changing', behind);
  return {
    answer: leaving,
    changes: [put.slot(leaving), put.ring(next)],
    guards: ['about'],
    events: [ringChanged(next, member, 'demoted')],
  };
}

/** Whether `decideRingStep` may have anything to do. */
export function isChanging({ ring, slots }: ClusterState): boolean {
  if (ring.members.some((member) => !member.voter)) return true;
  for (const slot of slots.values()) if (slot.leaving) return true;
  return false;
}

/** The next step of what is on its way, if it is time. */
export function decideRingStep(
  state: ClusterState,
  reports: RingReports,
  drainMs: number,
  now: number,
): Decided<undefined> {
  const { about, ring, slots } = state;
  if (about.state === 'deleting') return nothing;
  const gone = [...slots.values()].find((slot) => slot.leaving && isEmptied(state, slot));
  if (gone !== undefined) return forgotten(state, gone);
  const member = ring.members.find((candidate) => !candidate.voter);
  if (member === undefined) return nothing;
  const slot = slots.get(member.slot)!;
  if (slot.leaving) {
    if (notYet(ring, ring, reports) !== undefined) return nothing;
    const next = without(ring, member.slot);
    return {
      answer: undefined,
      changes: [put.ring(next), ...dismissed(state, slot, drainMs, now)],
      guards: ['about'],
      events: [ringChanged(next, member, 'removed')],
    };
  }
  const next = withVoter(state, member.slot, true, reports);
  const ready = currentMachine(state, slot).state === 'serving' && hasAdopted(ring, member, reports);
  if (!ready || notYet(ring, next, reports) !== undefined) return nothing;
  return {
    answer: undefined,
    changes: [put.ring(next)],
    guards: ['about'],
    events: [ringChanged(next, member, 'promoted')],
  };
}

/** Why the ring cannot take its next step now, if it cannot: most voters of before and after must be there for it. */
function notYet(ring: RingConfiguration, next: RingConfiguration, reports: RingReports): string | undefined {
  for (const voters of [votersOf(ring), votersOf(next)]) {
    const ready = voters.filter((member) => hasAdopted(ring, member, reports)).length;
    if (ready * 2 > voters.length) continue;
    return `${ready} of ${voters.length} voters have lately reported version ${ring.version} of the ring, which is no majority: wait until the ring is whole, then ask again`;
  }
  return undefined;
}

function changing({ about, ring, slots }: ClusterState): Refused | undefined {
  const member = ring.members.find((candidate) => !candidate.voter);
  if (member === undefined) return undefined;
  const way = slots.get(member.slot)?.leaving ? 'leaving' : 'joining';
  return refuse(
    'ring-changing',
    `${formatMachineId(member)} is ${way} the ring of ${about.name}, which changes one slot at a time: ask again once that is done`,
  );
}

/** Its machine is told to finish, and made to end; nothing more is launched in the slot. */
function dismissed(state: ClusterState, slot: SlotRow, drainMs: number, now: number): Change[] {
  const machine = currentMachine(state, slot);
  const { slot: name, generation, attempt } = machine;
  const drains = machine.tokenSha256 !== undefined && machine.state !== 'dead';
  const redeployment = state.redeployments.get(machineKey(name, generation));
  return [
    put.slot(slot),
    ...pendingLaunches(state, machine).map((key) => remove('effects', key)),
    ...(redeployment === undefined || isFinished(redeployment)
      ? []
      : [put.redeployment(cancelled(redeployment, now))]),
    ...(machine.gone
      ? []
      : [
          put.machine({ ...machine, state: machine.state === 'dead' ? 'dead' : 'stopping' }),
          put.effect({
            kind: 'stop',
            slot: name,
            generation,
            attempt,
            notBeforeMs: drains ? now + drainMs : now,
          }),
        ]),
  ];
}

/** Out of the ring, and every machine that it ever had is proven gone. */
function isEmptied({ ring, effects, machines }: ClusterState, { slot }: SlotRow): boolean {
  if (ring.members.some((member) => member.slot === slot)) return false;
  for (const effect of effects.values()) if (effect.slot === slot) return false;
  for (const machine of machines.values()) if (machine.slot === slot && !machine.gone) return false;
  return true;
}

function forgotten(state: ClusterState, { slot, generation }: SlotRow): Decided<undefined> {
  const machines = [...state.machines].filter(([, machine]) => machine.slot === slot);
  if (machines.length >= mostChanges) {
    const old = machines.filter(([, machine]) => machine.generation < generation).slice(0, mostChanges);
    return { answer: undefined, changes: old.map(([key]) => remove('machines', key)) };
  }
  return {
    answer: undefined,
    changes: [remove('slots', slot), ...machines.map(([key]) => remove('machines', key))],
    events: [{ kind: 'node-removed', slot, generation }],
  };
}

function votersOf({ members }: RingConfiguration): readonly Member[] {
  return members.filter((member) => member.voter);
}

function hasAdopted({ version }: RingConfiguration, member: Member, reports: RingReports): boolean {
  return (reports(member)?.configurationVersion ?? 0) >= version;
}

/** The ring with one voter more or less, who all vote only above the terms that anybody knows of. */
function withVoter(
  { ring, lease }: ClusterState,
  slot: string,
  voter: boolean,
  reports: RingReports,
): RingConfiguration {
  const terms = ring.members.map((member) => reports(member)?.term ?? 0);
  const known = Math.max(lease.term, Math.min(Math.max(...terms), lease.term + largestTermLead));
  return {
    version: ring.version + 1,
    members: ring.members.map((member) => ({
      ...member,
      admittedAtTerm: Math.max(known, member.admittedAtTerm),
      voter: member.slot === slot ? voter : member.voter,
    })),
  };
}

function without({ version, members }: RingConfiguration, slot: string): RingConfiguration {
  return { version: version + 1, members: members.filter((member) => member.slot !== slot) };
}

function ringChanged(
  next: RingConfiguration,
  { slot, generation }: Member,
  change: 'admitted' | 'promoted' | 'demoted' | 'removed',
): DecidedEvent {
  const data = { change, version: next.version, members: next.members.length, voters: votersOf(next).length };
  return { kind: 'ring-changed', slot, generation, data };
}

function overlap(one: SlotAddresses, other: SlotAddresses): boolean {
  if (one.listen.host !== other.listen.host) return false;
  const ports = new Set([one.listen.port, one.ringPort, one.healthPort]);
  return [other.listen.port, other.ringPort, other.healthPort].some((port) => ports.has(port));
}
