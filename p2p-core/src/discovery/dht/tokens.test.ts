import { describe, expect, it } from 'vitest';
import { seededRandom } from './testing/world.ts';
import { TOKEN_SECRET_LIFETIME_MS, Tokens } from './tokens.ts';

describe('tokens', () => {
  const make = (seed = 1): Tokens => new Tokens({ random: seededRandom(seed) });

  it('hold for the address that they were issued to, and no other', () => {
    const tokens = make();
    const token = tokens.issue('10.0.0.1', 0).slice();
    expect(tokens.verify(token, '10.0.0.1', 0)).toBe(true);
    expect(tokens.verify(token, '10.0.0.2', 0)).toBe(false);
    expect(make(2).verify(token, '10.0.0.1', 0)).toBe(false);
  });

  it('outlive one change of the secret, and not two', () => {
    const tokens = make();
    tokens.issue('10.0.0.9', 0);
    const token = tokens.issue('10.0.0.1', TOKEN_SECRET_LIFETIME_MS - 1).slice();
    expect(tokens.verify(token, '10.0.0.1', TOKEN_SECRET_LIFETIME_MS)).toBe(true);
    expect(tokens.issue('10.0.0.1', TOKEN_SECRET_LIFETIME_MS)).not.toEqual(token);
    expect(tokens.verify(token, '10.0.0.1', 2 * TOKEN_SECRET_LIFETIME_MS - 1)).toBe(true);
    expect(tokens.verify(token, '10.0.0.1', 2 * TOKEN_SECRET_LIFETIME_MS)).toBe(false);
  });

  it('are forgotten after a long silence', () => {
    const tokens = make();
    const token = tokens.issue('10.0.0.1', 0).slice();
    expect(tokens.verify(token, '10.0.0.1', 2 * TOKEN_SECRET_LIFETIME_MS)).toBe(false);
  });

  it('of a wrong length are none', () => {
    const tokens = make();
    const token = tokens.issue('10.0.0.1', 0).slice();
    for (const wrong of [new Uint8Array(0), token.subarray(1), Uint8Array.of(...token, 0)])
      expect(tokens.verify(wrong, '10.0.0.1', 0)).toBe(false);
  });
});
