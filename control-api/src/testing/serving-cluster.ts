/** A cluster's rows as they are once all is well: what tests of decisions begin with. */
import { ClusterSpec, type Report } from '@skep/contract';
import { ClusterRecord } from '../cluster-record.ts';
import { decideCreateCluster, slotCount } from '../decisions/cluster-creation.ts';
import type { Decision } from '../decisions/decision.ts';
import { decideLease } from '../decisions/lease.ts';
import { decideLaunched } from '../decisions/machine-life.ts';
import type { RedeploymentAsk } from '../decisions/redeployment.ts';

export const t0 = 1_000_000;

/** Of commands: a runner that shapes nothing, and a control API at no address of its own. */
export const surroundings = { controlApiHosts: [], modelsNetwork: false };

/** The leader of `serving` has a silent follower replaced. */
export const silentFollower: RedeploymentAsk = {
  slot: 'bootstrap-3',
  generation: 1,
  term: 5,
  by: 'bootstrap-1@1',
  reason: 'silent',
  cause: 'silence',
  heard: false,
  drainMs: 5_000,
  reportedTerm: 0,
};

/** What a machine reports that has nothing to tell. */
export function reportOf(
  slot: Report['machine']['slot'],
  generation: number,
  state: Report['state'],
): Report {
  return {
    machine: { slot, generation },
    attempt: 1,
    state,
    lamport: 1,
    revision: '',
    waitMs: 0,
    dhtNodes: 0,
    torrents: [],
    events: [],
  };
}

export function apply<A>(state: ClusterRecord, decision: Decision<A>): A {
  if ('refusal' in decision) throw new Error(decision.refusal.code);
  for (const change of decision.changes ?? []) state.apply(change);
  return decision.answer;
}

/** Three bootstrap nodes, two peers and the spares asked for, all serving, led by bootstrap-1@1 in term 5. */
export function serving(overrides: object = {}): ClusterRecord {
  const spec = ClusterSpec.parse({ name: 'bees', bootstrap: 3, peers: 2, ...overrides });
  const addresses = Array.from({ length: slotCount(spec) }, (_, index) => ({
    listen: { host: `127.77.0.${index + 1}`, port: 100 + index * 3 },
    ringPort: 101 + index * 3,
    healthPort: 102 + index * 3,
  }));
  const state = new ClusterRecord('u');
  apply(state, decideCreateCluster(spec, 'u', addresses, t0));
  for (const effect of [...state.effects.values()]) apply(state, decideLaunched(state, effect, 'm', t0));
  for (const machine of [...state.machines.values()]) {
    const value = { ...machine, state: 'serving' as const, tokenSha256: machine.slot };
    state.apply({ table: 'machines', id: `${machine.slot}@1`, value });
  }
  const holder = { slot: 'bootstrap-1', generation: 1 };
  apply(state, decideLease(state, { action: 'acquire', holder, term: 5 }, t0));
  return state;
}
