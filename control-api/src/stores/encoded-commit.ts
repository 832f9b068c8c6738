/** A commit as text, which every store keeps, held to what a commit may be. */
import { commitLimits, type NewEvent, type Write } from '../ports/store.ts';

export interface EncodedWrite {
  readonly key: string;
  readonly expectedVersion: number;
  /** JSON of the value to put. */
  readonly text?: string;
  readonly remove?: true;
}

export interface EncodedEvent {
  readonly clusterUid: string;
  readonly lamport: number;
  /** JSON of the event as readers get it, but for its sequence. */
  readonly text: string;
}

export interface EncodedCommit {
  readonly writes: readonly EncodedWrite[];
  readonly events: readonly EncodedEvent[];
}

const mostBytesACharacter = 3;
const encoder = new TextEncoder();

/** Throws RangeError beyond `commitLimits`, and if a row is written twice. */
export function encodeCommit(writes: readonly Write[], events: readonly NewEvent[]): EncodedCommit {
  refuseAbove(commitLimits.writes, writes.length, 'rows');
  refuseAbove(commitLimits.events, events.length, 'events');
  refuseAbove(
    commitLimits.clusters,
    new Set(events.map(({ clusterUid }) => clusterUid)).size,
    'clusters with events',
  );
  if (new Set(writes.map(({ key }) => key)).size < writes.length) {
    throw new RangeError('a commit writes or checks each row once');
  }
  const encoded: EncodedCommit = {
    writes: writes.map(({ key, expectedVersion, put, remove }) => ({
      key,
      expectedVersion,
      ...(remove ? { remove } : put === undefined ? {} : { text: JSON.stringify(put) }),
    })),
    events: events.map(({ clusterUid, ...event }) => ({
      clusterUid,
      lamport: event.lamport,
      text: JSON.stringify(event),
    })),
  };
  const texts = [...encoded.writes, ...encoded.events].flatMap(({ text }) => text ?? []);
  for (const text of texts) {
    refuseAbove(commitLimits.valueBytes, bytesOf([text], commitLimits.valueBytes), 'bytes in a row or event');
  }
  refuseAbove(commitLimits.bytes, bytesOf(texts, commitLimits.bytes), 'bytes');
  return encoded;
}

/** Length in UTF-8; the texts are only looked through if they might be longer than `enoughBytes`. */
function bytesOf(texts: readonly string[], enoughBytes: number): number {
  const mostBytes = texts.reduce((sum, text) => sum + text.length * mostBytesACharacter, 0);
  if (mostBytes <= enoughBytes) return mostBytes;
  return texts.reduce((sum, text) => sum + encoder.encode(text).length, 0);
}

function refuseAbove(most: number, found: number, what: string): void {
  if (found > most)
    throw new RangeError(`a commit has at most ${most} ${what}, this one has ${found}: make it several`);
}
