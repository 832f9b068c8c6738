/**
 * News on its way through the ring: each claim rides on as many messages as it takes to reach everyone with high
 * probability, some multiple of log N (SWIM, section 4.1), those told least often first, and then never again.
 */
import { type Claim, formatMember, type MemberId, sameMember } from './member.ts';
import { claimBytes } from './messages.ts';

interface News {
  readonly claim: Claim;
  readonly putMs: number;
  /** Overtaken by a newer claim about the same member. */
  stale: boolean;
}

export class Dissemination {
  readonly #copies: () => number;
  /** By how often they were told. */
  readonly #levels: News[][] = [];
  /** What is held of each member: one claim, or one for each accuser. */
  readonly #byMember = new Map<string, Map<string, News>>();

  /** `copies`: on how many messages a claim rides. */
  constructor({ copies }: { readonly copies: () => number }) {
    this.#copies = copies;
  }

  get isEmpty(): boolean {
    return this.#byMember.size === 0;
  }

  /** Takes the place of what was to be told of the member, except that accusers of one suspicion stand beside each other. */
  put(now: number, claim: Claim): void {
    const key = formatMember(claim.member);
    let held = this.#byMember.get(key);
    const [one] = held?.values() ?? [];
    const beside = one?.claim.standing === claim.standing && one.claim.incarnation === claim.incarnation;
    if (held === undefined || !beside) {
      this.forget(claim.member);
      held = new Map();
      this.#byMember.set(key, held);
    }
    const accuser = claim.accuser === undefined ? '' : formatMember(claim.accuser);
    const before = held.get(accuser);
    if (before !== undefined) before.stale = true;
    const news = { claim, putMs: now, stale: false };
    held.set(accuser, news);
    this.#level(0).push(news);
  }

  forget(member: MemberId): void {
    const key = formatMember(member);
    for (const news of this.#byMember.get(key)?.values() ?? []) news.stale = true;
    this.#byMember.delete(key);
  }

  /** What to tell `to` in so much room, each silence as old as it is now. */
  take(now: number, to: MemberId, roomBytes: number): Claim[] {
    if (this.isEmpty) return [];
    const claims: Claim[] = [];
    const copies = this.#copies();
    let room = roomBytes;
    // From the most told down to the least, nothing is moved up twice in one taking.
    const picked: { news: News; told: number }[] = [];
    for (let told = 0; told < this.#levels.length && room > 0; told += 1) {
      const kept: News[] = [];
      for (const news of this.#levels[told]!) {
        if (news.stale) continue;
        const claim = aged(news.claim, now - news.putMs);
        const bytes = claimBytes(claim);
        if (bytes > room || sameMember(claim.member, to)) {
          if (bytes > room) room = 0;
          kept.push(news);
          continue;
        }
        room -= bytes;
        claims.push(claim);
        picked.push({ news, told });
      }
      this.#levels[told] = kept;
    }
    for (const { news, told } of picked) {
      if (told + 1 < copies) this.#level(told + 1).push(news);
      else this.#drop(news);
    }
    return claims;
  }

  #level(told: number): News[] {
    while (this.#levels.length <= told) this.#levels.push([]);
    return this.#levels[told]!;
  }

  #drop(news: News): void {
    const key = formatMember(news.claim.member);
    const held = this.#byMember.get(key);
    if (held === undefined) return;
    for (const [accuser, other] of held) if (other === news) held.delete(accuser);
    if (held.size === 0) this.#byMember.delete(key);
  }
}

function aged(claim: Claim, ms: number): Claim {
  return claim.silentMs === undefined ? claim : { ...claim, silentMs: claim.silentMs + ms };
}
