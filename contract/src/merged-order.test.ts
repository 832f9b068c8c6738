/** The merged log: its order, and what it knows of causes. */
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ClusterEvent } from './events.ts';
import { Causes, causesOf, mergedOrder, originOf } from './merged-order.ts';

interface Told {
  readonly at?: string;
  readonly kind: string;
  readonly lamport: number;
  readonly data?: ClusterEvent['data'];
}

let sequence = 0;

/** `at`: the slot@generation that it is of. */
function event({ at, kind, lamport, data = {} }: Told): ClusterEvent {
  sequence += 1;
  const [slot, generation] = at?.split('@') ?? [];
  return {
    sequence,
    cluster: 'bees',
    atMs: 0,
    kind,
    lamport,
    data,
    ...(slot === undefined ? {} : { slot, generation: Number(generation) }),
  };
}

const a = 'bootstrap-1@1';
const b = 'bootstrap-2@1';
const c = 'bootstrap-3@1';

/** How a leader's death goes, in the order of the stamps. */
function healing(): ClusterEvent[] {
  const told: Told[] = [
    { kind: 'node-joined', at: a, lamport: 1 },
    { kind: 'node-joined', at: b, lamport: 2 },
    { kind: 'node-dead', at: c, lamport: 10, data: { evidence: 'exited with status 137' } },
    {
      kind: 'member-dead',
      at: a,
      lamport: 12,
      data: { member: c, cause: 'evidence', detail: 'exited with status 137' },
    },
    { kind: 'member-dead', at: b, lamport: 12, data: { member: c, cause: 'evidence' } },
    { kind: 'election-started', at: a, lamport: 20, data: { term: 5, phase: 'pre-vote' } },
    { kind: 'election-started', at: a, lamport: 24, data: { term: 5, phase: 'vote' } },
    { kind: 'vote-granted', at: b, lamport: 27, data: { term: 5, candidate: a } },
    { kind: 'leader-changed', at: a, lamport: 30, data: { term: 5, leader: a } },
    { kind: 'elected', at: a, lamport: 31, data: { term: 5 } },
    { kind: 'lease-granted', at: a, lamport: 35, data: { term: 5 } },
    { kind: 'leader-changed', at: b, lamport: 34, data: { term: 5, leader: a } },
    { kind: 'agent-lease-granted', at: a, lamport: 38, data: { term: 5, durationMs: 5_000 } },
    { kind: 'redeployment-asked', at: a, lamport: 39, data: { slot: 'bootstrap-3', generation: 1, term: 5 } },
    {
      kind: 'redeployment-accepted',
      at: 'bootstrap-3@2',
      lamport: 42,
      data: { from: 1, term: 5, by: a },
    },
    // Its answer was late: asked again, which caused nothing.
    { kind: 'redeployment-asked', at: a, lamport: 43, data: { slot: 'bootstrap-3', generation: 1, term: 5 } },
    {
      kind: 'configuration-adopted',
      at: b,
      lamport: 46,
      data: { version: 2, came: 'bootstrap-3@2', went: c },
    },
    { kind: 'generation-over', at: c, lamport: 50, data: { member: c, newGeneration: 2 } },
    { kind: 'ring-changed', at: 'bootstrap-4@1', lamport: 60, data: { change: 'promoted', version: 3 } },
    { kind: 'configuration-adopted', at: b, lamport: 62, data: { version: 3 } },
  ];
  return told.map(event);
}

/** `effect < cause` for each pair, by kind and origin. */
function described(ordered: readonly ClusterEvent[]): string[] {
  const name = (place: number) => `${ordered[place]!.kind} ${originOf(ordered[place]!)}`;
  return causesOf(ordered).map(({ from, to }) => `${name(to)} < ${name(from)}`);
}

describe('the merged order', () => {
  it('goes by stamp, then by who stamped, then as the journal has it', () => {
    const events = [
      event({ kind: 'elected', at: b, lamport: 7 }),
      event({ kind: 'node-joined', at: b, lamport: 7 }),
      event({ kind: 'elected', at: a, lamport: 7 }),
      event({ kind: 'lease-lost', at: a, lamport: 7 }),
      event({ kind: 'elected', at: b, lamport: 3 }),
    ];
    expect(
      mergedOrder(events).map(({ lamport, kind, ...rest }) => [
        lamport,
        originOf({ lamport, kind, ...rest }),
        kind,
      ]),
    ).toEqual([
      [3, b, 'elected'],
      [7, a, 'elected'],
      [7, a, 'lease-lost'],
      [7, b, 'elected'],
      [7, 'control-api', 'node-joined'],
    ]);
  });

  it('does not depend on the order in which events were told', () => {
    const events = healing();
    const expected = mergedOrder(events);
    fc.assert(
      fc.property(fc.shuffledSubarray(events, { minLength: events.length }), (shuffled) => {
        expect(mergedOrder(shuffled)).toEqual(expected);
      }),
    );
  });
});

describe('causes', () => {
  it('are found where an effect names its cause, and only there', () => {
    expect(described(mergedOrder(healing()))).toEqual([
      `member-dead ${a} < node-joined control-api`,
      `member-dead ${a} < node-dead control-api`,
      // It tells of no evidence of its own, so from whom it learnt is not known.
      `member-dead ${b} < node-joined control-api`,
      `vote-granted ${b} < election-started ${a}`,
      `elected ${a} < election-started ${a}`,
      `leader-changed ${b} < elected ${a}`,
      'lease-granted control-api < elected bootstrap-1@1',
      `agent-lease-granted ${a} < lease-granted control-api`,
      `redeployment-accepted control-api < redeployment-asked ${a}`,
      `configuration-adopted ${b} < redeployment-accepted control-api`,
      `generation-over ${c} < redeployment-accepted control-api`,
      `configuration-adopted ${b} < ring-changed control-api`,
    ]);
  });

  it('of a candidacy are a leadership handed over, if nobody was asked for a pre-vote', () => {
    const transfer = event({ kind: 'leader-transfer', at: a, lamport: 5, data: { term: 6, to: b } });
    const stands = (lamport: number, phase: string) =>
      event({ kind: 'election-started', at: b, lamport, data: { term: 6, phase } });
    expect(described([transfer, stands(8, 'vote')])).toEqual([
      `election-started ${b} < leader-transfer ${a}`,
    ]);
    expect(described([transfer, stands(3, 'pre-vote'), stands(8, 'vote')])).toEqual([]);
  });

  it('are the same in whatever order reports come, if each origin’s events come as they happened', () => {
    const events = healing();
    const origins = [...new Set(events.map(originOf))];
    const pairsOf = (told: readonly ClusterEvent[]) => {
      const causes = new Causes<ClusterEvent>();
      return told
        .flatMap((one) => causes.add(one))
        .map(({ cause, effect }) => `${cause.sequence} ${effect.sequence}`)
        .sort();
    };
    // A control API's stamps and a node's are each in order; the whole may come interleaved in any way.
    const inOrder = mergedOrder(events);
    const expected = pairsOf(inOrder);
    expect(expected.length).toBe(12);
    const turns = fc.array(fc.nat(origins.length - 1), { minLength: 200, maxLength: 200 });
    fc.assert(
      fc.property(turns, (order) => {
        const queues = origins.map((origin) => inOrder.filter((one) => originOf(one) === origin));
        const told = [...order, ...origins.flatMap((_, index) => Array(20).fill(index))].flatMap((index) => {
          const next = queues[index as number]!.shift();
          return next === undefined ? [] : [next];
        });
        expect(told.length).toBe(events.length);
        expect(pairsOf(told)).toEqual(expected);
      }),
      { numRuns: 50 },
    );
  });
});
