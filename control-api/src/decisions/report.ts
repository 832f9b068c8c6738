/**
 * Decides what a report changes for good: the machine's state, and its events, which are put into the journal
 * once. Most reports change nothing; what they say of rates and progress lives in memory only.
 */
import { eventKinds, type Report } from '@skep/contract';
import { commitLimits } from '../ports/store.ts';
import { type Change, type ClusterState, type DecidedEvent, type Decision, put, refuse } from './decision.ts';
import { reached } from './redeployment-course.ts';
import { type MachineRow, machineKey } from './rows.ts';

const reservedKinds: ReadonlySet<string> = new Set(eventKinds);
/** The course that a machine's reports take. One known dead stays dead: a report may outlive its sender. */
const course: readonly MachineRow['state'][] = ['launching', 'joined', 'serving', 'stopping'];

/** Of the events of one report, in JSON. No character has more than three bytes. */
const mostEventCharacters = commitLimits.bytes / 4;

/** Whether the machine is fenced and no longer being let go, or of an attempt that is over. */
export function isOver(state: ClusterState, machine: MachineRow, attempt: number): boolean {
  const slot = state.slots.get(machine.slot);
  const fenced = slot === undefined || slot.generation !== machine.generation;
  return machine.attempt !== attempt || (fenced && (machine.gone || machine.state !== 'stopping'));
}

/** The state after a report: never an earlier one, since a report that was broken off may be overtaken. */
function stateAfter(machine: MachineRow, report: Report): MachineRow['state'] {
  const at = course.indexOf(machine.state);
  return at >= 0 && course.indexOf(report.state) > at ? report.state : machine.state;
}

/** Whether `decideReport` would write anything, which is rare. */
export function changesAnything(machine: MachineRow, report: Report): boolean {
  return (
    stateAfter(machine, report) !== machine.state ||
    report.events.some((event) => event.sequence > machine.eventsTaken)
  );
}

/** The first events that one commit has room for; the machine sends the others again. */
function fitting(events: Report['events']): Report['events'] {
  let leftCharacters = mostEventCharacters;
  return events.filter((event) => {
    leftCharacters -= JSON.stringify(event.data).length;
    return leftCharacters >= 0;
  });
}

/** Answers the greatest sequence of its events that the journal has. */
export function decideReport(
  state: ClusterState,
  report: Report,
  now: number,
): Decision<{ eventsTaken: number }> {
  const { slot, generation } = report.machine;
  const machine = state.machines.get(machineKey(slot, generation));
  if (machine === undefined || isOver(state, machine, report.attempt)) {
    const current = state.slots.get(slot)?.generation;
    return refuse(
      'generation-over',
      `${slot}@${generation} is over: stop; another one has its place`,
      current,
    );
  }
  const fresh = fitting(
    report.events
      .filter((event) => event.sequence > machine.eventsTaken)
      .sort((one, other) => one.sequence - other.sequence),
  );
  const eventsTaken = fresh.at(-1)?.sequence ?? machine.eventsTaken;
  const becomes = stateAfter(machine, report);
  if (becomes === machine.state && eventsTaken === machine.eventsTaken) return { answer: { eventsTaken } };
  const events: DecidedEvent[] = fresh.map(({ kind, lamport, ageMs, data }) => ({
    // No agent can speak as the control API does.
    kind: reservedKinds.has(kind) ? `agent-${kind}` : kind,
    slot,
    generation,
    lamport,
    ...(ageMs === undefined ? {} : { ageMs }),
    data,
  }));
  const changes: Change[] = [put.machine({ ...machine, state: becomes, eventsTaken })];
  if (becomes === 'serving' && machine.state !== 'serving') {
    events.push({ kind: 'node-serving', slot, generation });
    const progress = reached(state, slot, generation, { servingMs: now }, now);
    changes.push(...progress.changes);
    events.push(...progress.events);
  }
  return { answer: { eventsTaken }, changes, events };
}
