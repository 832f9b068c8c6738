/** Who has answered in a round of votes, and who of them has granted it. */
import { majorityOf, type RingConfiguration } from './configuration.ts';
import { formatMember, type MemberId } from './member.ts';

export class Tally {
  #grants = new Set<string>();
  #answered = new Set<string>();

  /** A new round, in which `self` needs not be asked. */
  begin(self: MemberId): void {
    this.#grants = new Set();
    this.#answered = new Set([formatMember(self)]);
  }

  answered(voter: MemberId): void {
    this.#answered.add(formatMember(voter));
  }

  granted(voter: MemberId): void {
    this.#grants.add(formatMember(voter));
  }

  hasAnswered(voter: MemberId): boolean {
    return this.#answered.has(formatMember(voter));
  }

  /** Of those who are voters now: a slot must not be counted twice, by a generation that is over and by the next. */
  recount({ members }: RingConfiguration): void {
    const voters = members.filter(({ voter }) => voter).map(formatMember);
    this.#grants = new Set(voters.filter((voter) => this.#grants.has(voter)));
    this.#answered = new Set(voters.filter((voter) => this.#answered.has(voter)));
  }

  isMajority(configuration: RingConfiguration): boolean {
    return this.#grants.size >= majorityOf(configuration);
  }

  /** Whether those who granted, and those who still may, make a majority. */
  canReachMajority(configuration: RingConfiguration, mayGrant: (voter: MemberId) => boolean): boolean {
    const possible = configuration.members.filter(
      (member) => member.voter && (this.#grants.has(formatMember(member)) || mayGrant(member)),
    );
    return possible.length >= majorityOf(configuration);
  }
}
