/** A cluster's rows as they are once all is well: what tests of decisions begin with. */
import { ClusterSpec } from '@skep/contract';
import { ClusterRecord } from '../cluster-record.ts';
import { decideCreateCluster, slotCount } from '../decisions/cluster-creation.ts';
import type { Decision } from '../decisions/decision.ts';
import { decideLease } from '../decisions/lease.ts';
import { decideLaunched } from '../decisions/machine-life.ts';

export const t0 = 1_000_000;

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
