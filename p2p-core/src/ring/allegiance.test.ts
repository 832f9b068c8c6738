/** Whom a node follows, and what it passes on of that. */
import { expect, it } from 'vitest';
import { Allegiance } from './allegiance.ts';

const member = { slot: 'bootstrap-1', generation: 1 };

it('passes on a lease for as long as it has left, in the term in which it was shown', () => {
  const allegiance = new Allegiance();
  allegiance.becomes(member);
  allegiance.shown(1_000, { member, term: 2, grant: 7, leaseMs: 4_000 }, true);
  // Its own term may go on meanwhile: nobody leads in that.
  expect(allegiance.toShow(2_500)).toEqual({ member, term: 2, grant: 7, leaseMs: 2_500 });
  expect(allegiance.toShow(5_000)).toBeUndefined();
});
