/** The space-time diagram: its lines, its arrows, and that whatever machines tell is text in it. */
import type { ClusterEvent } from '@skep/contract';
import { describe, expect, it } from 'vitest';
import { adminToken, createWorld, viewerToken } from '../testing/world.ts';
import { lanesOf, livesOf } from './lives.ts';
import { spaceTimeDiagram } from './space-time.ts';

type Told = readonly [kind: string, machine?: string, data?: ClusterEvent['data']];

/** Events in merged order: each is stamped one above the last. */
function log(...told: readonly Told[]): ClusterEvent[] {
  return told.map(([kind, machine, data = {}], index) => {
    const [slot, generation] = machine?.split('@') ?? [];
    return {
      sequence: index + 1,
      cluster: 'bees',
      atMs: 1_000 * index,
      kind,
      lamport: index + 1,
      data,
      ...(slot === undefined ? {} : { slot, generation: Number(generation) }),
    };
  });
}

const count = (text: string, pattern: RegExp) => [...text.matchAll(pattern)].length;

/** Throws unless every element that is begun is ended in its place, and text is free of bare characters of markup. */
function checkWellFormed(xml: string): void {
  const open: string[] = [];
  let rest = xml;
  for (const [whole, text, end, name, , empty] of xml.matchAll(
    /([^<]*)<(\/?)([a-z]+)((?:\s[\w:-]+="[^"<&]*")*)\s*(\/?)>/gi,
  )) {
    expect(text).toMatch(/^(?:[^&]|&(?:amp|lt|gt|quot);)*$/);
    if (end) expect(open.pop()).toBe(name);
    else if (!empty) open.push(name!);
    rest = rest.slice(whole!.length);
  }
  expect(open).toEqual([]);
  expect(rest.trim()).toBe('');
}

describe('lives', () => {
  it('are told from their launch to their end, the fenced ones apart', () => {
    const events = log(
      ['node-launched', 'bootstrap-1@1'],
      ['node-joined', 'bootstrap-1@1'],
      ['node-serving', 'bootstrap-1@1'],
      ['redeployment-accepted', 'bootstrap-1@2'],
      ['generation-gone', 'bootstrap-1@1'],
      ['node-launched', 'bootstrap-1@2'],
      ['node-joined', 'bootstrap-1@2'],
      ['node-dead', 'bootstrap-1@2'],
      ['redeployment-accepted', 'bootstrap-1@3'],
    );
    expect(
      livesOf(events).map(({ generation, phase, fromRow, toRow }) => [generation, phase, fromRow, toRow]),
    ).toEqual([
      [1, 'coming', 0, 1],
      [1, 'alive', 1, 3],
      [1, 'fenced', 3, 4],
      [2, 'coming', 3, 6],
      [2, 'alive', 6, 7],
      [3, 'coming', 8, 9],
    ]);
  });

  it('that began before the log do so above it, and an end ends them once', () => {
    const events = log(
      ['elected', 'bootstrap-2@4', { term: 1 }],
      ['node-dead', 'bootstrap-2@4', { evidence: 'exited' }],
      ['member-suspected', 'bootstrap-2@4', { member: 'bootstrap-1@1' }],
      ['redeployment-accepted', 'bootstrap-1@2', { from: 1 }],
    );
    expect(livesOf(events)).toEqual([
      { slot: 'bootstrap-2', generation: 4, phase: 'alive', fromRow: -1, toRow: 1 },
      { slot: 'bootstrap-1', generation: 1, phase: 'alive', fromRow: -1, toRow: 3 },
      { slot: 'bootstrap-1', generation: 1, phase: 'fenced', fromRow: 3, toRow: 4 },
      { slot: 'bootstrap-1', generation: 2, phase: 'coming', fromRow: 3, toRow: 4 },
    ]);
  });

  it('have a lane a slot, by role and number, beside that of the control API', () => {
    const events = log(['elected', 'bootstrap-10@1'], ['elected', 'peer-1@1'], ['elected', 'bootstrap-9@2']);
    expect(lanesOf(events)).toEqual(['control-api', 'bootstrap-9', 'bootstrap-10', 'peer-1']);
  });
});

describe('the diagram', () => {
  it('has a dot an event and an arrow from each cause at another node', () => {
    const svg = spaceTimeDiagram(
      log(
        ['election-started', 'bootstrap-1@1', { term: 1, phase: 'vote' }],
        ['vote-granted', 'bootstrap-2@1', { term: 1, candidate: 'bootstrap-1@1' }],
        ['elected', 'bootstrap-1@1', { term: 1 }],
        ['lease-granted', 'bootstrap-1@1', { term: 1 }],
        ['agent-lease-granted', 'bootstrap-1@1', { term: 1, durationMs: 5_000 }],
        ['vote-granted', 'bootstrap-3@1', { term: 9, candidate: 'bootstrap-1@1' }],
      ),
      'bees',
    );
    checkWellFormed(svg);
    const [, drawn] = svg.split('</style>');
    // Five of the legend's dots, and one of its arrows.
    expect(count(drawn!, /class="dot"/g)).toBe(5 + 6);
    expect(count(drawn!, /class="arrow"/g)).toBe(1 + 3);
    expect(svg).toContain('prefers-color-scheme:dark');
  });

  it('keeps what machines tell as text, and to one line', () => {
    const hostile = '</text><script>alert(1)</script>&"\u0000\u202e\ud800';
    const svg = spaceTimeDiagram(
      log(['agent-story', 'peer-1@1', { name: hostile, long: 'x'.repeat(400) }]),
      hostile,
      hostile,
    );
    checkWellFormed(svg);
    expect(svg).not.toContain('<script');
    // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
    expect(svg).not.toMatch(/[\u0000\u202e\ud800]/);
    expect(svg).toContain('x…</tspan>');
    // The whole is told where the pointer rests.
    expect(svg).toContain('x'.repeat(400));
  });

  it('of nothing is one as well', () => {
    checkWellFormed(spaceTimeDiagram([], 'bees', 'no events'));
  });

  it('is had from the control API, of the newest events or of those after one', async () => {
    const world = await createWorld();
    const params = { cluster: 'bees' };
    await world.client(adminToken).createCluster({ body: { name: 'bees', bootstrap: 1, peers: 1 } });
    await (await world.agent('bootstrap-1')).serve();
    const events = await world.client(viewerToken).listEvents({ params });
    const newest = events.at(-1)!.sequence;
    const draw = async (query: { after?: number; limit?: number }) => {
      const answer = await world.client(viewerToken).drawEvents({ params, query });
      expect(answer.headers.get('content-type')).toMatch(/^image\/svg\+xml/);
      return answer.text();
    };
    const svg = await draw({ limit: 2 });
    checkWellFormed(svg);
    expect(svg).toContain(`events ${newest - 1} to ${newest} of ${newest}`);
    expect(await draw({ after: 0, limit: 1 })).toContain(`events 1 to 1 of ${newest}`);
    expect(await draw({ after: newest })).toContain('no events');
    await Promise.all([world.api.stop(), world.advance(2_000)]);
  });
});
