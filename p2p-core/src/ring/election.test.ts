/** How votes are counted while the configuration changes under a candidate. */
import { describe, expect, it } from 'vitest';
import type { RingConfiguration, RingMember } from './configuration.ts';
import { Election, type ElectionOutput } from './election.ts';
import type { MemberId } from './member.ts';
import { DEFAULT_TIMING } from './timing.ts';

const slots = ['a', 'b', 'c', 'd', 'e'];
const ringOf = (version: number, members: readonly Partial<RingMember>[]): RingConfiguration => ({
  version,
  members: members.map((member, index) => ({
    slot: slots[index]!,
    generation: 1,
    address: { host: '10.0.0.1', port: 1_000 + index },
    voter: true,
    admittedAtTerm: 0,
    ...member,
  })),
});
const five = ringOf(1, [{}, {}, {}, {}, {}]);
const withNewB = ringOf(2, [{}, { generation: 2 }, {}, {}, {}]);

/** `a` after it has asked for votes in term 1, its own being durable. */
function candidate(configuration: RingConfiguration) {
  const election = new Election(
    {
      random: { float: () => 0, bytes: (length) => new Uint8Array(length) },
      standingOf: () => 'alive',
      quorumMs: () => undefined,
    },
    { self: { slot: 'a', generation: 1 }, configuration, record: undefined, timing: DEFAULT_TIMING },
  );
  let version = configuration.version;
  const answer = (kind: 'pre-vote-answer' | 'vote-answer', from: MemberId) =>
    election.receive(3_000, from, { kind, round: 1, granted: true }, { term: 1, version });
  election.setAuthorityReachable(0, true);
  election.wake(0);
  election.wake(3_000);
  for (const slot of slots.slice(1)) answer('pre-vote-answer', { slot, generation: 1 });
  expect(election.role).toBe('candidate');
  election.persisted(3_000, 1);
  return {
    election,
    votes: (slot: string, generation = 1) => answer('vote-answer', { slot, generation }),
    configure(next: RingConfiguration) {
      version = next.version;
      return election.configure(3_000, next);
    },
  };
}

const isElected = (outputs: readonly ElectionOutput[]) => outputs.some(({ type }) => type === 'elected');

describe('a candidate that hears of another configuration', () => {
  it('counts no vote of a generation that is over, beside that of the next', () => {
    const { election, votes, configure } = candidate(five);
    votes('b', 1);
    configure(withNewB);
    expect(isElected(votes('b', 2))).toBe(false);
    expect(election.role).toBe('candidate');
    expect(isElected(votes('c'))).toBe(true);
  });

  it('keeps the votes of those who are still voters', () => {
    const { votes, configure } = candidate(five);
    votes('c');
    configure(withNewB);
    expect(isElected(votes('d'))).toBe(true);
  });

  it('asks the new generation, though the old one had answered', () => {
    const { election, votes, configure } = candidate(five);
    votes('b', 1);
    configure(withNewB);
    const asked = election.wake(3_200).flatMap((output) => (output.type === 'send' ? [output.to] : []));
    expect(asked).toContainEqual(expect.objectContaining({ slot: 'b', generation: 2 }));
  });

  it('is elected at once where its votes are now a majority', () => {
    const { votes, configure } = candidate(ringOf(1, [{}, {}, {}, {}]));
    votes('b');
    expect(isElected(configure(ringOf(2, [{}, {}, {}, { voter: false }])))).toBe(true);
  });

  it('is not where the vote was of who has none any more', () => {
    const { votes, configure } = candidate(ringOf(1, [{}, {}, {}, {}]));
    votes('d');
    expect(isElected(configure(ringOf(2, [{}, {}, {}, { voter: false }])))).toBe(false);
    expect(isElected(votes('d'))).toBe(false);
    expect(isElected(votes('b'))).toBe(true);
  });

  it('gives up where it votes no more itself', () => {
    const { election, votes, configure } = candidate(five);
    votes('b');
    configure(ringOf(2, [{ voter: false }, {}, {}, {}, {}]));
    expect(election.role).toBe('follower');
    expect(isElected([...votes('c'), ...votes('d')])).toBe(false);
  });
});
