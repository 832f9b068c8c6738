/** Decides what a new cluster is made of, and what a new slot. */
import type { ClusterSpec, RingConfiguration, Role } from '@skep/contract';
import type { SlotAddresses } from '../ports/launcher.ts';
import { type Change, type Decided, put } from './decision.ts';
import { placementFor } from './placement.ts';
import type { SlotRow } from './rows.ts';

/** How many addresses a new cluster needs. */
export function slotCount(spec: ClusterSpec): number {
  return spec.bootstrap + spec.index + spec.peers + spec.spares;
}

/** In which zone each address of a new cluster is wanted, in the order in which its slots take them. */
export function slotZones(spec: ClusterSpec): (string | undefined)[] {
  const { bootstrap, index, peers, spares } = spec;
  return [bootstrap, index, peers, spares].flatMap((count) =>
    Array.from({ length: count }, (_, at) => placementFor(spec, { ordinal: at + 1 }, 1)?.zone),
  );
}

/** Everything of a new cluster: slots, their first machines and launches, the first ring. */
export function decideCreateCluster(
  spec: ClusterSpec,
  uid: string,
  addresses: readonly SlotAddresses[],
  now: number,
): Decided<undefined> {
  const left = [...addresses];
  const slotsOf = (role: Role, count: number) =>
    left.splice(0, count).map((each, index) => newSlot(role, index + 1, each));
  const slots = [
    ...slotsOf('bootstrap', spec.bootstrap),
    ...slotsOf('index', spec.index),
    ...slotsOf('peer', spec.peers),
    ...slotsOf('spare', spec.spares),
  ];
  return {
    answer: undefined,
    changes: [
      put.about({
        name: spec.name,
        uid,
        spec,
        state: 'active',
        createdAtMs: now,
        nextPeer: spec.peers + 1,
      }),
      put.lease({ term: 0, holder: '', untilMs: now }),
      put.ring(firstRing(slots)),
      ...slots.flatMap((slot) => firstMachine(spec, slot, now)),
    ],
    events: [
      {
        kind: 'cluster-created',
        data: {
          bootstrap: spec.bootstrap,
          ...(spec.index === 0 ? {} : { index: spec.index }),
          peers: spec.peers,
          ...(spec.spares === 0 ? {} : { spares: spec.spares }),
        },
      },
    ],
  };
}

/** A slot before its first machine was launched. */
export function newSlot(role: Role, ordinal: number, addresses: SlotAddresses): SlotRow {
  return { slot: `${role}-${ordinal}`, role, ordinal, addresses, generation: 1 };
}

/** A new slot's rows: its first machine is to be launched. */
export function firstMachine(spec: ClusterSpec, slot: SlotRow, now: number): Change[] {
  const machine = { slot: slot.slot, generation: 1, attempt: 1 };
  const placement = placementFor(spec, slot, machine.attempt);
  return [
    put.slot(slot),
    put.machine({
      ...machine,
      state: 'launching',
      sinceMs: now,
      eventsTaken: 0,
      gone: false,
      ...(placement === undefined ? {} : { placement }),
    }),
    put.effect({ ...machine, kind: 'launch', notBeforeMs: now }),
  ];
}

function firstRing(slots: readonly SlotRow[]): RingConfiguration {
  const members = slots
    .filter(({ role }) => role === 'bootstrap')
    .map(({ slot, generation, addresses }) => ({
      slot,
      generation,
      address: ringAddress(addresses),
      voter: true,
      admittedAtTerm: 0,
    }));
  return { version: 1, members };
}

/** Where a slot's machine hears the ring. */
export function ringAddress({ listen, ringPort }: SlotAddresses): { host: string; port: number } {
  return { host: listen.host, port: ringPort };
}
