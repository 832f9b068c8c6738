/**
 * A cluster's events and nodes as server-sent events. The stream is pulled: it reads the journal from where
 * its reader is, so a slow reader costs nothing and misses nothing.
 */
import type { Clock } from '@skep/p2p-core/host';
import type { ClusterRecord } from './cluster-record.ts';
import type { Liveness } from './liveness.ts';
import type { Journal } from './ports/journal.ts';
import { nodeViews } from './views.ts';
import { viewTopic, type Wakeups } from './wakeups.ts';

export interface EventStreamComponents {
  readonly clock: Clock;
  readonly journal: Journal;
  readonly liveness: Liveness;
  readonly wakeups: Wakeups;
  readonly now: () => number;
}

const nodesIntervalMs = 250;
const keepAliveMs = 15_000;
const eventsPerPull = 100;
const encoder = new TextEncoder();

/** Streams the events after `after`, and the nodes whenever they changed, until either side ends it. */
export function eventStream(
  components: EventStreamComponents,
  record: ClusterRecord,
  after: number,
): ReadableStream<Uint8Array> {
  const { clock, journal, liveness, wakeups, now } = components;
  const closing = new AbortController();
  const topic = viewTopic(record.uid);
  /** Something came into the journal since it was last read; waking alone is lost on who does not wait yet. */
  let unread = false;
  const unsubscribe = journal.subscribe(record.uid, () => {
    unread = true;
    wakeups.wake(topic);
  });
  let cursor = after;
  let shown = '';
  let shownAtMs = Number.NEGATIVE_INFINITY;
  let saidAtMs = clock.now();

  async function next(): Promise<string | undefined> {
    while (!closing.signal.aborted && !wakeups.closed) {
      unread = false;
      const events = await journal.read(record.uid, cursor, eventsPerPull);
      const newest = events.at(-1);
      if (newest !== undefined) {
        cursor = newest.sequence;
        return events.map((event) => format('event', JSON.stringify(event), event.sequence)).join('');
      }
      if (unread) continue;
      if (record.ended) return undefined;
      const sinceShownMs = clock.now() - shownAtMs;
      if (sinceShownMs >= nodesIntervalMs) {
        const nodes = nodeViews(record, liveness, now());
        // Time passing alone is no change.
        const text = JSON.stringify(nodes, (key, value) => (key === 'heardAgoMs' ? undefined : value));
        if (text !== shown) {
          shown = text;
          shownAtMs = clock.now();
          return format('nodes', JSON.stringify(nodes));
        }
      }
      const quietMs = clock.now() - saidAtMs;
      if (quietMs >= keepAliveMs) return ': still here\n\n';
      const untilNodesMs = sinceShownMs < nodesIntervalMs ? nodesIntervalMs - sinceShownMs : keepAliveMs;
      await wakeups.wait([topic], Math.min(untilNodesMs, keepAliveMs - quietMs), closing.signal);
    }
    return undefined;
  }

  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const text = await next().catch((error) => {
          unsubscribe();
          throw error;
        });
        saidAtMs = clock.now();
        if (text !== undefined) {
          controller.enqueue(encoder.encode(text));
          return;
        }
        unsubscribe();
        if (!closing.signal.aborted) controller.close();
      },
      cancel() {
        closing.abort();
        unsubscribe();
      },
    },
    { highWaterMark: 0 },
  );
}

function format(event: string, data: string, id?: number): string {
  return `event: ${event}\n${id === undefined ? '' : `id: ${id}\n`}data: ${data}\n\n`;
}
