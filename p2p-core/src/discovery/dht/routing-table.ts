/**
 * The routing table (BEP 5, "Routing Table"): who this node knows, densest around its own id.
 *
 * Bucket i holds the nodes that share exactly i leading bits with our id; the last one holds all that share more,
 * and is the one that splits when full. Only nodes that answered us are in it. A node is good while it was heard
 * from in the last 15 minutes, questionable after that, and bad once two queries in a row went unanswered. A full
 * bucket keeps newcomers in a replacement cache; a questionable node is pinged before one of them takes its place.
 *
 * Nodes lie packed in typed arrays, 16 places a bucket (8 in use, 8 replacements): about 50 bytes a place, found
 * without hashing, and copied as they are into answers.
 */
import type { Address } from '../../host/host.ts';
import { ENDPOINT_LENGTH, ipAt, packEndpoint, portAt, unpackEndpoint } from './endpoint.ts';
import { NODE_INFO_LENGTH } from './krpc.ts';
import { compareDistance, ID_BITS, ID_LENGTH, sameId, sharedPrefixBits } from './node-id.ts';

/** Nodes a bucket holds, and nodes an answer names: k of Kademlia. */
export const BUCKET_SIZE = 8;

/** BEP 5: a node not heard from for so long is questionable; a bucket not changed for so long is refreshed. */
export const QUESTIONABLE_AFTER_MS = 15 * 60_000;

/** This many unanswered queries in a row make a node bad. */
const BAD_AFTER_FAILURES = 2;

/**
 * Until then our own lookups still try a bad node that nobody replaced. Others are not told of it, but if nobody ever asked it
 * again, loss alone could cut a node off from half of the id space.
 */
const GONE_AFTER_FAILURES = 8;

const PLACES = 2 * BUCKET_SIZE;
const FIRST_BUCKETS = 2;

export interface Contact {
  /** 20 bytes. */
  readonly id: Uint8Array;
  readonly address: Address;
}

/** Results of `writeClosest`, sorted; the table is synchronous, so one serves all of them. */
const nearest = new Int32Array(PLACES);

/** The endpoint that a call is about. */
const packed = new Uint8Array(ENDPOINT_LENGTH);

const ENDPOINT_CELLS = 1_024;

/** A hash of the endpoint at `at`. */
function cellOf(bytes: Uint8Array, at: number): number {
  const hash = Math.imul(ipAt(bytes, at) ^ Math.imul(portAt(bytes, at), 0x85ebca6b), 0x9e3779b1);
  return hash >>> 22;
}

export class RoutingTable {
  readonly ownId: Uint8Array;
  /** Per place: 20 bytes of id, 6 of endpoint. */
  #nodes = new Uint8Array(FIRST_BUCKETS * PLACES * NODE_INFO_LENGTH);
  #heardAtMs = new Float64Array(FIRST_BUCKETS * PLACES);
  #failures = new Uint8Array(FIRST_BUCKETS * PLACES);
  /** Per bucket: how many of the first 8 places are taken, how many of the second 8, and when it last changed. */
  #counts = new Uint8Array(FIRST_BUCKETS * 2);
  #changedAtMs = new Float64Array(FIRST_BUCKETS);
  #buckets = 1;
  /**
   * How many places have an endpoint of each hash: most that are asked for are in none, and a look here spares the
   * search. What has reached 255 stays there.
   */
  readonly #endpointCounts = new Uint8Array(ENDPOINT_CELLS);

  constructor(ownId: Uint8Array, nowMs: number) {
    this.ownId = ownId;
    this.#changedAtMs[0] = nowMs;
  }

  get bucketCount(): number {
    return this.#buckets;
  }

  /** Nodes in use and not bad; replacements don't count. */
  get size(): number {
    let size = 0;
    for (let bucket = 0; bucket < this.#buckets; bucket++)
      for (let place = bucket * PLACES; place < this.#liveEnd(bucket); place++)
        if (this.#failures[place]! < BAD_AFTER_FAILURES) size++;
    return size;
  }

  /** Whether so many nodes are in use and not bad: cheaper than `size`. */
  hasAtLeast(count: number): boolean {
    let found = 0;
    for (let bucket = 0; bucket < this.#buckets && found < count; bucket++)
      for (let place = bucket * PLACES; place < this.#liveEnd(bucket); place++)
        if (this.#failures[place]! < BAD_AFTER_FAILURES) found++;
    return found >= count;
  }

  /**
   * A node answered us. Enters it, or notes that it lives. One address has one entry: another id at the same address
   * takes the old one's place. Returns a questionable node that should be pinged, since a newcomer waits for its place.
   */
  heardResponse(id: Uint8Array, address: Address, nowMs: number): Contact | undefined {
    if (!packEndpoint(address, packed, 0) || sameId(id, 0, this.ownId, 0)) return undefined;
    const known = this.#placeOfId(id);
    if (known >= 0 && this.#hasEndpoint(known)) {
      this.#heardAtMs[known] = nowMs;
      this.#failures[known] = 0;
      return undefined;
    }
    // The same id elsewhere: the node that answered first keeps it until it is bad, so that an id can't be stolen.
    if (known >= 0 && this.#failures[known]! < BAD_AFTER_FAILURES) return undefined;
    if (known >= 0) this.#remove(known);
    const before = this.#placeOfEndpoint();
    if (before >= 0) this.#remove(before);
    return this.#insert(id, nowMs);
  }

  /** A node queried us. True if it is in the table under this id and address; that it lives is then noted. */
  heardQuery(id: Uint8Array, address: Address, nowMs: number): boolean {
    const known = this.#placeOfId(id);
    if (known < 0 || !packEndpoint(address, packed, 0) || !this.#hasEndpoint(known)) return false;
    this.#heardAtMs[known] = nowMs;
    this.#failures[known] = 0;
    return true;
  }

  /**
   * Whether a node unknown so far would find a place if it answered: its bucket has room, or holds a node that is bad or
   * questionable. Replacements are not sought: enough of those that we ask ourselves find no other place. Asked for every query from a stranger, so it doesn't search the table for the address: a node replaced
   * at its old address is noticed by its answer to the next query.
   */
  wants(id: Uint8Array, address: Address, nowMs: number): boolean {
    const bucket = this.#bucketOf(id, 0);
    if (this.countAt(bucket) === BUCKET_SIZE && !this.#canSplit(bucket) && !this.#hasDoubtful(bucket, nowMs))
      return false;
    if (!packEndpoint(address, packed, 0) || sameId(id, 0, this.ownId, 0)) return false;
    const known = this.#placeOfId(id);
    return known < 0 || this.#failures[known]! >= BAD_AFTER_FAILURES;
  }

  /** Nodes in use in the bucket at this depth. */
  countAt(depth: number): number {
    return this.#counts[depth * 2]!;
  }

  /** A query to this address went unanswered. A node that became bad by it gives way to a replacement, if there is one. */
  failed(address: Address): Contact | undefined {
    if (!packEndpoint(address, packed, 0)) return undefined;
    const place = this.#placeOfEndpoint();
    if (place < 0) return undefined;
    const failures = Math.min(this.#failures[place]! + 1, 0xff);
    this.#failures[place] = failures;
    const bucket = (place / PLACES) | 0;
    const isReplacement = place >= bucket * PLACES + BUCKET_SIZE;
    if (failures < BAD_AFTER_FAILURES) return isReplacement ? undefined : this.#contactAt(place);
    // With nobody to take its place a bad node stays, unnamed to others: if it was our own link that failed, it is still
    // there when the link returns.
    if (isReplacement || this.#counts[bucket * 2 + 1]! > 0) this.#remove(place);
    return undefined;
  }

  /** Up to `count` (at most 16) nodes closest to `target` to ask ourselves, the closest first; bad ones until they are gone. */
  closest(target: Uint8Array, count: number): Contact[] {
    const found = this.#findNearest(target, count, GONE_AFTER_FAILURES);
    const contacts: Contact[] = [];
    for (let index = 0; index < found; index++) contacts.push(this.#contactAt(nearest[index]!));
    return contacts;
  }

  /**
   * What others are told: the closest that are not bad, as compact node info of 26 bytes each, written to the start of `out`. Returns how many bytes were written.
   */
  writeClosest(target: Uint8Array, count: number, out: Uint8Array): number {
    const found = this.#findNearest(target, count, BAD_AFTER_FAILURES);
    for (let index = 0; index < found; index++) {
      const from = nearest[index]! * NODE_INFO_LENGTH;
      const to = index * NODE_INFO_LENGTH;
      for (let byte = 0; byte < NODE_INFO_LENGTH; byte++) out[to + byte] = this.#nodes[from + byte]!;
    }
    return found * NODE_INFO_LENGTH;
  }

  /** Depths of buckets that have not changed for 15 minutes; marks them as being refreshed. */
  takeStaleBuckets(nowMs: number): number[] {
    const stale: number[] = [];
    for (let bucket = 0; bucket < this.#buckets; bucket++) {
      if (nowMs - this.#changedAtMs[bucket]! < QUESTIONABLE_AFTER_MS) continue;
      this.#changedAtMs[bucket] = nowMs;
      stale.push(bucket);
    }
    return stale;
  }

  /** All nodes in use that are not bad, as compact node info, the nearest to our id last. */
  export(): Uint8Array {
    const out = new Uint8Array(this.size * NODE_INFO_LENGTH);
    let length = 0;
    for (let bucket = 0; bucket < this.#buckets; bucket++)
      for (let place = bucket * PLACES; place < this.#liveEnd(bucket); place++) {
        if (this.#failures[place]! >= BAD_AFTER_FAILURES) continue;
        const at = place * NODE_INFO_LENGTH;
        out.set(this.#nodes.subarray(at, at + NODE_INFO_LENGTH), length);
        length += NODE_INFO_LENGTH;
      }
    return out;
  }

  // -------------------------------------------------------------- search

  #liveEnd(bucket: number): number {
    return bucket * PLACES + this.#counts[bucket * 2]!;
  }

  #bucketOf(ids: Uint8Array, at: number): number {
    return Math.min(sharedPrefixBits(this.ownId, 0, ids, at), this.#buckets - 1);
  }

  #canSplit(bucket: number): boolean {
    return bucket === this.#buckets - 1 && bucket < ID_BITS - 1;
  }

  #placeOfId(id: Uint8Array): number {
    const bucket = this.#bucketOf(id, 0);
    for (let half = 0; half < 2; half++) {
      const start = bucket * PLACES + half * BUCKET_SIZE;
      const end = start + this.#counts[bucket * 2 + half]!;
      for (let place = start; place < end; place++)
        if (sameId(this.#nodes, place * NODE_INFO_LENGTH, id, 0)) return place;
    }
    return -1;
  }

  /** Where the endpoint in `packed` is; a scan, unless it is surely nowhere. */
  #placeOfEndpoint(): number {
    if (this.#endpointCounts[cellOf(packed, 0)] === 0) return -1;
    for (let list = 0; list < this.#buckets * 2; list++) {
      const start = list * BUCKET_SIZE;
      for (let place = start; place < start + this.#counts[list]!; place++)
        if (this.#hasEndpoint(place)) return place;
    }
    return -1;
  }

  #hasEndpoint(place: number): boolean {
    const at = place * NODE_INFO_LENGTH + ID_LENGTH;
    for (let byte = ENDPOINT_LENGTH - 1; byte >= 0; byte--)
      if (this.#nodes[at + byte] !== packed[byte]) return false;
    return true;
  }

  #contactAt(place: number): Contact {
    const at = place * NODE_INFO_LENGTH;
    return {
      id: this.#nodes.slice(at, at + ID_LENGTH),
      address: unpackEndpoint(this.#nodes, at + ID_LENGTH),
    };
  }

  /**
   * Fills `nearest`. With p the bits that target and own id share, bucket p is nearer to the target than all deeper buckets
   * together, and these nearer than p-1, p-2 and so on: whole groups are taken until there are enough.
   */
  #findNearest(target: Uint8Array, count: number, maxFailures: number): number {
    const home = this.#bucketOf(target, 0);
    let found = this.#collect(target, count, home, home + 1, 0, maxFailures);
    if (found < count) found = this.#collect(target, count, home + 1, this.#buckets, found, maxFailures);
    for (let bucket = home - 1; bucket >= 0 && found < count; bucket--)
      found = this.#collect(target, count, bucket, bucket + 1, found, maxFailures);
    return found;
  }

  /** Insertion-sorts the nodes of buckets [from, to) behind the `found` ones, which are all nearer. */
  #collect(
    target: Uint8Array,
    count: number,
    from: number,
    to: number,
    found: number,
    maxFailures: number,
  ): number {
    const nodes = this.#nodes;
    const fixed = found;
    let end = found;
    for (let bucket = from; bucket < to; bucket++) {
      for (let place = bucket * PLACES; place < this.#liveEnd(bucket); place++) {
        if (this.#failures[place]! >= maxFailures) continue;
        const at = place * NODE_INFO_LENGTH;
        let index = end;
        while (
          index > fixed &&
          compareDistance(target, nodes, at, nodes, nearest[index - 1]! * NODE_INFO_LENGTH) < 0
        )
          index--;
        if (index >= count) continue;
        end = Math.min(end + 1, count);
        // By hand: for so few the call of copyWithin costs more than the copying.
        for (let moved = end - 1; moved > index; moved--) nearest[moved] = nearest[moved - 1]!;
        nearest[index] = place;
      }
    }
    return end;
  }

  // -------------------------------------------------------------- change

  /** Enters `id` at the endpoint in `packed`; neither is in the table. */
  #insert(id: Uint8Array, nowMs: number): Contact | undefined {
    let bucket = this.#bucketOf(id, 0);
    while (this.#counts[bucket * 2]! === BUCKET_SIZE && this.#canSplit(bucket)) {
      this.#split(nowMs);
      bucket = this.#bucketOf(id, 0);
    }
    if (this.#counts[bucket * 2]! < BUCKET_SIZE) {
      this.#put(this.#liveEnd(bucket), id, nowMs);
      this.#counts[bucket * 2]!++;
      this.#changedAtMs[bucket] = nowMs;
      return undefined;
    }
    const bad = this.#findBad(bucket);
    if (bad >= 0) {
      this.#uncount(bad);
      this.#put(bad, id, nowMs);
      this.#changedAtMs[bucket] = nowMs;
      return undefined;
    }
    this.#putReplacement(bucket, id, nowMs);
    return this.#findQuestionable(bucket, nowMs);
  }

  /** A place that is free or uncounted. */
  #put(place: number, id: Uint8Array, nowMs: number): void {
    const cell = cellOf(packed, 0);
    if (this.#endpointCounts[cell]! < 0xff) this.#endpointCounts[cell]!++;
    this.#nodes.set(id, place * NODE_INFO_LENGTH);
    this.#nodes.set(packed, place * NODE_INFO_LENGTH + ID_LENGTH);
    this.#heardAtMs[place] = nowMs;
    this.#failures[place] = 0;
  }

  /** The replacement heard from longest ago gives way if there are 8. */
  #putReplacement(bucket: number, id: Uint8Array, nowMs: number): void {
    const start = bucket * PLACES + BUCKET_SIZE;
    const count = this.#counts[bucket * 2 + 1]!;
    if (count < BUCKET_SIZE) {
      this.#put(start + count, id, nowMs);
      this.#counts[bucket * 2 + 1]!++;
      return;
    }
    const displaced = this.#leastRecent(start, start + count);
    this.#uncount(displaced);
    this.#put(displaced, id, nowMs);
  }

  #findBad(bucket: number): number {
    for (let place = bucket * PLACES; place < this.#liveEnd(bucket); place++)
      if (this.#failures[place]! >= BAD_AFTER_FAILURES) return place;
    return -1;
  }

  /** Whether a node in use is bad or questionable. */
  #hasDoubtful(bucket: number, nowMs: number): boolean {
    const end = this.#liveEnd(bucket);
    for (let place = bucket * PLACES; place < end; place++) {
      if (this.#failures[place]! >= BAD_AFTER_FAILURES) return true;
      if (nowMs - this.#heardAtMs[place]! >= QUESTIONABLE_AFTER_MS) return true;
    }
    return false;
  }

  #findQuestionable(bucket: number, nowMs: number): Contact | undefined {
    const place = this.#leastRecent(bucket * PLACES, this.#liveEnd(bucket));
    return nowMs - this.#heardAtMs[place]! >= QUESTIONABLE_AFTER_MS ? this.#contactAt(place) : undefined;
  }

  #leastRecent(start: number, end: number): number {
    let least = start;
    for (let place = start + 1; place < end; place++)
      if (this.#heardAtMs[place]! < this.#heardAtMs[least]!) least = place;
    return least;
  }

  #uncount(place: number): void {
    const cell = cellOf(this.#nodes, place * NODE_INFO_LENGTH + ID_LENGTH);
    if (this.#endpointCounts[cell]! < 0xff) this.#endpointCounts[cell]!--;
  }

  #remove(place: number): void {
    this.#uncount(place);
    this.#removePlace(place);
  }

  /** Empties a place; in the first half the most recent replacement fills it, else the last of its half does. */
  #removePlace(place: number): void {
    const bucket = (place / PLACES) | 0;
    const replacements = bucket * PLACES + BUCKET_SIZE;
    const half = place >= replacements ? 1 : 0;
    if (half === 0 && this.#counts[bucket * 2 + 1]! > 0) {
      let recent = replacements;
      for (let other = replacements + 1; other < replacements + this.#counts[bucket * 2 + 1]!; other++)
        if (this.#heardAtMs[other]! > this.#heardAtMs[recent]!) recent = other;
      this.#move(recent, place);
      this.#removePlace(recent);
      return;
    }
    const last = bucket * PLACES + half * BUCKET_SIZE + --this.#counts[bucket * 2 + half]!;
    if (last !== place) this.#move(last, place);
  }

  #move(from: number, to: number): void {
    const at = from * NODE_INFO_LENGTH;
    this.#nodes.copyWithin(to * NODE_INFO_LENGTH, at, at + NODE_INFO_LENGTH);
    this.#heardAtMs[to] = this.#heardAtMs[from]!;
    this.#failures[to] = this.#failures[from]!;
  }

  /** The last bucket keeps those that share exactly its depth with our id; the others move to a new last one. */
  #split(nowMs: number): void {
    const depth = this.#buckets - 1;
    if (this.#buckets === this.#changedAtMs.length) this.#grow();
    this.#buckets++;
    this.#changedAtMs[depth + 1] = nowMs;
    for (let half = 0; half < 2; half++) {
      const start = depth * PLACES + half * BUCKET_SIZE;
      const count = this.#counts[depth * 2 + half]!;
      let kept = 0;
      for (let place = start; place < start + count; place++) {
        const goesDeeper = sharedPrefixBits(this.ownId, 0, this.#nodes, place * NODE_INFO_LENGTH) > depth;
        const to = goesDeeper
          ? (depth + 1) * PLACES + half * BUCKET_SIZE + this.#counts[(depth + 1) * 2 + half]!++
          : start + kept++;
        if (to !== place) this.#move(place, to);
      }
      this.#counts[depth * 2 + half] = kept;
    }
  }

  #grow(): void {
    const buckets = Math.min(this.#changedAtMs.length * 2, ID_BITS);
    const nodes = new Uint8Array(buckets * PLACES * NODE_INFO_LENGTH);
    nodes.set(this.#nodes);
    this.#nodes = nodes;
    const heardAtMs = new Float64Array(buckets * PLACES);
    heardAtMs.set(this.#heardAtMs);
    this.#heardAtMs = heardAtMs;
    const failures = new Uint8Array(buckets * PLACES);
    failures.set(this.#failures);
    this.#failures = failures;
    const counts = new Uint8Array(buckets * 2);
    counts.set(this.#counts);
    this.#counts = counts;
    const changedAtMs = new Float64Array(buckets);
    changedAtMs.set(this.#changedAtMs);
    this.#changedAtMs = changedAtMs;
  }
}
