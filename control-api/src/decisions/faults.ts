/**
 * Decides what a fault comes to. Crash, pause and restart are effects on the machines of that moment; the
 * others change nothing but a row, from which the machines' standing commands are derived. Every fault has its
 * end in its row, so that whoever comes after a crash of the control API ends it.
 */
import { controlApiNode, type Fault, type FaultNode, mostFaults } from '@skep/contract';
import {
  type Change,
  type ClusterState,
  currentMachine,
  type Decided,
  type DecidedEvent,
  type Decision,
  put,
  type Refused,
  refuse,
  remove,
} from './decision.ts';
import { attemptOf, isPresent, Strikes, strikable } from './fault-strikes.ts';
import { type Attempt, type EffectRow, effectKey, type FaultRow, machineKey } from './rows.ts';

export interface FaultAsk {
  readonly fault: Fault;
  /** Whether the launcher can. */
  readonly canPause: boolean;
  readonly knowsControlApi: boolean;
  /** As for a redeployment. */
  readonly reportedTerm: number;
}

/** How many faults that are over are remembered, and how many are forgotten at once. */
const rememberedFaults = 200;
const mostForgotten = 8;
/** Of crash, pause and restart, whose machines are listed in one row. */
const mostStruck = 2_000;
/** How many nodes the journal names. */
const namedNodes = 20;

export function decideInjectFault(state: ClusterState, ask: FaultAsk, now: number): Decision<FaultRow> {
  const { about } = state;
  const { fault } = ask;
  const refusal = refusalOf(state, ask);
  if (refusal !== undefined) return refusal;
  const id = String(about.nextFault ?? 1);
  const forMs = 'forMs' in fault ? fault.forMs : 0;
  const left = struckBy(state, fault);
  const row: FaultRow = {
    id,
    fault,
    state: forMs > 0 ? 'active' : 'over',
    injectedAtMs: now,
    untilMs: now + forMs,
    ...(fault.kind === 'pause' ? { machines: left } : {}),
    ...(left.length === 0 ? {} : { left }),
  };
  const strikes = new Strikes(state, ask.reportedTerm, now);
  strikes.add([put.about({ ...about, nextFault: Number(id) + 1 }), ...forgotten(state)]);
  strikes.strike(row);
  return {
    answer: row,
    changes: strikes.changes,
    events: [
      { kind: 'fault-injected', data: { fault: id, kind: fault.kind, nodes: listed(fault.nodes), forMs } },
      ...strikes.events,
    ],
  };
}

/** Whom a fault does something to at its beginning, as they are now. */
function struckBy(state: ClusterState, fault: Fault): readonly Attempt[] {
  const slots = [...new Set(fault.nodes)].filter((node) => state.slots.has(node));
  switch (fault.kind) {
    case 'crash':
    case 'pause':
      return strikable(state, slots).map(attemptOf);
    case 'restart':
      return slots.map((slot) => attemptOf(currentMachine(state, state.slots.get(slot)!)));
    default:
      return [];
  }
}

/** Ends a fault before its time. Harmless if it is over. */
export function decideCancelFault(state: ClusterState, id: string, now: number): Decision<FaultRow> {
  const row = state.faults.get(id);
  if (row === undefined) return refuse('not-found', `${state.about.name} has no fault ${id}`);
  if (row.state !== 'active') return { answer: row };
  const cancelled: FaultRow = { ...row, state: 'cancelled', untilMs: Math.min(now, row.untilMs) };
  const strikes = new Strikes(state, state.lease.term, now);
  const events = ended(state, strikes, cancelled);
  return { answer: cancelled, changes: strikes.changes, events };
}

/**
 * Ends the faults whose time has come, and strikes whom those before had no room for. As much at a time as a commit has
 * room for; `nextFaultDueMs` says when to ask again. `reportedTerm`: as for a redeployment.
 */
export function decideFaultsDue(state: ClusterState, reportedTerm: number, now: number): Decided<undefined> {
  const strikes = new Strikes(state, reportedTerm, now);
  const events: DecidedEvent[] = [];
  for (const row of state.faults.values()) {
    if (strikes.isFull) break;
    if (row.state === 'active' && row.untilMs <= now) {
      events.push(...ended(state, strikes, { ...row, state: 'over' }));
    } else if (row.left !== undefined) {
      strikes.strike(
        state.about.state === 'deleting' && row.fault.kind !== 'pause' ? { ...row, left: [] } : row,
      );
    }
  }
  const { changes } = strikes;
  return changes.length === 0
    ? { answer: undefined }
    : { answer: undefined, changes, events: [...events, ...strikes.events] };
}

/** When `decideFaultsDue` has something to do next; undefined if no fault is going on. */
export function nextFaultDueMs(state: ClusterState): number | undefined {
  const dues = [...state.faults.values()].flatMap((row) => {
    if (row.left !== undefined) return 0;
    return row.state === 'active' ? row.untilMs : [];
  });
  return dues.length === 0 ? undefined : Math.min(...dues);
}

/** A kill, pause or resume was done. */
export function decideDone(state: ClusterState, effect: EffectRow): Decided<undefined> {
  const key = effectKey(effect);
  return { answer: undefined, changes: state.effects.has(key) ? [remove('effects', key)] : [] };
}

function refusalOf(state: ClusterState, ask: FaultAsk): Refused | undefined {
  const { about, slots } = state;
  const { fault } = ask;
  const impossible = (detail: string) => refuse('fault-not-possible', detail);
  if (about.state === 'deleting') {
    return refuse('cluster-deleting', `${about.name} is being deleted: nothing is done to it any more`);
  }
  const others = 'from' in fault ? fault.from : 'with' in fault ? fault.with : undefined;
  const named: readonly FaultNode[] = [...fault.nodes, ...(others ?? [])];
  const unknown = named.find((node) => node !== controlApiNode && !slots.has(node));
  if (unknown !== undefined) return refuse('node-not-found', `${about.name} has no slot ${unknown}`);
  const active = [...state.faults.values()].filter((row) => row.state === 'active').length;
  if (active >= mostFaults) {
    return impossible(`${about.name} is under ${active} faults already: wait for one to end, or end one`);
  }
  const namesControlApi = named.includes(controlApiNode);
  switch (fault.kind) {
    case 'crash':
    case 'pause':
    case 'restart':
      if (namesControlApi) {
        return impossible('the control API does not do this to itself: whoever runs it can');
      }
      if (fault.nodes.length > mostStruck) {
        return impossible(
          `a ${fault.kind} names at most ${mostStruck} nodes: inject several, one after the other`,
        );
      }
      if (fault.kind === 'pause' && !ask.canPause) {
        return impossible('the machines of this runner cannot be paused');
      }
      return undefined;
    default:
      if (about.spec.network === undefined) {
        return impossible(
          `the machines of ${about.name} have neither addresses of their own nor a shaped network: create the cluster with network, if only {}`,
        );
      }
      if (namesControlApi && !ask.knowsControlApi) {
        return impossible('the address of the control API is not known: give it a URL with an IP address');
      }
      return undefined;
  }
}

/** A fault's row as it is once ended; machines that no other fault pauses go on. Returns what is told. */
function ended(
  state: ClusterState,
  strikes: Strikes,
  { left: _, ...row }: FaultRow,
): readonly DecidedEvent[] {
  const stillPaused = new Set(
    strikes.faults
      .filter(({ id, state: at }) => at === 'active' && id !== row.id)
      .flatMap(({ machines = [] }) => machines.map(keyOf)),
  );
  const left = (row.machines ?? []).filter(
    (machine) => !stillPaused.has(keyOf(machine)) && isPresent(state, machine),
  );
  strikes.strike(left.length === 0 ? row : { ...row, left });
  return [
    {
      kind: 'fault-over',
      data: { fault: row.id, kind: row.fault.kind, cancelled: row.state === 'cancelled' },
    },
  ];
}

function forgotten(state: ClusterState): Change[] {
  return [...state.faults.values()]
    .filter((row) => row.state !== 'active' && row.left === undefined)
    .sort((one, other) => Number(other.id) - Number(one.id))
    .slice(rememberedFaults - 1)
    .slice(0, mostForgotten)
    .map(({ id }) => remove('faults', id));
}

function keyOf({ slot, generation, attempt }: Attempt): string {
  return `${machineKey(slot, generation)}.${attempt}`;
}

function listed(nodes: readonly FaultNode[]): string {
  const more = nodes.length > namedNodes ? ` and ${nodes.length - namedNodes} more` : '';
  return nodes.slice(0, namedNodes).join(', ') + more;
}
