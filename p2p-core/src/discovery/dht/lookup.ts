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
 *
 * Candidates lie in one array of 32-bit words, each kept by its distance to the target (id xor target): most are never asked,
 * and as objects they would be what a garbage collector has to carry most of.
 */
import type { Address } from '../../host/host.ts';
import { hostOf, ipAt, ipOf, isSendable, NOT_IPV4, portAt } from './endpoint.ts';
import { NODE_INFO_LENGTH } from './krpc.ts';
import { ID_LENGTH, ID_WORDS, readIdWords } from './node-id.ts';
import { BUCKET_SIZE } from './routing-table.ts';

/** A node that is asked. */
export interface Candidate {
  readonly address: Address;
  /** From a get_peers response, if the lookup keeps them. */
  readonly token: Uint8Array | undefined;
}

class Asked implements Candidate {
  readonly row: number;
  readonly address: Address;
  token: Uint8Array | undefined = undefined;
  isRetried = false;

  constructor(row: number, address: Address) {
    this.row = row;
    this.address = address;
  }
}

export interface LookupOptions {
  /** Our own id: never a candidate. */
  readonly ownId: Uint8Array;
  /** Queries at once that are not slow yet; default 3, alpha of Kademlia. */
  readonly parallelism?: number;
  /** Queries in all; default 100. */
  readonly maxQueries?: number | undefined;
  /** Whether the tokens of those that answer are wanted, to announce to them. */
  readonly keepsTokens?: boolean | undefined;
}

/** The nearest this many are kept. Failed ones keep their place, so that nobody can bring them back. */
const MAX_CANDIDATES = 96;

const FRESH = 0;
const ASKED = 1;
const SLOW = 2;
const ANSWERED = 3;
const FAILED = 4;

// The words: target, distance of our own id, the rows of those with an id in order of distance, then the rows.
const TARGET = 0;
const OWN = TARGET + ID_WORDS;
const ORDER = OWN + ID_WORDS;
const FIRST_ROW = 112;
const FIRST_ROWS = 64;

// A row: 5 words of distance, then these.
const IP = ID_WORDS;
const PORT = IP + 1;
const STATE = IP + 2;
const ROW_WORDS = 8;

/** The distance that a call is about; lookups are synchronous. */
const distance = new Int32Array(ID_WORDS);

export class Lookup {
  readonly target: Uint8Array;
  readonly #parallelism: number;
  readonly #maxQueries: number;
  readonly #keepsTokens: boolean;
  #words = new Int32Array(FIRST_ROW + FIRST_ROWS * ROW_WORDS);
  /** How many are in order. */
  #count = 0;
  /** Where the next row goes. */
  #nextRow = FIRST_ROW;
  /** A row that is free again; 0 if there is none. */
  #freeRow = 0;
  readonly #seeds: number[] = [];
  readonly #asked: Asked[] = [];
  #queries = 0;
  #inFlight = 0;
  #answers = 0;

  constructor(target: Uint8Array, options: LookupOptions) {
    this.target = target;
    this.#parallelism = options.parallelism ?? 3;
    this.#maxQueries = options.maxQueries ?? 100;
    this.#keepsTokens = options.keepsTokens ?? false;
    readIdWords(target, 0, this.#words);
    this.#readDistance(options.ownId, 0);
    this.#words.set(distance, OWN);
  }

  /** How many nodes have answered. */
  get answers(): number {
    return this.#answers;
  }

  /** How many have been asked. */
  get queries(): number {
    return this.#queries;
  }

  /** The first `length` bytes of compact node info: nodes to go on with. What nothing can be sent to is left out. */
  addNodes(nodes: Uint8Array, length: number): void {
    for (let at = 0; at + NODE_INFO_LENGTH <= length; at += NODE_INFO_LENGTH)
      if (isSendable(nodes, at + ID_LENGTH)) this.#add(nodes, at);
  }

  /** Addresses to start from whose ids nobody knows; they are asked first. */
  addSeeds(addresses: Iterable<Address>): void {
    for (const { host, port } of addresses) {
      if (this.#seeds.length === MAX_CANDIDATES) return;
      const ip = ipOf(host);
      if (ip !== NOT_IPV4 && port >= 1 && port <= 65_535) this.#seeds.push(this.#newRow(ip, port));
    }
  }

  /** Whom to query now; undefined if nobody: not yet or, once `done`, never again. Counts as asked from here on. */
  next(): Candidate | undefined {
    if (this.#inFlight >= this.#parallelism) return undefined;
    const row = this.#pick();
    if (row < 0) return undefined;
    let asked = this.#askedAt(row);
    if (asked === undefined) {
      const words = this.#words;
      asked = new Asked(row, { host: hostOf(words[row + IP]!), port: words[row + PORT]! });
      this.#asked.push(asked);
    } else asked.isRetried = true;
    this.#words[row + STATE] = ASKED;
    this.#queries++;
    this.#inFlight++;
    return asked;
  }

  /** Nothing is under way that is not slow, and `next` has nobody. */
  get done(): boolean {
    return this.#inFlight === 0 && this.#pick() < 0;
  }

  /** `candidate` answered as `id` and named `nodes` (compact node info, a multiple of 26 bytes). */
  answered(
    candidate: Candidate,
    id: Uint8Array,
    nodes: Uint8Array | undefined,
    token: Uint8Array | undefined,
  ): void {
    const asked = candidate as Asked;
    const { row } = asked;
    const state = this.#words[row + STATE];
    if (state !== ASKED && state !== SLOW) return;
    if (state === ASKED) this.#inFlight--;
    this.#answers++;
    this.#words[row + STATE] = ANSWERED;
    if (this.#keepsTokens) asked.token = token?.slice();
    this.#readDistance(id, 0);
    if (this.#seeds.includes(row) || this.#compare(row) !== 0) this.#moveTo(row);
    if (nodes !== undefined) this.addNodes(nodes, Math.min(nodes.length, BUCKET_SIZE * NODE_INFO_LENGTH));
  }

  /** `candidate` takes long: others go on in its place, but its answer still counts if it comes before the end. */
  slow(candidate: Candidate): void {
    const { row } = candidate as Asked;
    if (this.#words[row + STATE] !== ASKED) return;
    this.#inFlight--;
    this.#words[row + STATE] = SLOW;
  }

  /** `candidate` answered with an error or not at all. */
  failed(candidate: Candidate): void {
    const { row } = candidate as Asked;
    if (this.#words[row + STATE] !== ANSWERED) this.#giveUp(row);
  }

  /** The k nearest that have answered, the nearest first. */
  nearest(): Candidate[] {
    const answered: Candidate[] = [];
    for (let place = 0; place < this.#count && answered.length < BUCKET_SIZE; place++) {
      const row = this.#words[ORDER + place]!;
      if (this.#words[row + STATE] === ANSWERED) answered.push(this.#askedAt(row)!);
    }
    return answered;
  }

  // -------------------------------------------------------------- choice

  /** The row of whom to ask: seeds first, then the k nearest that may still answer, then the slow ones among them once more; -1 if none. */
  #pick(): number {
    if (this.#queries >= this.#maxQueries) return -1;
    for (const seed of this.#seeds) if (this.#isAskable(seed)) return seed;
    const words = this.#words;
    let hopeful = 0;
    let slow = -1;
    for (let place = 0; place < this.#count && hopeful < BUCKET_SIZE; place++) {
      const row = words[ORDER + place]!;
      if (this.#isAskable(row)) return row;
      const state = words[row + STATE];
      if (slow < 0 && state === SLOW && !this.#askedAt(row)!.isRetried) slow = row;
      if (state === ANSWERED || state === ASKED) hopeful++;
    }
    return slow;
  }

  /** Strikes off whose address was asked under another id. */
  #isAskable(row: number): boolean {
    const words = this.#words;
    if (words[row + STATE] !== FRESH) return false;
    for (const other of this.#asked) {
      if (words[other.row + IP] !== words[row + IP] || words[other.row + PORT] !== words[row + PORT])
        continue;
      words[row + STATE] = FAILED;
      return false;
    }
    return true;
  }

  #askedAt(row: number): Asked | undefined {
    for (const asked of this.#asked) if (asked.row === row) return asked;
    return undefined;
  }

  // -------------------------------------------------------------- candidates

  /** The node in the 26 bytes at `at`, unless it is known, ourselves, or too far. */
  #add(nodes: Uint8Array, at: number): void {
    this.#readDistance(nodes, at);
    const place = this.#placeOfDistance();
    if (place < 0) return;
    const row = this.#newRow(ipAt(nodes, at + ID_LENGTH), portAt(nodes, at + ID_LENGTH));
    this.#insertAt(place, row);
  }

  /** What others said about ids is dropped where it clashes with what a node said itself, which is in `distance`. */
  #moveTo(row: number): void {
    this.#takeOut(this.#placeOfRow(row));
    for (let place = 0; place < this.#count; place++) {
      const other = this.#words[ORDER + place]!;
      if (this.#compare(other) !== 0) continue;
      if (this.#words[other + STATE] === ANSWERED) return;
      this.#takeOut(place);
      this.#giveUp(other);
    }
    const place = this.#placeOfDistance();
    if (place >= 0) this.#insertAt(place, row);
  }

  /** Its answer is not waited for any more. */
  #giveUp(row: number): void {
    if (this.#words[row + STATE] === ASKED) this.#inFlight--;
    this.#words[row + STATE] = FAILED;
  }

  #readDistance(ids: Uint8Array, at: number): void {
    readIdWords(ids, at, distance);
    for (let word = 0; word < ID_WORDS; word++) distance[word]! ^= this.#words[TARGET + word]!;
  }

  /** Compares `distance` with that of a row, or of our own: negative if it is nearer. */
  #compare(row: number): number {
    const words = this.#words;
    for (let word = 0; word < ID_WORDS; word++) {
      const mine = distance[word]!;
      const others = words[row + word]!;
      if (mine !== others) return (mine >>> 0) - (others >>> 0);
    }
    return 0;
  }

  /** Where in the order `distance` belongs; -1 if it has no place. */
  #placeOfDistance(): number {
    const words = this.#words;
    let low = 0;
    let high = this.#count;
    // Most of those named late are farther than all that count.
    if (high === MAX_CANDIDATES && this.#compare(words[ORDER + high - 1]!) > 0) return -1;
    while (low < high) {
      const middle = (low + high) >> 1;
      const order = this.#compare(words[ORDER + middle]!);
      if (order === 0) return -1;
      if (order < 0) high = middle;
      else low = middle + 1;
    }
    return low === MAX_CANDIDATES || this.#compare(OWN) === 0 ? -1 : low;
  }

  #placeOfRow(row: number): number {
    for (let place = 0; place < this.#count; place++) if (this.#words[ORDER + place] === row) return place;
    return -1;
  }

  #takeOut(place: number): void {
    if (place < 0) return;
    this.#words.copyWithin(ORDER + place, ORDER + place + 1, ORDER + this.#count--);
  }

  /** Puts a row in its place, at `distance`. */
  #insertAt(place: number, row: number): void {
    this.#words.set(distance, row);
    if (this.#count === MAX_CANDIDATES) this.#drop(this.#words[ORDER + --this.#count]!);
    this.#words.copyWithin(ORDER + place + 1, ORDER + place, ORDER + this.#count++);
    this.#words[ORDER + place] = row;
  }

  #drop(row: number): void {
    const state = this.#words[row + STATE];
    // Rows of those that were asked stay: their answers may still come.
    if (state === FRESH) this.#freeRow = row;
    else if (state !== ANSWERED) this.#giveUp(row);
  }

  /** A row for a candidate that has no distance yet. */
  #newRow(ip: number, port: number): number {
    let row = this.#freeRow;
    this.#freeRow = 0;
    if (row === 0) {
      row = this.#nextRow;
      this.#nextRow += ROW_WORDS;
      if (row === this.#words.length) this.#grow();
    }
    this.#words[row + IP] = ip;
    this.#words[row + PORT] = port;
    this.#words[row + STATE] = FRESH;
    return row;
  }

  #grow(): void {
    const words = new Int32Array(this.#words.length * 2 - FIRST_ROW);
    words.set(this.#words);
    this.#words = words;
  }
}
