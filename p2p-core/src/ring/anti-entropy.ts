/**
 * Anti-entropy (Demers and others 1987): two nodes compare a digest of what they hold of all members, and only if
 * these differ exchange it. It finds what gossip failed to bring: news is told only so often and then never again.
 *
 * Suspicion and verdicts by silence are each node's own and pass; they do not count as a difference.
 */
import type { Random } from '../host/index.ts';
import type { Claim, MemberId } from './member.ts';
import { claimBytes, GOSSIP_BYTES, type RingMessage } from './messages.ts';
import type { RingTiming } from './timing.ts';

const MODULUS = 2 ** 48;

export interface AntiEntropyComponents {
  readonly random: Random;
  /** All that this node holds of the members, itself included; how old a silence is does not matter here. */
  readonly claims: (now: number) => Iterable<Claim>;
  /** Some member that is up, if there is one. */
  readonly partner: () => MemberId | undefined;
  /** `claims` go with it instead of the news. */
  readonly send: (to: MemberId, message: RingMessage, claims?: readonly Claim[]) => void;
}

/** Begins an exchange with some member from time to time, and answers those that others begin. */
export class AntiEntropy {
  readonly #components: AntiEntropyComponents;
  readonly #intervalMs: number;
  #nextMs = Number.POSITIVE_INFINITY;

  constructor(components: AntiEntropyComponents, { syncIntervalMs }: RingTiming) {
    this.#components = components;
    this.#intervalMs = syncIntervalMs;
  }

  /** When `wake` is due: never before somebody was heard, and `begin` was called for it. */
  get nextDueMs(): number {
    return this.#nextMs;
  }

  wake(now: number): void {
    if (now < this.#nextMs) return;
    const partner = this.#components.partner();
    if (partner !== undefined) this.begin(now, partner);
    else this.#nextMs = now + this.#intervalMs;
  }

  begin(now: number, partner: MemberId): void {
    // Not all at the same time.
    this.#nextMs = now + this.#intervalMs * (0.75 + this.#components.random.float() / 2);
    this.#components.send(partner, { kind: 'sync', digest: digestOf(this.#components.claims(now)) });
  }

  receive(now: number, from: MemberId, message: Extract<RingMessage, { kind: 'sync' | 'sync-page' }>): void {
    if (message.kind === 'sync-page') {
      if (message.wanted) this.#sendPages(now, from, false);
    } else if (message.digest !== digestOf(this.#components.claims(now))) this.#sendPages(now, from, true);
  }

  #sendPages(now: number, to: MemberId, wanted: boolean): void {
    const pages = pagesOf(this.#components.claims(now), GOSSIP_BYTES);
    pages.forEach((claims, index) => {
      this.#components.send(to, { kind: 'sync-page', wanted: wanted && index === pages.length - 1 }, claims);
    });
  }
}

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
