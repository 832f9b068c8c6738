/**
 * The events of all nodes as one log: in which order, and which is known to have caused which.
 *
 * The journal has events in the order in which they were told, which is that of reports. Their Lamport stamps
 * (Communications of the ACM 21(7), 1978) give the order in which they can have happened: no effect stands before
 * its cause, and equal stamps, which say that neither can have caused the other, are told apart by who stamped.
 */
import { type ClusterEvent, eventKinds } from './events.ts';
import { controlApiNode } from './fault.ts';

/** What of an event tells its place and its causes. */
export type StampedEvent = Pick<ClusterEvent, 'kind' | 'slot' | 'generation' | 'lamport' | 'data'>;

/** An effect and what caused it, as places in a list of events. */
export interface Causation {
  readonly from: number;
  readonly to: number;
}

const ofControlApi: ReadonlySet<string> = new Set(eventKinds);

/** Who stamped an event: `control-api`, which also tells of slots, or the machine that it happened at, `bootstrap-2@1`. */
export function originOf({ kind, slot, generation }: StampedEvent): string {
  return ofControlApi.has(kind) || slot === undefined ? controlApiNode : `${slot}@${generation}`;
}

/** The events in their one total order: by stamp, then by who stamped, then as the journal has them. */
export function mergedOrder(events: readonly ClusterEvent[]): ClusterEvent[] {
  return [...events].sort(
    (one, other) =>
      one.lamport - other.lamport || compare(originOf(one), originOf(other)) || one.sequence - other.sequence,
  );
}

/** Which events of a merged order caused which, as far as they say so themselves; in the order of the effects. */
export function causesOf(ordered: readonly StampedEvent[]): readonly Causation[] {
  const causes = new Causes();
  const places = new Map(ordered.map((event, place) => [event, place]));
  return ordered
    .flatMap((event) => causes.add(event))
    .map(({ cause, effect }) => ({ from: places.get(cause)!, to: places.get(effect)! }))
    .sort((one, other) => one.to - other.to || one.from - other.from);
}

/**
 * Finds pairs of cause and effect among events that come in any order, but for those of one origin, which come as
 * they happened. Only what is certain is a pair: an effect names its cause by what no second event can be, a vote
 * for instance by its term and candidate; of one that is repeated, as asking is, the first is meant.
 */
export class Causes<E extends StampedEvent = StampedEvent> {
  readonly #known = new Map<string, E>();
  /** Effects whose cause has not come. */
  readonly #waiting = new Map<string, E[]>();
  /** By term and candidate. */
  readonly #preVotes = new Set<string>();
  readonly #begun = new Set<string>();

  /** The pairs that are known now and were not before. */
  add(event: E): { readonly cause: E; readonly effect: E }[] {
    const origin = originOf(event);
    const pairs: { cause: E; effect: E }[] = [];
    for (const name of this.#causesNamed(event, origin)) {
      const cause = this.#known.get(name);
      if (cause !== undefined) pairs.push({ cause, effect: event });
      else this.#waiting.set(name, [...(this.#waiting.get(name) ?? []), event]);
    }
    const name = nameOf(event, origin);
    if (name !== undefined && !this.#known.has(name)) {
      this.#known.set(name, event);
      for (const effect of this.#waiting.get(name) ?? []) pairs.push({ cause: event, effect });
      this.#waiting.delete(name);
    }
    return pairs;
  }

  #causesNamed(event: E, origin: string): string[] {
    const names = causeNames(event, origin);
    if (event.kind === 'election-started') {
      const { term, phase } = event.data;
      // Only whom the leader told to stand in its place does so without asking who would vote.
      if (phase === 'vote' && !this.#preVotes.has(`${term} ${origin}`))
        names.push(`transfer ${term} ${origin}`);
      if (phase === 'pre-vote') this.#preVotes.add(`${term} ${origin}`);
    }
    // A machine does nothing that is told of before it has joined.
    if (origin !== controlApiNode && !this.#begun.has(origin)) names.push(`joined ${origin}`);
    this.#begun.add(origin);
    return names;
  }
}

/** What later events may know an event by. */
function nameOf({ kind, slot, generation, data }: StampedEvent, origin: string): string | undefined {
  switch (kind) {
    case 'election-started':
      return data.phase === 'vote' ? `candidacy ${data.term} ${origin}` : undefined;
    case 'elected':
      return `elected ${data.term} ${origin}`;
    case 'leader-transfer':
      return `transfer ${data.term} ${data.to}`;
    case 'lease-granted':
      return `lease ${data.term}`;
    case 'node-dead':
      return `death ${slot}@${generation} ${short(data.evidence)}`;
    case 'redeployment-asked':
      return `asked ${data.term} ${data.slot}@${data.generation} ${origin}`;
    case 'redeployment-accepted':
    case 'node-added':
      return `admitted ${slot}@${generation}`;
    case 'ring-changed':
      return `ring ${data.version}`;
    case 'node-joined':
      return `joined ${slot}@${generation}`;
    case 'node-serving':
      return `serving ${slot}@${generation}`;
    default:
      return undefined;
  }
}

/** The names of what an event says that it follows from. */
function causeNames({ kind, slot, generation, data }: StampedEvent, origin: string): string[] {
  switch (kind) {
    case 'vote-granted':
      return [`candidacy ${data.term} ${data.candidate}`];
    case 'elected':
      return [`candidacy ${data.term} ${origin}`];
    case 'lease-granted':
      return [`elected ${data.term} ${slot}@${generation}`];
    case 'agent-lease-granted':
      return [`lease ${data.term}`];
    case 'leader-changed':
      // The leader itself tells that the leader is another just before it tells that it was elected.
      return data.leader === undefined || data.leader === origin
        ? []
        : [`elected ${data.term} ${data.leader}`];
    case 'member-dead':
      // Others learnt it by gossip, or saw it themselves.
      return data.detail === undefined ? [] : [`death ${data.member} ${data.detail}`];
    case 'redeployment-accepted':
      return [`asked ${data.term} ${slot}@${data.from} ${data.by}`];
    case 'configuration-adopted':
      return [`ring ${data.version}`, ...machinesOf(data.came).map((machine) => `admitted ${machine}`)];
    case 'generation-over':
      return [`admitted ${slot}@${data.newGeneration}`];
    case 'node-launched':
    case 'node-joined':
      return [`admitted ${slot}@${generation}`];
    case 'node-serving':
      return [`joined ${slot}@${generation}`];
    case 'redeployment-complete':
      return [`serving ${slot}@${generation}`];
    default:
      return [];
  }
}

/** Agents cut what they tell. */
const longestText = 400;

function machinesOf(list: unknown): string[] {
  return typeof list === 'string' ? list.split(' ') : [];
}

function short(text: unknown): string {
  return String(text).slice(0, longestText);
}

function compare(one: string, other: string): number {
  return one < other ? -1 : Number(one > other);
}
