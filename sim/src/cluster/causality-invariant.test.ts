import type { NewEvent } from '@skep/control-api';
import { describe, expect, it } from 'vitest';
import { effectsAreStampedAfterTheirCauses } from './causality-invariant.ts';
import type { ClusterWorld } from './cluster-world.ts';

const base = { clusterUid: 'u', cluster: 'bees', atMs: 0, data: {} };
const candidacy: NewEvent = {
  ...base,
  kind: 'election-started',
  slot: 'bootstrap-1',
  generation: 1,
  lamport: 10,
  data: { term: 3, phase: 'vote' },
};
const vote: NewEvent = {
  ...base,
  kind: 'vote-granted',
  slot: 'bootstrap-2',
  generation: 1,
  lamport: 12,
  data: { term: 3, candidate: 'bootstrap-1@1' },
};

/** What is found, event by event, in the order in which they are told. */
function findings(...events: readonly NewEvent[]): (string | undefined)[] {
  const invariant = effectsAreStampedAfterTheirCauses();
  return events.map((event) => invariant.onEvent!({ hadSecondControl: false } as ClusterWorld, event));
}

describe('an effect is stamped after its cause', () => {
  it('in whichever order the two are told', () => {
    expect(findings(candidacy, vote)).toEqual([undefined, undefined]);
    expect(findings(vote, candidacy)).toEqual([undefined, undefined]);
  });

  it.each([9, 10])('or is found: a vote stamped %i in a candidacy stamped 10', (lamport) => {
    const early = { ...vote, lamport };
    const sentence = `vote-granted of bootstrap-2@1 (stamped ${lamport}) follows from election-started of bootstrap-1@1 (stamped 10)`;
    expect(findings(candidacy, early)).toEqual([undefined, sentence]);
    expect(findings(early, candidacy)).toEqual([undefined, sentence]);
  });

  it('also where the cause is only what the same machine did before', () => {
    const next = { ...vote, lamport: 12, data: { term: 4, candidate: 'bootstrap-3@1' } };
    expect(findings(vote, next)[1]).toMatch(/^vote-granted .* follows from vote-granted/);
  });

  it('where a name is used again, in each cluster by itself', () => {
    expect(findings(vote, { ...vote, clusterUid: 'v', lamport: 1 })).toEqual([undefined, undefined]);
  });
});
