/** The spec of infra/ is the contract's as far as it goes: it can't import it, so this holds it there. */
import { ClusterSpec as ContractSpec } from '@skep/contract';
import { describe, expect, it } from 'vitest';
import { ClusterSpec } from './cluster-spec.ts';

describe('the spec of a cluster', () => {
  it('has the fields of the contract', () => {
    expect(Object.keys(ClusterSpec.shape).sort()).toEqual(Object.keys(ContractSpec.shape).sort());
    expect(Object.keys(ClusterSpec.shape.placement.unwrap().shape).sort()).toEqual(
      Object.keys(ContractSpec.shape.placement.unwrap().shape).sort(),
    );
  });

  it.each([
    {},
    { bootstrap: 1, index: 2, peers: 10_000 },
    { placement: { instanceTypes: ['t4g.small'], zones: ['eu-central-1a'] } },
    { heal: ['bootstrap'], graceMs: 9_000, ephemeral: true },
  ])('takes what the contract takes: %j', (fields) => {
    const spec = { name: 'bees', ...fields };
    expect(ClusterSpec.parse(spec)).toEqual(spec);
    expect(ContractSpec.safeParse(spec).success).toBe(true);
  });

  it.each([
    { bootstrap: 0 },
    { bootstrap: 101 },
    { peers: -1 },
    { peers: 1.5 },
    { name: 'Bees' },
    { peer: 5 },
    { placement: { zones: [] } },
    { placement: { instances: ['t4g.small'] } },
  ])('refuses what the contract refuses: %j', (fields) => {
    const spec = { name: 'bees', ...fields };
    expect(ClusterSpec.safeParse(spec).success).toBe(false);
    expect(ContractSpec.safeParse(spec).success).toBe(false);
  });

  it('knows that machines on AWS cannot be spares', () => {
    expect(() => ClusterSpec.parse({ spares: 2 })).toThrow('cannot be given another slot');
  });
});
