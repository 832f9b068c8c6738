/**
 * Iterative lookup (BEP 5, "find_node" and "get_peers"; Kademlia, section 2.3) as a pure state machine: its owner asks
 * `next` whom to query, and tells it what came of it. It ends when the k nearest nodes that answer have answered.
 *
 * Strangers' answers steer it, so it believes little of them: a node counts at the id that it answers with itself, not at the one
 * others gave it; an address is queried once, however many ids point to it; one answer may name k nodes; candidates
 * and queries are bounded.
 *
 * A slow node frees its place at once, which is what makes the parallelism adapt; when nobody new is left to ask, slow
 * ones among the nearest are asked once more, since it may have been the datagram that died.
 */
import { formatAddress } from '../../host/address.ts';
import type { Address } from '../../host/host.ts';
import { isSendable, unpackEndpoint } from './endpoint.ts';
import { NODE_INFO_LENGTH } from './krpc.ts';
import { compareDistance, ID_LENGTH, sameId } from './node-id.ts';
import { BUCKET_SIZE, type Contact } from './routing-table.ts';

export type CandidateState = 'fresh' | 'asked' | 'slow' | 'answered' | 'failed';

export interface Candidate {
  readonly address: Address;
  /** 20 bytes; undefined for a bootstrap address until it has answered. */
  readonly id: Uint8Array | undefined;
  readonly state: CandidateState;
  /** From a get_peers response. */
  readonly token: Uint8Array | undefined;
}

interface Entry {
  address: Address;
  id: Uint8Array | undefined;
  state: CandidateState;
  isRetried: boolean;
  token: Uint8Array | undefined;
}

export interface LookupOptions {
  /** Our own id: never a candidate. */
  readonly ownId: Uint8Array;
  /** Queries at once that are not slow yet; default 3, alpha of Kademlia. */
  readonly parallelism?: number;
  /** Queries in all; default 100. */
  readonly maxQueries?: number;
}

/** The nearest this many are kept. Failed ones keep their place, so that nobody can bring them back. */
const MAX_CANDIDATES = 96;

export class Lookup {
  readonly target: Uint8Array;
  readonly #ownId: Uint8Array;
  readonly #parallelism: number;
  readonly #maxQueries: number;
  /** Sorted, nearest first; only those with an id. */
  readonly #candidates: Entry[] = [];
  readonly #seeds: Entry[] = [];
  readonly #askedAddresses = new Set<string>();
  #inFlight = 0;
  #answers = 0;

  constructor(target: Uint8Array, options: LookupOptions) {
    this.target = target;
    this.#ownId = options.ownId;
    this.#parallelism = options.parallelism ?? 3;
    this.#maxQueries = options.maxQueries ?? 100;
  }

  /** How many nodes have answered. */
  get answers(): number {
    return this.#answers;
  }

  /** How many have been asked. */
  get queries(): number {
    return this.#askedAddresses.size;
  }

  /** Nodes to start from. */
  addContacts(contacts: Iterable<Contact>): void {
    for (const { id, address } of contacts) this.#add(id, address);
  }

  /** Addresses to start from whose ids nobody knows; they are asked first. */
  addSeeds(addresses: Iterable<Address>): void {
    for (const address of addresses) {
      if (this.#seeds.length < MAX_CANDIDATES) this.#seeds.push(newEntry(undefined, address));
    }
  }

  /** Whom to query now; undefined if nobody, for now or, once `done`, for good. Counts as asked from here on. */
  next(): Candidate | undefined {
    if (this.#inFlight >= this.#parallelism) return undefined;
    const entry = this.#pick();
    if (entry === undefined) return undefined;
    entry.isRetried = entry.state === 'slow';
    entry.state = 'asked';
    this.#askedAddresses.add(formatAddress(entry.address));
    this.#inFlight++;
    return entry;
  }

  /** Nothing is under way that is not slow, and `next` has nobody. */
  get done(): boolean {
    return this.#inFlight === 0 && this.#pick() === undefined;
  }

  /** `candidate` answered as `id` and named `nodes` (compact node info, a multiple of 26 bytes). */
  answered(
    candidate: Candidate,
    id: Uint8Array,
    nodes: Uint8Array | undefined,
    token: Uint8Array | undefined,
  ): void {
    const entry = candidate as Entry;
    if (entry.state !== 'asked' && entry.state !== 'slow') return;
    if (entry.state === 'asked') this.#inFlight--;
    this.#answers++;
    entry.state = 'answered';
    entry.token = token?.slice();
    if (entry.id === undefined || !sameId(entry.id, 0, id, 0)) this.#moveTo(entry, id.slice());
    if (nodes !== undefined) this.#addNodes(nodes);
  }

  /** `candidate` takes long: others go on in its place, but its answer still counts if it comes before the end. */
  slow(candidate: Candidate): void {
    const entry = candidate as Entry;
    if (entry.state !== 'asked') return;
    this.#inFlight--;
    entry.state = 'slow';
  }

  /** `candidate` answered with an error or not at all. */
  failed(candidate: Candidate): void {
    const entry = candidate as Entry;
    if (entry.state === 'asked') this.#inFlight--;
    if (entry.state === 'asked' || entry.state === 'slow') entry.state = 'failed';
  }

  /** The k nearest that have answered, the nearest first. */
  nearest(): Candidate[] {
    const answered: Candidate[] = [];
    for (const entry of this.#candidates) {
      if (entry.state !== 'answered') continue;
      answered.push(entry);
      if (answered.length === BUCKET_SIZE) break;
    }
    return answered;
  }

  /** Seeds first, then the k nearest that may still answer, then the slow ones among them once more. */
  #pick(): Entry | undefined {
    if (this.queries >= this.#maxQueries) return undefined;
    for (const seed of this.#seeds) if (this.#isAskable(seed)) return seed;
    let hopeful = 0;
    let slow: Entry | undefined;
    for (const entry of this.#candidates) {
      if (this.#isAskable(entry)) return entry;
      if (entry.state === 'slow' && !entry.isRetried) slow ??= entry;
      if (entry.state === 'answered' || entry.state === 'asked') hopeful++;
      if (hopeful === BUCKET_SIZE) break;
    }
    return slow;
  }

  /** Strikes off whose address was asked under another id. */
  #isAskable(entry: Entry): boolean {
    if (entry.state !== 'fresh') return false;
    if (!this.#askedAddresses.has(formatAddress(entry.address))) return true;
    entry.state = 'failed';
    return false;
  }

  #addNodes(nodes: Uint8Array): void {
    const end = Math.min(nodes.length, BUCKET_SIZE * NODE_INFO_LENGTH);
    for (let at = 0; at < end; at += NODE_INFO_LENGTH) {
      if (!isSendable(nodes, at + ID_LENGTH) || !this.#isNearEnough(nodes, at)) continue;
      this.#add(nodes.slice(at, at + ID_LENGTH), unpackEndpoint(nodes, at + ID_LENGTH));
    }
  }

  /** Spares making objects of nodes that `#insert` would drop. */
  #isNearEnough(nodes: Uint8Array, at: number): boolean {
    if (this.#candidates.length < MAX_CANDIDATES) return true;
    return compareDistance(this.target, nodes, at, this.#candidates[MAX_CANDIDATES - 1]!.id!, 0) < 0;
  }

  #add(id: Uint8Array, address: Address): void {
    this.#insert(newEntry(id, address));
  }

  /** What others said about ids is dropped where it clashes with what a node said itself. */
  #moveTo(entry: Entry, id: Uint8Array): void {
    const before = this.#candidates.indexOf(entry);
    if (before >= 0) this.#candidates.splice(before, 1);
    entry.id = id;
    const same = this.#candidates.findIndex((other) => sameId(other.id!, 0, id, 0));
    if (same >= 0) {
      if (this.#candidates[same]!.state === 'answered') return;
      const [replaced] = this.#candidates.splice(same, 1);
      if (replaced!.state === 'asked') this.#inFlight--;
      replaced!.state = 'failed';
    }
    this.#insert(entry);
  }

  #insert(entry: Entry): void {
    if (sameId(entry.id!, 0, this.#ownId, 0)) return;
    let low = 0;
    let high = this.#candidates.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      const order = compareDistance(this.target, entry.id!, 0, this.#candidates[middle]!.id!, 0);
      if (order === 0) return;
      if (order < 0) high = middle;
      else low = middle + 1;
    }
    if (low >= MAX_CANDIDATES) return;
    this.#candidates.splice(low, 0, entry);
    if (this.#candidates.length > MAX_CANDIDATES) {
      const dropped = this.#candidates.pop()!;
      // Its answer is not waited for any more.
      if (dropped.state === 'asked') this.#inFlight--;
      if (dropped.state !== 'answered') dropped.state = 'failed';
    }
  }
}

function newEntry(id: Uint8Array | undefined, address: Address): Entry {
  return { address, id, state: 'fresh', isRetried: false, token: undefined };
}
