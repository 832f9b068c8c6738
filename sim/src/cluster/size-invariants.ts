/** Invariants of the ring's size: what may vote, and when that may change. */
import { formatMachineId, type RingConfiguration } from '@skep/contract';
import type { Invariant } from './invariants.ts';

const votersOf = ({ members }: RingConfiguration) => members.filter(({ voter }) => voter);
const slotsOf = (members: RingConfiguration['members']) => new Set(members.map(({ slot }) => slot));
const differing = (one: ReadonlySet<string>, other: ReadonlySet<string>) =>
  [...one].filter((slot) => !other.has(slot)).length + [...other].filter((slot) => !one.has(slot)).length;

/** Any majorities of two configurations that differ in one voter share one. */
export function theRingChangesStepByStep(): Invariant {
  return {
    id: 'the ring changes one slot at a time',
    onCommit(_world, { table, before, after }) {
      if (table !== 'ring' || before === undefined || after === undefined) return undefined;
      if (after.version !== before.version + 1)
        return `the ring went from version ${before.version} to ${after.version}`;
      const moving = after.members.filter(({ voter }) => !voter);
      if (moving.length > 1) return `${moving.map(formatMachineId).join(' and ')} are moving at once`;
      if (differing(slotsOf(votersOf(before)), slotsOf(votersOf(after))) > 1)
        return `version ${after.version} has more than one voter that came or went`;
      if (differing(slotsOf(before.members), slotsOf(after.members)) > 1)
        return `version ${after.version} has more than one member that came or went`;
      return votersOf(after).length > 0 ? undefined : 'nobody votes any more';
    },
  };
}

/**
 * Who may vote changes only once most of those who may now have adopted the ring as it is: until then the one before
 * may still elect, and its majorities need share nobody with those of the one after the next. By what machines sent,
 * not by what the control API made of it.
 */
export function votersChangeByAMajority(): Invariant {
  /** By cluster and machine: the newest version that it ever said it has. */
  const adopted = new Map<string, number>();
  return {
    id: 'who may vote changes only when most voters know who votes now',
    onRequest(_world, request) {
      if (request.kind !== 'report' || request.ring === undefined) return undefined;
      const name = `${request.uid} ${formatMachineId(request.machine)}`;
      adopted.set(name, Math.max(adopted.get(name) ?? 0, request.ring.configurationVersion));
      return undefined;
    },
    onCommit(_world, { uid, table, before, after }) {
      if (table !== 'ring' || before === undefined || after === undefined) return undefined;
      if (differing(slotsOf(votersOf(before)), slotsOf(votersOf(after))) === 0) return undefined;
      for (const voters of [votersOf(before), votersOf(after)]) {
        const know = voters.filter(
          (member) => (adopted.get(`${uid} ${formatMachineId(member)}`) ?? 0) >= before.version,
        );
        if (know.length * 2 > voters.length) continue;
        return `version ${after.version} came when ${know.length} of ${voters.length} voters had version ${before.version}`;
      }
      return undefined;
    },
  };
}
