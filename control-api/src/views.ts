/** What the API shows of a cluster: its rows, joined with what its machines report. */
import type { ClusterView, FaultView, LeaseView, NodeView, SelfTestRun, TorrentView } from '@skep/contract';
import { type ClusterState, currentMachine } from './decisions/decision.ts';
import { isHeld } from './decisions/lease.ts';
import type { FaultRow, LeaseRow, SlotRow, TestRow, TorrentRow } from './decisions/rows.ts';
import { resultsOf } from './decisions/self-tests.ts';
import type { Liveness } from './liveness.ts';

export function leaseView(lease: LeaseRow, now: number): LeaseView {
  return {
    term: lease.term,
    held: isHeld(lease, now),
    ...(lease.term === 0 ? {} : { holder: lease.holder }),
  };
}

export function nodeView(state: ClusterState, slot: SlotRow, liveness: Liveness, now: number): NodeView {
  const machine = currentMachine(state, slot);
  const heard = liveness.of(state.about.uid, machine);
  const report = heard?.report;
  return {
    slot: slot.slot,
    role: slot.role,
    generation: machine.generation,
    attempt: machine.attempt,
    state: machine.state,
    address: slot.addresses.listen,
    ...(machine.name === undefined ? {} : { machine: machine.name }),
    ...(machine.placement === undefined ? {} : { placement: machine.placement }),
    ...movingOf(state, slot),
    ...(slot.held ? { held: true as const } : {}),
    ...(machine.reason === undefined ? {} : { reason: machine.reason }),
    ...(heard === undefined ? {} : { heardAgoMs: Math.max(0, Math.round(now - heard.atMs)) }),
    ...(report === undefined ? {} : { lamport: report.lamport, dhtNodes: report.dhtNodes }),
    ...(report?.ring === undefined ? {} : { ringRole: report.ring.role, term: report.ring.term }),
    torrents: report?.torrents ?? [],
  };
}

function movingOf({ ring }: ClusterState, { slot, role, leaving }: SlotRow): Pick<NodeView, 'moving'> {
  if (leaving) return { moving: 'leaving' };
  if (role !== 'bootstrap') return {};
  const member = ring.members.find((candidate) => candidate.slot === slot);
  return member?.voter === false ? { moving: 'joining' } : {};
}

/** By role and ordinal. */
export function nodeViews(state: ClusterState, liveness: Liveness, now: number): NodeView[] {
  return [...state.slots.values()]
    .sort((one, other) =>
      one.role === other.role ? one.ordinal - other.ordinal : one.role < other.role ? -1 : 1,
    )
    .map((slot) => nodeView(state, slot, liveness, now));
}

export function clusterView(state: ClusterState, liveness: Liveness, now: number): ClusterView {
  const { name, uid, state: stage, spec, createdAtMs } = state.about;
  return {
    name,
    uid,
    state: stage,
    spec,
    createdAtMs,
    lease: leaseView(state.lease, now),
    nodes: nodeViews(state, liveness, now),
  };
}

export function torrentView({
  infoHash,
  name,
  magnet,
  lengthBytes,
  seeds,
  leeches,
}: TorrentRow): TorrentView {
  return {
    infoHash,
    name,
    magnet,
    lengthBytes,
    seeds: seeds.map((seed) => seed.slot),
    leeches: leeches === 'all' ? 'all' : [...leeches],
  };
}

export function faultView({ machines: _, left: _1, ...view }: FaultRow): FaultView {
  return view;
}

export function selfTestRun(state: ClusterState, row: TestRow): SelfTestRun {
  const { machines, ...view } = row;
  return { ...view, nodes: machines.length, results: resultsOf(state, row) };
}
