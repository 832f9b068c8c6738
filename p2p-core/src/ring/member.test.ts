import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Claim, outranks, STANDINGS } from './member.ts';

const member = { slot: 'a', generation: 1 };
const claim: fc.Arbitrary<Claim> = fc
  .tuple(fc.integer({ min: 0, max: 4 }), fc.constantFrom(...STANDINGS))
  .map(([incarnation, standing]) => ({ member, incarnation, standing }));

describe('claims about a member', () => {
  it('end up the same in whatever order and however often they come', () => {
    const merged = (claims: readonly Claim[]) =>
      claims.reduce((held, next) => (outranks(next, held) ? next : held));
    fc.assert(
      fc.property(fc.array(claim, { minLength: 1 }), fc.infiniteStream(fc.nat()), (claims, numbers) => {
        const shuffled = [...claims, ...claims]
          .map((each) => ({ each, at: numbers.next().value! }))
          .sort((a, b) => a.at - b.at)
          .map(({ each }) => each);
        const { incarnation, standing } = merged(claims);
        expect(merged(shuffled)).toMatchObject({ incarnation, standing });
      }),
    );
  });

  it.each([
    ['suspect', 1, 'alive', 1, true],
    ['alive', 1, 'suspect', 1, false],
    ['alive', 2, 'suspect', 1, true],
    ['alive', 2, 'dead', 1, true],
    ['dead', 1, 'silent', 1, true],
    ['dead', 1, 'alive', 2, false],
    ['left', 1, 'dead', 1, true],
  ] as const)('%s %i over %s %i: %s', (standing, incarnation, heldStanding, heldIncarnation, wins) => {
    expect(
      outranks({ standing, incarnation }, { standing: heldStanding, incarnation: heldIncarnation }),
    ).toBe(wins);
  });
});
