/**
 * Decides whether an agent is the machine that it says it is. The first join binds the token that the agent
 * made; the same one again is an answer that was lost; any other is somebody else with a stolen secret.
 */
import { formatMachineId, type JoinRequest } from '@skep/contract';
import { type ClusterState, type Decision, put, refuse } from './decision.ts';
import { reached } from './redeployment-course.ts';
import { machineKey } from './rows.ts';
import { released } from './spares.ts';

/** `secretMatches`: whether the join secret is the one of exactly this (slot, generation, attempt). */
export function decideJoin(
  state: ClusterState,
  request: JoinRequest,
  secretMatches: boolean,
  now: number,
): Decision<undefined> {
  const { slot, generation } = request.machine;
  const name = formatMachineId(request.machine);
  const row = state.slots.get(slot);
  const machine = state.machines.get(machineKey(slot, generation));
  if (!secretMatches || row === undefined) {
    return refuse('join-refused', `the join secret is not that of ${name}, attempt ${request.attempt}`);
  }
  if (generation < row.generation) {
    return refuse(
      'generation-over',
      `${name} is over: ${slot} is in generation ${row.generation}`,
      row.generation,
    );
  }
  const isOver = machine === undefined || machine.attempt !== request.attempt || machine.state === 'dead';
  if (isOver || row.held || machine.state === 'stopping') {
    return refuse('generation-over', `${name}, attempt ${request.attempt}, is over: another one was begun`);
  }
  if (state.about.state === 'deleting') {
    return refuse('cluster-deleting', `${state.about.name} is being deleted: stop`);
  }
  if (machine.tokenSha256 === request.tokenSha256) return { answer: undefined };
  if (machine.tokenSha256 !== undefined) {
    return refuse('join-refused', `${name} has joined with another token already`);
  }
  const acceptedMs = state.redeployments.get(machineKey(slot, generation))?.times.acceptedMs ?? now;
  const bootedMs = Math.max(acceptedMs, now - Math.round(request.runningMs ?? 0));
  const { changes } = reached(state, slot, generation, { bootedMs, joinedMs: now }, now);
  return {
    answer: undefined,
    changes: [
      put.machine({
        ...withoutReason(machine),
        state: 'joined',
        tokenSha256: request.tokenSha256,
        sinceMs: now,
      }),
      ...changes,
      ...released(state, machine, now),
    ],
    guards: ['about'],
    events: [{ kind: 'node-joined', slot, generation, data: { attempt: machine.attempt } }],
  };
}

function withoutReason<T extends { readonly reason?: string }>({ reason: _, ...rest }: T): Omit<T, 'reason'> {
  return rest;
}
