/**
 * Which machines make up the ring, and which of them vote. The record is the control API's; nodes only
 * adopt it, newer versions over older ones, one slot's change at a time, because two majorities are sure to
 * share a voter only while neighbouring versions differ in one.
 */
import type { Address } from '../host/index.ts';
import { formatMember, type MemberId, sameMember } from './member.ts';

export interface RingConfiguration {
  /** Grows by one with each change. */
  readonly version: number;
  readonly members: readonly RingMember[];
}

export interface RingMember extends MemberId {
  /** Where the member's agent listens: UDP for the ring, TCP on the same port number. */
  readonly address: Address;
  readonly voter: boolean;
  /** This generation votes only in terms above this one: what its predecessors voted it cannot know. */
  readonly admittedAtTerm: number;
}

export type RingErrorCode = 'bad-configuration' | 'configuration-jump' | 'bad-ring-key';

export class RingError extends Error {
  readonly code: RingErrorCode;
  constructor(code: RingErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'RingError';
    this.code = code;
  }
}

/** More than any sensible ring; every table of the ring is bounded by it. */
export const MAX_MEMBERS = 128;
/** Terms, versions, generations and incarnations above this are refused: no honest ring counts that far. */
export const MAX_COUNT = 2 ** 48;

const SLOT_NAME = /^[\x21-\x7e]{1,64}$/;

/** Throws RingError `bad-configuration` with a sentence that names the first thing wrong. */
export function checkConfiguration(configuration: RingConfiguration): void {
  if (!isCount(configuration.version)) throw bad(`its version is ${configuration.version}, not a count`);
  if (configuration.members.length > MAX_MEMBERS) {
    throw bad(`it has ${configuration.members.length} members, more than ${MAX_MEMBERS}`);
  }
  const slots = new Set<string>();
  for (const member of configuration.members) {
    const name = formatMember(member);
    if (!SLOT_NAME.test(member.slot))
      throw bad(`slot "${member.slot}" is not 1 to 64 visible ASCII characters`);
    if (slots.has(member.slot)) throw bad(`slot ${member.slot} is in it twice`);
    slots.add(member.slot);
    if (!isCount(member.generation) || member.generation < 1)
      throw bad(`${name} has no generation from 1 up`);
    if (!isCount(member.admittedAtTerm)) throw bad(`${name} has no term of admission`);
    const { host, port } = member.address;
    if (host === '' || !Number.isInteger(port) || port < 1 || port > 65_535) {
      throw bad(`${name} has no usable address ("${host}", port ${port})`);
    }
  }
}

/**
 * Whether `next` is to take the place of `current`: false if it is not newer. Throws RingError
 * `configuration-jump` if a generation goes back, or if the very next version changes more than one slot.
 */
export function replacesConfiguration(current: RingConfiguration, next: RingConfiguration): boolean {
  checkConfiguration(next);
  if (next.version <= current.version) return false;
  const before = new Map(current.members.map((member) => [member.slot, member]));
  let changes = 0;
  for (const member of next.members) {
    const old = before.get(member.slot);
    before.delete(member.slot);
    if (old !== undefined && member.generation < old.generation) {
      throw jump(next, `${formatMember(old)} would go back to generation ${member.generation}`);
    }
    if (old === undefined || !sameMember(old, member) || old.voter !== member.voter) changes += 1;
  }
  changes += before.size;
  if (changes > 1 && current.members.length > 0 && next.version === current.version + 1) {
    throw jump(next, `it changes ${changes} slots at once; change one slot a version`);
  }
  return true;
}

export function findMember(configuration: RingConfiguration, member: MemberId): RingMember | undefined {
  const found = memberInSlot(configuration, member.slot);
  return found?.generation === member.generation ? found : undefined;
}

/** Whatever generation of `slot` belongs to the ring. */
export function memberInSlot(configuration: RingConfiguration, slot: string): RingMember | undefined {
  return indexOf(configuration).bySlot.get(slot);
}

/** How many votes elect: more than half of all configured voters, dead ones counted. */
export function majorityOf(configuration: RingConfiguration): number {
  return indexOf(configuration).majority;
}

interface Index {
  readonly bySlot: ReadonlyMap<string, RingMember>;
  readonly majority: number;
}

/** Looked into for every datagram; a configuration never changes, so this is made once. */
const indexes = new WeakMap<RingConfiguration, Index>();
/** The one looked into last: nearly always the one asked for. */
let indexed: RingConfiguration | undefined;
let indexOfIt: Index;

function indexOf(configuration: RingConfiguration): Index {
  if (configuration === indexed) return indexOfIt;
  let index = indexes.get(configuration);
  if (index === undefined) {
    const { members } = configuration;
    const bySlot = new Map(members.map((member) => [member.slot, member]));
    index = { bySlot, majority: Math.floor(members.filter(({ voter }) => voter).length / 2) + 1 };
    indexes.set(configuration, index);
  }
  indexed = configuration;
  indexOfIt = index;
  return index;
}

/** The members in ring order (by slot name) from the one after `self`, without `self`'s own slot. */
export function successorsOf(configuration: RingConfiguration, self: MemberId): RingMember[] {
  const others = configuration.members.filter((member) => member.slot !== self.slot);
  others.sort((a, b) => (a.slot < b.slot ? -1 : 1));
  const next = others.findIndex((member) => member.slot > self.slot);
  return next <= 0 ? others : [...others.slice(next), ...others.slice(0, next)];
}

export function isCount(value: number): boolean {
  return Number.isInteger(value) && value >= 0 && value <= MAX_COUNT;
}

function bad(what: string): RingError {
  return new RingError('bad-configuration', `The ring's configuration cannot be used: ${what}.`);
}

function jump(next: RingConfiguration, what: string): RingError {
  return new RingError('configuration-jump', `Version ${next.version} of the ring is refused: ${what}.`);
}
