/**
 * The vote of the present term, and disk. A vote is told of only once it is durable: whatever is said after `persist` is
 * held back until `persisted` comes. A term that was merely heard of is not persisted: forgetting it can cost a round,
 * never a second vote.
 */
import { type MemberId, sameMember } from './member.ts';

/** The vote given last, as it is on disk. */
export interface VoteRecord {
  readonly term: number;
  readonly votedFor: MemberId | undefined;
}

/** To be made durable; answered by `persisted` or `persistFailed` with `seq`, in order. */
export interface PersistOutput {
  readonly type: 'persist';
  readonly seq: number;
  readonly record: VoteRecord;
}

export class Ballot<Output> {
  #term: number;
  #votedFor: MemberId | undefined;
  #durable: VoteRecord;
  #seq = 0;
  readonly #persisting = new Map<number, VoteRecord>();
  #held: { readonly seq: number; readonly output: Output }[] = [];

  /** `leastTerm`: one that this node must not vote in, nor before it. */
  constructor(durable: VoteRecord, leastTerm: number) {
    this.#durable = durable;
    this.#term = Math.max(durable.term, leastTerm);
    if (durable.term === this.#term) this.#votedFor = durable.votedFor;
  }

  get term(): number {
    return this.#term;
  }

  get votedFor(): MemberId | undefined {
    return this.#votedFor;
  }

  /** What is on disk, or on its way there, has the vote as it is. */
  get isSaved(): boolean {
    if (this.#persisting.size > 0) return true;
    return this.#durable.term === this.#term && sameMember(this.#durable.votedFor, this.#votedFor);
  }

  /** A higher term, in which no vote is given yet. */
  enter(term: number): void {
    this.#term = term;
    this.#votedFor = undefined;
  }

  vote(votedFor: MemberId): PersistOutput {
    this.#votedFor = votedFor;
    return this.persist();
  }

  persist(): PersistOutput {
    this.#seq += 1;
    const record = { term: this.#term, votedFor: this.#votedFor };
    this.#persisting.set(this.#seq, record);
    return { type: 'persist', seq: this.#seq, record };
  }

  /** Whether `output` was kept, to be said once what is being persisted is durable. */
  holds(output: Output): boolean {
    if (this.#persisting.size === 0) return false;
    this.#held.push({ seq: this.#seq, output });
    return true;
  }

  /** What is durable now, and what may be said. */
  persisted(seq: number): { record: VoteRecord; ready: Output[] } | undefined {
    const record = this.#persisting.get(seq);
    if (record === undefined) return undefined;
    this.#persisting.delete(seq);
    this.#durable = record;
    const ready = this.#held.filter((held) => held.seq <= seq).map(({ output }) => output);
    this.#held = this.#held.filter((held) => held.seq > seq);
    return { record, ready };
  }

  /** What did not become durable: nothing held back for it may be said any more. The vote stays given, for safety. */
  persistFailed(seq: number): VoteRecord | undefined {
    const record = this.#persisting.get(seq);
    if (record === undefined) return undefined;
    this.#persisting.delete(seq);
    this.#held = this.#held.filter((held) => held.seq > seq);
    return record;
  }
}
