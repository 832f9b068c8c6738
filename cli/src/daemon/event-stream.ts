/**
 * The server-sent events of a cluster. The stream is taken up again where it broke, so that a restart of
 * the control API loses no event and doubles none.
 */
import { type ApiClient, ApiError, ClusterEvent } from '@skep/contract';
import { type Clock, sleep } from '@skep/p2p-core/host';

export interface ServerSentEvent {
  readonly type: string;
  readonly data: string;
}

const longestLine = 4_194_304;

/** Parses text/event-stream as the HTML standard has it, chunk by chunk; comments, ids and retries are skipped. */
export class EventStreamParser {
  #rest = '';
  #type = '';
  #data: string[] = [];

  /** The events that this chunk completes. Throws RangeError on a line beyond 4 MiB. */
  push(chunk: string): ServerSentEvent[] {
    const lines = (this.#rest + chunk).split(/\r\n|\n|\r(?!$)/);
    this.#rest = lines.pop() ?? '';
    if (this.#rest.length > longestLine) throw new RangeError('a line of the event stream is too long');
    const events: ServerSentEvent[] = [];
    for (const line of lines) {
      if (line === '') {
        if (this.#data.length > 0)
          events.push({ type: this.#type || 'message', data: this.#data.join('\n') });
        this.#type = '';
        this.#data = [];
        continue;
      }
      const [, field, value = ''] = /^([^:]*):? ?(.*)$/s.exec(line) ?? [];
      if (field === 'event') this.#type = value;
      if (field === 'data') this.#data.push(value);
    }
    return events;
  }
}

export interface FollowOptions {
  readonly api: ApiClient;
  readonly cluster: string;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** Events after this sequence. */
  readonly after: number;
  readonly onEvent: (event: ClusterEvent) => void;
}

const reconnectMs = 300;

/**
 * Calls `onEvent` for each event, in order, each once. Resolves when the signal is aborted or the cluster is
 * gone; rejects if the API refuses.
 */
export async function followEvents(options: FollowOptions): Promise<void> {
  const { api, cluster, clock, signal, onEvent } = options;
  let { after } = options;
  while (!signal.aborted) {
    try {
      const response = await api.streamEvents({
        params: { cluster },
        query: { after },
        timeoutMs: Number.POSITIVE_INFINITY,
        signal,
      });
      await readEvents(response, (event) => {
        if (event.sequence <= after || signal.aborted) return;
        after = event.sequence;
        onEvent(event);
      });
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof ApiError && error.status === 404) return;
      if (error instanceof ApiError && error.status < 500) throw error;
    }
    await sleep(clock, reconnectMs, signal).catch(() => undefined);
  }
}

async function readEvents(response: Response, onEvent: (event: ClusterEvent) => void): Promise<void> {
  if (response.body === null) return;
  const parser = new EventStreamParser();
  const decoder = new TextDecoder();
  for await (const bytes of response.body) {
    for (const { type, data } of parser.push(decoder.decode(bytes, { stream: true }))) {
      if (type !== 'event') continue;
      const event = ClusterEvent.safeParse(JSON.parse(data));
      if (event.success) onEvent(event.data);
    }
  }
}
