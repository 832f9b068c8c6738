import { createApiClient } from '@skep/contract';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { EventStreamParser, followEvents } from './event-stream.ts';

describe('the parser', () => {
  const stream =
    ': hello\r\nid: 7\nevent: event\ndata: {"a":1}\n\nevent: nodes\r\ndata:[]\ndata: x\n\ndata\n\n: end\n\n';
  const expected = [
    { type: 'event', data: '{"a":1}' },
    { type: 'nodes', data: '[]\nx' },
    { type: 'message', data: '' },
  ];

  it('gives the same events however the stream is cut', () => {
    fc.assert(
      fc.property(fc.array(fc.nat({ max: stream.length }), { maxLength: 12 }), (cuts) => {
        const parser = new EventStreamParser();
        const edges = [0, ...cuts.sort((a, b) => a - b), stream.length];
        const events = edges.slice(1).flatMap((end, index) => parser.push(stream.slice(edges[index], end)));
        expect(events).toEqual(expected);
      }),
    );
  });

  it('gives up on a line without end', () => {
    const parser = new EventStreamParser();
    expect(() => {
      for (let i = 0; i < 10; i++) parser.push('x'.repeat(1_000_000));
    }).toThrow(RangeError);
  });
});

it('takes a broken stream up again after the last event', async () => {
  const event = (sequence: number) =>
    `event: event\ndata: ${JSON.stringify({ sequence, cluster: 'demo', atMs: 1, kind: 'node-dead', lamport: 1, data: {} })}\n\n`;
  const answers = [event(1) + event(2), 'gone', event(2) + event(3)];
  const asked: string[] = [];
  const stop = new AbortController();
  const seen: number[] = [];
  await followEvents({
    api: createApiClient({
      baseUrl: 'http://test',
      fetch: async (url) => {
        asked.push(new URL(url).search);
        const answer = answers.shift();
        if (answer === 'gone') throw new Error('connection refused');
        return new Response(answer);
      },
    }),
    cluster: 'demo',
    clock: {
      now: () => 0,
      wallTime: () => 0,
      setTimer: (_, callback) => {
        queueMicrotask(callback);
        return { cancel() {} };
      },
    },
    signal: stop.signal,
    after: 0,
    onEvent: ({ sequence }) => {
      seen.push(sequence);
      if (sequence === 3) stop.abort();
    },
  });
  expect(seen).toEqual([1, 2, 3]);
  expect(asked).toEqual(['?after=0', '?after=2', '?after=2']);
});
