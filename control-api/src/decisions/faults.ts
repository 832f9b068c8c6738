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
import { faultPrefix, replace } from './redeployment.ts';
import {
  type Attempt,
  type EffectRow,
  effectKey,
  type FaultRow,
  type MachineRow,
  machineKey,
} from './rows.ts';

export interface FaultAsk {
  readonly fault: Fault;
  /** Whether the launcher can. */
  readonly canPause: boolean;
  readonly knowsControlApi: boolean;
  /** As for a redeployment. */
  readonly reportedTerm: number;
}

/** How many faults that are over are remembered. */
const rememberedFaults = 200;
/** How many nodes the journal names. */
const namedNodes = 20;

export function decideInjectFault(state: ClusterState, ask: FaultAsk, now: number): Decision<FaultRow> {
  const { about } = state;
  const { fault } = ask;
  const refusal = refusalOf(state, ask);
  if (refusal !== undefined) return refusal;
  const id = String(about.nextFault ?? 1);
  const forMs = 'forMs' in fault ? fault.forMs : 0;
  const machines = fault.kind === 'pause' ? launched(state, fault.nodes).map(attemptOf) : undefined;
  const row: FaultRow = {
    id,
    fault,
    state: forMs > 0 ? 'active' : 'over',
    injectedAtMs: now,
    untilMs: now + forMs,
    ...(machines === undefined ? {} : { machines }),
  };
  const { changes, events } = consequencesOf(state, row, ask.reportedTerm, now);
  return {
    answer: row,
    changes: [
      put.about({ ...about, nextFault: Number(id) + 1 }),
      put.fault(row),
      ...forgotten(state),
      ...changes,
    ],
    events: [
      { kind: 'fault-injected', data: { fault: id, kind: fault.kind, nodes: listed(fault.nodes), forMs } },
      ...events,
    ],
  };
}

/** Ends a fault before its time. Harmless if it is over. */
export function decideCancelFault(state: ClusterState, id: string, now: number): Decision<FaultRow> {
  const row = state.faults.get(id);
  if (row === undefined) return refuse('not-found', `${state.about.name} has no fault ${id}`);
  if (row.state !== 'active') return { answer: row };
  const cancelled: FaultRow = { ...row, state: 'cancelled', untilMs: Math.min(now, row.untilMs) };
  return { answer: cancelled, ...ended(state, [cancelled], now) };
}

/** Ends the faults whose time has come. */
export function decideFaultsOver(state: ClusterState, now: number): Decided<undefined> {
  const over = [...state.faults.values()]
    .filter((row) => row.state === 'active' && row.untilMs <= now)
    .map((row): FaultRow => ({ ...row, state: 'over' }));
  return over.length === 0 ? { answer: undefined } : { answer: undefined, ...ended(state, over, now) };
}

/** When the next fault ends. */
export function nextFaultEndMs(state: ClusterState): number | undefined {
  const ends = [...state.faults.values()].filter((row) => row.state === 'active').map((row) => row.untilMs);
  return ends.length === 0 ? undefined : Math.min(...ends);
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

interface Consequences {
  readonly changes: readonly Change[];
  readonly events: readonly DecidedEvent[];
}

function consequencesOf(state: ClusterState, row: FaultRow, reportedTerm: number, now: number): Consequences {
  const { fault } = row;
  const effects = (kind: EffectRow['kind'], machines: readonly Attempt[], more: Partial<EffectRow> = {}) =>
    machines.map((machine) => put.effect({ kind, ...attemptOf(machine), notBeforeMs: now, ...more }));
  switch (fault.kind) {
    case 'crash': {
      const power = fault.power === true ? { power: true as const } : {};
      return { changes: effects('kill', launched(state, fault.nodes), power), events: [] };
    }
    case 'pause': {
      const machines = row.machines ?? [];
      return {
        changes: [...effects('pause', machines), ...withdrawn(state, 'resume', machines)],
        events: [],
      };
    }
    case 'restart': {
      const emptyDisk = fault.disk === 'lose' ? { emptyDisk: true as const } : {};
      const term = state.lease.term;
      const ask = {
        term,
        reason: 'restarted',
        cause: 'fault' as const,
        by: `${faultPrefix}${row.id}`,
        heard: false,
        drainMs: 0,
        reportedTerm,
        ...emptyDisk,
      };
      // Replacements of one commit share the ring and what is forgotten.
      const changes = new Map<string, Change>();
      const events: DecidedEvent[] = [];
      let { ring } = state;
      for (const slot of slotsOf(state, fault.nodes)) {
        if (slot.leaving) continue;
        const replaced = replace(state, slot, currentMachine(state, slot), ask, now, ring);
        for (const change of replaced.changes) {
          changes.set(`${change.table}/${change.id}`, change);
          if (change.table === 'ring' && change.value !== undefined) ring = change.value;
        }
        events.push(...replaced.events);
      }
      return {
        changes: [...effects('kill', launched(state, fault.nodes)), ...changes.values()],
        events,
      };
    }
    default:
      return { changes: [], events: [] };
  }
}

/** Rows of faults as they are once ended; machines that no other fault pauses go on. */
function ended(state: ClusterState, rows: readonly FaultRow[], now: number): Consequences {
  const ending = new Set(rows.map(({ id }) => id));
  const stillPaused = new Set(
    [...state.faults.values()]
      .filter((row) => row.state === 'active' && !ending.has(row.id))
      .flatMap((row) => (row.machines ?? []).map(keyOf)),
  );
  const resumed = new Map(
    rows
      .flatMap((row) => row.machines ?? [])
      .filter((machine) => !stillPaused.has(keyOf(machine)) && isPresent(state, machine))
      .map((machine) => [keyOf(machine), machine]),
  );
  const machines = [...resumed.values()];
  return {
    changes: [
      ...rows.map(put.fault),
      ...machines.map((machine) => put.effect({ kind: 'resume', ...machine, notBeforeMs: now })),
      ...withdrawn(state, 'pause', machines),
    ],
    events: rows.map((row) => ({
      kind: 'fault-over',
      data: { fault: row.id, kind: row.fault.kind, cancelled: row.state === 'cancelled' },
    })),
  };
}

/** Effects that were not carried out yet and now must not be. */
function withdrawn(state: ClusterState, kind: EffectRow['kind'], machines: readonly Attempt[]): Change[] {
  return machines
    .map((machine) => effectKey({ kind, ...machine }))
    .filter((key) => state.effects.has(key))
    .map((key) => remove('effects', key));
}

/** Not yet proven gone: also one that is fenced and waits to be stopped, which must not stand still for ever. */
function isPresent(state: ClusterState, { slot, generation }: Attempt): boolean {
  return state.machines.get(machineKey(slot, generation))?.gone === false;
}

/** The machines of the named slots that there is something to do to. */
function launched(state: ClusterState, nodes: readonly FaultNode[]): MachineRow[] {
  return slotsOf(state, nodes)
    .map((slot) => currentMachine(state, slot))
    .filter(
      ({ name, tokenSha256, state: at, gone }) =>
        (name !== undefined || tokenSha256 !== undefined) && at !== 'dead' && !gone,
    );
}

/** Each once, however often it is named. */
function slotsOf(state: ClusterState, nodes: readonly FaultNode[]) {
  return [...new Set(nodes)].flatMap((node) => state.slots.get(node) ?? []);
}

function forgotten(state: ClusterState): Change[] {
  return [...state.faults.values()]
    .filter((row) => row.state !== 'active')
    .sort((one, other) => Number(other.id) - Number(one.id))
    .slice(rememberedFaults - 1)
    .map(({ id }) => remove('faults', id));
}

function attemptOf({ slot, generation, attempt }: Attempt): Attempt {
  return { slot, generation, attempt };
}

function keyOf({ slot, generation, attempt }: Attempt): string {
  return `${machineKey(slot, generation)}.${attempt}`;
}

function listed(nodes: readonly FaultNode[]): string {
  const more = nodes.length > namedNodes ? ` and ${nodes.length - namedNodes} more` : '';
  return nodes.slice(0, namedNodes).join(', ') + more;
}
