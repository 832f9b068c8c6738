/**
 * Anti-entropy (Demers and others 1987): two nodes compare a digest of what they hold of all members, and only if
 * these differ exchange it. It finds what gossip failed to bring: news is told only so often and then never again.
 *
 * Suspicion and verdicts by silence are each node's own and pass; they do not count as a difference.
 */
import type { Claim } from './member.ts';
import { claimBytes } from './messages.ts';

const MODULUS = 2 ** 48;

/** Of what is worth telling, in any order: less than 2^48. */
export function digestOf(claims: Iterable<Claim>): number {
  let sum = 0;
  for (const claim of claims) if (isWorthTelling(claim)) sum = (sum + hashOf(claim)) % MODULUS;
  return sum;
}

/** What is worth telling, cut into datagrams with so much room; at least one, which may be empty. */
export function pagesOf(claims: Iterable<Claim>, roomBytes: number): Claim[][] {
  const pages: Claim[][] = [[]];
  let room = roomBytes;
  for (const claim of claims) {
    if (!isWorthTelling(claim)) continue;
    const bytes = claimBytes(claim);
    if (bytes > room) {
      pages.push([]);
      room = roomBytes;
    }
    room -= bytes;
    pages.at(-1)!.push(claim);
  }
  return pages;
}

/** That a member lives which never had to say so is what everyone assumes. */
function isWorthTelling({ incarnation, standing }: Claim): boolean {
  return incarnation > 0 || standing === 'dead' || standing === 'left';
}

/** FNV-1a, twice with different beginnings, for 48 bits of both. */
function hashOf({ member, incarnation, standing }: Claim): number {
  const lasting = standing === 'dead' || standing === 'left' ? standing : '';
  const text = `${member.slot} ${member.generation} ${incarnation} ${lasting}`;
  let low = 0x811c9dc5;
  let high = 0x01000193;
  for (let index = 0; index < text.length; index += 1) {
    const unit = text.charCodeAt(index);
    low = Math.imul(low ^ unit, 0x01000193);
    high = Math.imul(high ^ unit, 0x01000193);
  }
  return (high & 0xffff) * 2 ** 32 + (low >>> 0);
}
