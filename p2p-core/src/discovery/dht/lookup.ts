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
import type { Address } from '../../host/host.ts';
import { hostOf, ipAt, isSendable, packEndpoint, portAt } from './endpoint.ts';
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

class Entry implements Candidate {
  id: Uint8Array | undefined;
  /** The first 48 bits of the distance to the target: decides nearly every comparison without a look at the id. */
  distance = 0;
  state: CandidateState = 'fresh';
  isRetried = false;
  token: Uint8Array | undefined;
  readonly ip: number;
  readonly port: number;
  #address: Address | undefined;

  constructor(id: Uint8Array | undefined, ip: number, port: number) {
    this.id = id;
    this.ip = ip;
    this.port = port;
  }

  /** Made when it is asked for: most candidates are never queried. */
  get address(): Address {
    this.#address ??= { host: hostOf(this.ip), port: this.port };
    return this.#address;
  }
}

export interface LookupOptions {
  /** Our own id: never a candidate. */
  readonly ownId: Uint8Array;
  /** Queries at once that are not slow yet; default 3, alpha of Kademlia. */
  readonly parallelism?: number;
  /** Queries in all; default 100. */
  readonly maxQueries?: number | undefined;
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
  readonly #asked: Entry[] = [];
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
    return this.#asked.length;
  }

  /** Nodes to start from. */
  addContacts(contacts: Iterable<Contact>): void {
    for (const { id, address } of contacts) {
      if (!packEndpoint(address, packed, ID_LENGTH)) continue;
      packed.set(id);
      this.#add(packed, 0);
    }
  }

  /** Addresses to start from whose ids nobody knows; they are asked first. */
  addSeeds(addresses: Iterable<Address>): void {
    for (const address of addresses)
      if (this.#seeds.length < MAX_CANDIDATES && packEndpoint(address, packed, 0))
        this.#seeds.push(new Entry(undefined, ipAt(packed, 0), portAt(packed, 0)));
  }

  /** Whom to query now; undefined if nobody, for now or, once `done`, for good. Counts as asked from here on. */
  next(): Candidate | undefined {
    if (this.#inFlight >= this.#parallelism) return undefined;
    const entry = this.#pick();
    if (entry === undefined) return undefined;
    entry.isRetried = entry.state === 'slow';
    entry.state = 'asked';
    this.#asked.push(entry);
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
    if (!this.#asked.some(({ ip, port }) => ip === entry.ip && port === entry.port)) return true;
    entry.state = 'failed';
    return false;
  }

  #addNodes(nodes: Uint8Array): void {
    const end = Math.min(nodes.length, BUCKET_SIZE * NODE_INFO_LENGTH);
    for (let at = 0; at < end; at += NODE_INFO_LENGTH)
      if (isSendable(nodes, at + ID_LENGTH)) this.#add(nodes, at);
  }

  /** The node in the 26 bytes at `at`, unless it is known, ourselves, or too far. */
  #add(nodes: Uint8Array, at: number): void {
    const place = this.#placeFor(nodes, at);
    if (place < 0) return;
    const endpointAt = at + ID_LENGTH;
    const entry = new Entry(nodes.slice(at, endpointAt), ipAt(nodes, endpointAt), portAt(nodes, endpointAt));
    entry.distance = this.#distanceOf(nodes, at);
    this.#insertAt(place, entry);
  }

  /** What others said about ids is dropped where it clashes with what a node said itself. */
  #moveTo(entry: Entry, id: Uint8Array): void {
    const before = this.#candidates.indexOf(entry);
    if (before >= 0) this.#candidates.splice(before, 1);
    entry.id = id;
    entry.distance = this.#distanceOf(id, 0);
    const same = this.#candidates.findIndex((other) => sameId(other.id!, 0, id, 0));
    if (same >= 0) {
      if (this.#candidates[same]!.state === 'answered') return;
      const [replaced] = this.#candidates.splice(same, 1);
      if (replaced!.state === 'asked') this.#inFlight--;
      replaced!.state = 'failed';
    }
    const place = this.#placeFor(id, 0);
    if (place >= 0) this.#insertAt(place, entry);
  }

  /** Where the id of 20 bytes at `at` belongs; -1 if it has no place. */
  #placeFor(ids: Uint8Array, at: number): number {
    const candidates = this.#candidates;
    const distance = this.#distanceOf(ids, at);
    let low = 0;
    let high = candidates.length;
    // Most of those named late are farther than all that count.
    if (high === MAX_CANDIDATES && distance > candidates[high - 1]!.distance) return -1;
    while (low < high) {
      const middle = (low + high) >> 1;
      const other = candidates[middle]!;
      const order =
        distance === other.distance
          ? compareDistance(this.target, ids, at, other.id!, 0)
          : distance - other.distance;
      if (order === 0) return -1;
      if (order < 0) high = middle;
      else low = middle + 1;
    }
    const isOutside = low === MAX_CANDIDATES || sameId(ids, at, this.#ownId, 0);
    return isOutside ? -1 : low;
  }

  #distanceOf(ids: Uint8Array, at: number): number {
    const { target } = this;
    const high =
      ((ids[at]! ^ target[0]!) << 16) | ((ids[at + 1]! ^ target[1]!) << 8) | (ids[at + 2]! ^ target[2]!);
    const low =
      ((ids[at + 3]! ^ target[3]!) << 16) | ((ids[at + 4]! ^ target[4]!) << 8) | (ids[at + 5]! ^ target[5]!);
    return high * 0x100_0000 + low;
  }

  #insertAt(place: number, entry: Entry): void {
    this.#candidates.splice(place, 0, entry);
    if (this.#candidates.length <= MAX_CANDIDATES) return;
    const dropped = this.#candidates.pop()!;
    // Its answer is not waited for any more.
    if (dropped.state === 'asked') this.#inFlight--;
    if (dropped.state !== 'answered') dropped.state = 'failed';
  }
}

/** One node on its way into a lookup: adding is synchronous. */
const packed = new Uint8Array(NODE_INFO_LENGTH);
