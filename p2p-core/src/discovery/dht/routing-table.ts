/**
 * The routing table (BEP 5, "Routing Table"): who this node knows, densest around its own id.
 *
 * Bucket i holds the nodes that share exactly i leading bits with our id; the last one holds all that share more,
 * and is the one that splits when full. Only nodes that answered us are in it. A node is good while it was heard
 * from in the last 15 minutes, questionable after that, and bad once two queries in a row went unanswered. A full
 * bucket keeps newcomers in a replacement cache; a questionable node is pinged before one of them takes its place.
 *
 * All of it lies in one array of 32-bit words, for what a node with thousands of neighbours in its process costs is the
 * cache lines that it touches: two nodes share a line, and of a bucket only what is in use is looked at.
 */
import type { Address } from '../../host/host.ts';
import { hostOf, ipOf, NOT_IPV4 } from './endpoint.ts';
import { EndpointFilter } from './endpoint-filter.ts';
import { NODE_INFO_LENGTH } from './krpc.ts';
import { ID_BITS, ID_WORDS, readIdWords, sharedPrefixBits, writeWord } from './node-id.ts';

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

// A place: 5 words of id, the IPv4 address, the port with the failures above it, and when the node was heard.
const PLACE_WORDS = 8;
const IP = ID_WORDS;
const PORT_AND_FAILURES = IP + 1;
const HEARD_AT = IP + 2;
const MAX_FAILURES = 0xff;

// A bucket: how many of its first 8 places are in use and of its second 8 hold replacements, when it last changed, and
// the places; as long as a number of places, so that none straddles more lines than it must.
const IN_USE = 0;
const REPLACEMENTS = 1;
const CHANGED_AT = 2;
const FIRST_PLACE = PLACE_WORDS;
const FIRST_REPLACEMENT = FIRST_PLACE + BUCKET_SIZE * PLACE_WORDS;
const BUCKET_WORDS = FIRST_PLACE + PLACES * PLACE_WORDS;

// Before the buckets: our own id.
const OWN_ID = 0;
const FIRST_BUCKET = PLACE_WORDS;

// The table is synchronous, so one of each serves all tables: what a call is about,
const id = new Int32Array(ID_WORDS);
let ip = 0;
let port = 0;
/** and what `#findNearest` found, sorted: where the places are, and the first word of their distances. */
const nearest = new Int32Array(PLACES);
const nearestDistances = new Uint32Array(PLACES);

/** Makes an address what the call is about; false if it is no IPv4 endpoint. */
function readAddress(address: Address): boolean {
  ip = ipOf(address.host);
  port = address.port;
  return ip !== NOT_IPV4 && port >= 1 && port <= 65_535;
}

/** Times are kept as whole milliseconds modulo 2^32: this says how long ago one was, up to 49 days. */
function ageMs(time: number, nowMs: number): number {
  return (nowMs - time) >>> 0;
}

export class RoutingTable {
  readonly ownId: Uint8Array;
  #words = new Int32Array(FIRST_BUCKET + FIRST_BUCKETS * BUCKET_WORDS);
  #buckets = 1;
  readonly #endpoints = new EndpointFilter();

  constructor(ownId: Uint8Array, nowMs: number) {
    this.ownId = ownId;
    readIdWords(ownId, 0, this.#words);
    this.#words[FIRST_BUCKET + CHANGED_AT] = nowMs;
  }

  get bucketCount(): number {
    return this.#buckets;
  }

  /** Nodes in use and not bad; replacements don't count. */
  get size(): number {
    return this.#countUpTo(Number.POSITIVE_INFINITY);
  }

  /** Whether so many nodes are in use and not bad: cheaper than `size`. */
  hasAtLeast(count: number): boolean {
    return this.#countUpTo(count) >= count;
  }

  /**
   * A node answered us. Enters it, or notes that it lives. One address has one entry: another id at the same address
   * takes the old one's place. Returns where a questionable node is that should be pinged, since a newcomer waits for its place.
   */
  heardResponse(ids: Uint8Array, address: Address, nowMs: number): Address | undefined {
    readIdWords(ids, 0, id);
    if (!readAddress(address) || this.#hasId(OWN_ID)) return undefined;
    const known = this.#placeOfId();
    if (known >= 0 && this.#hasEndpoint(known)) {
      this.#noteAlive(known, nowMs);
      return undefined;
    }
    // The same id elsewhere: the node that answered first keeps it until it is bad, so that an id can't be stolen.
    if (known >= 0 && !this.#isBad(known)) return undefined;
    if (known >= 0) this.#remove(known);
    const before = this.#placeOfEndpoint();
    if (before >= 0) this.#remove(before);
    return this.#insert(nowMs);
  }

  /** A node queried us. True if it is in the table under this id and address; that it lives is then noted. */
  heardQuery(ids: Uint8Array, address: Address, nowMs: number): boolean {
    readIdWords(ids, 0, id);
    const known = this.#placeOfId();
    if (known < 0 || !readAddress(address) || !this.#hasEndpoint(known)) return false;
    this.#noteAlive(known, nowMs);
    return true;
  }

  /**
   * Whether a node unknown so far would find a place if it answered: its bucket has room, or holds a node that is bad or
   * questionable. Replacements are not sought: enough of those that we ask ourselves find no other place. Asked for
   * every query from a stranger, so it doesn't search the table for the address: a node replaced at its old address is
   * noticed by its answer to the next query.
   */
  wants(ids: Uint8Array, address: Address, nowMs: number): boolean {
    readIdWords(ids, 0, id);
    const bucket = this.#depthOfId();
    if (this.countAt(bucket) === BUCKET_SIZE && !this.#canSplit(bucket) && !this.#hasDoubtful(bucket, nowMs))
      return false;
    if (!readAddress(address) || this.#hasId(OWN_ID)) return false;
    const known = this.#placeOfId();
    return known < 0 || this.#isBad(known);
  }

  /** Nodes in use in the bucket at this depth. */
  countAt(depth: number): number {
    return this.#words[bucketAt(depth) + IN_USE]!;
  }

  /** A query to this address went unanswered. A node that became bad by it gives way to a replacement, if there is one; one that did not should be pinged, and is returned. */
  failed(address: Address): Address | undefined {
    if (!readAddress(address)) return undefined;
    const place = this.#placeOfEndpoint();
    if (place < 0) return undefined;
    const failures = Math.min(this.#failuresOf(place) + 1, MAX_FAILURES);
    this.#words[place + PORT_AND_FAILURES] = port | (failures << 16);
    const bucket = bucketHolding(place);
    const isReplacement = place >= bucket + FIRST_REPLACEMENT;
    if (failures < BAD_AFTER_FAILURES) return isReplacement ? undefined : this.#addressAt(place);
    // With nobody to take its place a bad node stays, unnamed to others: if it was our own link that failed, it is still
    // there when the link returns.
    if (isReplacement || this.#words[bucket + REPLACEMENTS]! > 0) this.#remove(place);
    return undefined;
  }

  /**
   * Up to `count` (at most 16) nodes closest to `target` to ask ourselves, bad ones until they are gone: as compact node info
   * of 26 bytes each, the closest first, written to the start of `out`. Returns how many bytes were written.
   */
  writeAskable(target: Uint8Array, count: number, out: Uint8Array): number {
    return this.#write(this.#findNearest(target, count, GONE_AFTER_FAILURES), out);
  }

  /** The same of what others are told: the closest that are not bad. */
  writeClosest(target: Uint8Array, count: number, out: Uint8Array): number {
    return this.#write(this.#findNearest(target, count, BAD_AFTER_FAILURES), out);
  }

  /** Depths of buckets that have not changed for 15 minutes; marks them as being refreshed. */
  takeStaleBuckets(nowMs: number): number[] {
    const stale: number[] = [];
    for (let depth = 0; depth < this.#buckets; depth++) {
      const changedAt = bucketAt(depth) + CHANGED_AT;
      if (ageMs(this.#words[changedAt]!, nowMs) < QUESTIONABLE_AFTER_MS) continue;
      this.#words[changedAt] = nowMs;
      stale.push(depth);
    }
    return stale;
  }

  /** All nodes in use that are not bad, as compact node info, the nearest to our id last. */
  export(): Uint8Array {
    const out = new Uint8Array(this.size * NODE_INFO_LENGTH);
    let length = 0;
    for (let depth = 0; depth < this.#buckets; depth++)
      for (let place = startOf(depth, IN_USE); place < this.#endOf(depth, IN_USE); place += PLACE_WORDS) {
        if (this.#isBad(place)) continue;
        this.#writeNodeInfo(place, out, length);
        length += NODE_INFO_LENGTH;
      }
    return out;
  }

  // -------------------------------------------------------------- places

  /** Behind the last place of one half that is taken. */
  #endOf(depth: number, half: number): number {
    return startOf(depth, half) + this.#words[bucketAt(depth) + half]! * PLACE_WORDS;
  }

  #failuresOf(place: number): number {
    return this.#words[place + PORT_AND_FAILURES]! >>> 16;
  }

  #isBad(place: number): boolean {
    return this.#failuresOf(place) >= BAD_AFTER_FAILURES;
  }

  #hasEndpoint(place: number): boolean {
    const words = this.#words;
    return words[place + IP] === ip && (words[place + PORT_AND_FAILURES]! & 0xffff) === port;
  }

  #hasId(place: number): boolean {
    const words = this.#words;
    for (let word = 0; word < ID_WORDS; word++) if (words[place + word] !== id[word]) return false;
    return true;
  }

  #noteAlive(place: number, nowMs: number): void {
    this.#words[place + HEARD_AT] = nowMs;
    this.#words[place + PORT_AND_FAILURES]! &= 0xffff;
  }

  #addressAt(place: number): Address {
    const words = this.#words;
    return { host: hostOf(words[place + IP]!), port: words[place + PORT_AND_FAILURES]! & 0xffff };
  }

  #writeNodeInfo(place: number, out: Uint8Array, at: number): void {
    const words = this.#words;
    for (let word = 0; word <= IP; word++) writeWord(words[place + word]!, out, at + word * 4);
    const port = words[place + PORT_AND_FAILURES]!;
    out[at + NODE_INFO_LENGTH - 2] = port >> 8;
    out[at + NODE_INFO_LENGTH - 1] = port;
  }

  // -------------------------------------------------------------- search

  #countUpTo(most: number): number {
    let found = 0;
    for (let depth = 0; depth < this.#buckets && found < most; depth++)
      for (let place = startOf(depth, IN_USE); place < this.#endOf(depth, IN_USE); place += PLACE_WORDS)
        if (!this.#isBad(place)) found++;
    return found;
  }

  /** The depth of the bucket where the id of this call belongs. */
  #depthOfId(): number {
    const depth = sharedPrefixBits(this.#words, id, 0);
    return depth < this.#buckets ? depth : this.#buckets - 1;
  }

  #canSplit(depth: number): boolean {
    return depth === this.#buckets - 1 && depth < ID_BITS - 1;
  }

  /** Where the id of this call is; -1 if nowhere. */
  #placeOfId(): number {
    const depth = this.#depthOfId();
    for (let half = IN_USE; half <= REPLACEMENTS; half++)
      for (let place = startOf(depth, half); place < this.#endOf(depth, half); place += PLACE_WORDS)
        if (this.#hasId(place)) return place;
    return -1;
  }

  /** Where the endpoint of this call is; a scan, unless it is surely nowhere. */
  #placeOfEndpoint(): number {
    if (!this.#endpoints.mayHold(ip, port)) return -1;
    for (let depth = 0; depth < this.#buckets; depth++)
      for (let half = IN_USE; half <= REPLACEMENTS; half++)
        for (let place = startOf(depth, half); place < this.#endOf(depth, half); place += PLACE_WORDS)
          if (this.#hasEndpoint(place)) return place;
    return -1;
  }

  /**
   * Fills `nearest`. With p the bits that target and own id share, bucket p is nearer to the target than all deeper buckets
   * together, and these nearer than p-1, p-2 and so on: whole groups are taken until there are enough.
   */
  #findNearest(target: Uint8Array, count: number, maxFailures: number): number {
    readIdWords(target, 0, id);
    const home = this.#depthOfId();
    let found = this.#collect(count, home, home + 1, 0, maxFailures);
    if (found < count) found = this.#collect(count, home + 1, this.#buckets, found, maxFailures);
    for (let depth = home - 1; depth >= 0 && found < count; depth--)
      found = this.#collect(count, depth, depth + 1, found, maxFailures);
    return found;
  }

  /** Insertion-sorts the nodes of buckets [from, to) behind the `found` ones, which are all nearer. */
  #collect(count: number, from: number, to: number, found: number, maxFailures: number): number {
    const words = this.#words;
    let end = found;
    for (let depth = from; depth < to; depth++) {
      for (let place = startOf(depth, IN_USE); place < this.#endOf(depth, IN_USE); place += PLACE_WORDS) {
        if (this.#failuresOf(place) >= maxFailures) continue;
        const distance = (words[place]! ^ id[0]!) >>> 0;
        let index = end;
        while (index > found && this.#isNearer(place, distance, index - 1)) index--;
        if (index >= count) continue;
        end = Math.min(end + 1, count);
        for (let moved = end - 1; moved > index; moved--) {
          nearest[moved] = nearest[moved - 1]!;
          nearestDistances[moved] = nearestDistances[moved - 1]!;
        }
        nearest[index] = place;
        nearestDistances[index] = distance;
      }
    }
    return end;
  }

  /** Whether a place, with the first word of its distance, is nearer to the id of this call than what was found at `index`. */
  #isNearer(place: number, distance: number, index: number): boolean {
    const other = nearestDistances[index]!;
    if (distance !== other) return distance < other;
    const words = this.#words;
    for (let word = 1; word < ID_WORDS; word++) {
      const mine = (words[place + word]! ^ id[word]!) >>> 0;
      const others = (words[nearest[index]! + word]! ^ id[word]!) >>> 0;
      if (mine !== others) return mine < others;
    }
    return false;
  }

  #write(found: number, out: Uint8Array): number {
    for (let index = 0; index < found; index++)
      this.#writeNodeInfo(nearest[index]!, out, index * NODE_INFO_LENGTH);
    return found * NODE_INFO_LENGTH;
  }

  // -------------------------------------------------------------- change

  /** Enters the id and endpoint of this call; neither is in the table. */
  #insert(nowMs: number): Address | undefined {
    let depth = this.#depthOfId();
    while (this.countAt(depth) === BUCKET_SIZE && this.#canSplit(depth)) {
      this.#split(nowMs);
      depth = this.#depthOfId();
    }
    const bucket = bucketAt(depth);
    if (this.countAt(depth) < BUCKET_SIZE) {
      this.#put(this.#endOf(depth, IN_USE), nowMs);
      this.#words[bucket + IN_USE]!++;
      this.#words[bucket + CHANGED_AT] = nowMs;
      return undefined;
    }
    const bad = this.#findBad(depth);
    if (bad >= 0) {
      this.#uncount(bad);
      this.#put(bad, nowMs);
      this.#words[bucket + CHANGED_AT] = nowMs;
      return undefined;
    }
    this.#putReplacement(depth, nowMs);
    const oldest = this.#leastRecent(startOf(depth, IN_USE), this.#endOf(depth, IN_USE), nowMs);
    return this.#isQuestionable(oldest, nowMs) ? this.#addressAt(oldest) : undefined;
  }

  /** A place that is free or uncounted. */
  #put(place: number, nowMs: number): void {
    this.#endpoints.add(ip, port);
    const words = this.#words;
    for (let word = 0; word < ID_WORDS; word++) words[place + word] = id[word]!;
    words[place + IP] = ip;
    words[place + PORT_AND_FAILURES] = port;
    words[place + HEARD_AT] = nowMs;
  }

  /** The replacement heard from longest ago gives way if there are 8. */
  #putReplacement(depth: number, nowMs: number): void {
    const start = startOf(depth, REPLACEMENTS);
    const end = this.#endOf(depth, REPLACEMENTS);
    if (end < start + BUCKET_SIZE * PLACE_WORDS) {
      this.#put(end, nowMs);
      this.#words[bucketAt(depth) + REPLACEMENTS]!++;
      return;
    }
    const displaced = this.#leastRecent(start, end, nowMs);
    this.#uncount(displaced);
    this.#put(displaced, nowMs);
  }

  #findBad(depth: number): number {
    for (let place = startOf(depth, IN_USE); place < this.#endOf(depth, IN_USE); place += PLACE_WORDS)
      if (this.#isBad(place)) return place;
    return -1;
  }

  #isQuestionable(place: number, nowMs: number): boolean {
    return ageMs(this.#words[place + HEARD_AT]!, nowMs) >= QUESTIONABLE_AFTER_MS;
  }

  /** Whether a node in use is bad or questionable. */
  #hasDoubtful(depth: number, nowMs: number): boolean {
    for (let place = startOf(depth, IN_USE); place < this.#endOf(depth, IN_USE); place += PLACE_WORDS)
      if (this.#isBad(place) || this.#isQuestionable(place, nowMs)) return true;
    return false;
  }

  #leastRecent(start: number, end: number, nowMs: number): number {
    let least = start;
    for (let place = start + PLACE_WORDS; place < end; place += PLACE_WORDS)
      if (ageMs(this.#words[place + HEARD_AT]!, nowMs) > ageMs(this.#words[least + HEARD_AT]!, nowMs))
        least = place;
    return least;
  }

  #uncount(place: number): void {
    const words = this.#words;
    this.#endpoints.remove(words[place + IP]!, words[place + PORT_AND_FAILURES]! & 0xffff);
  }

  #remove(place: number): void {
    this.#uncount(place);
    this.#removePlace(place);
  }

  /** Empties a place; in the first half the most recent replacement fills it, else the last of its half does. */
  #removePlace(place: number): void {
    const words = this.#words;
    const bucket = bucketHolding(place);
    const replacements = bucket + FIRST_REPLACEMENT;
    const half = place >= replacements ? REPLACEMENTS : IN_USE;
    if (half === IN_USE && words[bucket + REPLACEMENTS]! > 0) {
      const end = replacements + words[bucket + REPLACEMENTS]! * PLACE_WORDS;
      let recent = replacements;
      for (let other = replacements + PLACE_WORDS; other < end; other += PLACE_WORDS)
        if (((words[other + HEARD_AT]! - words[recent + HEARD_AT]!) | 0) > 0) recent = other;
      this.#move(recent, place);
      this.#removePlace(recent);
      return;
    }
    const left = --words[bucket + half]!;
    const last = bucket + FIRST_PLACE + (half * BUCKET_SIZE + left) * PLACE_WORDS;
    if (last !== place) this.#move(last, place);
  }

  #move(from: number, to: number): void {
    this.#words.copyWithin(to, from, from + PLACE_WORDS);
  }

  /** The last bucket keeps those that share exactly its depth with our id; the others move to a new last one. */
  #split(nowMs: number): void {
    const depth = this.#buckets - 1;
    if (bucketAt(this.#buckets) === this.#words.length) this.#grow();
    const words = this.#words;
    const bucket = bucketAt(depth);
    const deeper = bucketAt(this.#buckets++);
    words[deeper + CHANGED_AT] = nowMs;
    for (let half = IN_USE; half <= REPLACEMENTS; half++) {
      const start = FIRST_PLACE + half * BUCKET_SIZE * PLACE_WORDS;
      const count = words[bucket + half]!;
      let kept = 0;
      for (let index = 0; index < count; index++) {
        const place = bucket + start + index * PLACE_WORDS;
        const goesDeeper = sharedPrefixBits(words, words, place) > depth;
        const to = goesDeeper
          ? deeper + start + words[deeper + half]!++ * PLACE_WORDS
          : bucket + start + kept++ * PLACE_WORDS;
        if (to !== place) this.#move(place, to);
      }
      words[bucket + half] = kept;
    }
  }

  #grow(): void {
    const words = new Int32Array(bucketAt(Math.min(this.#buckets * 2, ID_BITS)));
    words.set(this.#words);
    this.#words = words;
  }
}

function bucketAt(depth: number): number {
  return FIRST_BUCKET + depth * BUCKET_WORDS;
}

/** The first place of one half of a bucket. */
function startOf(depth: number, half: number): number {
  return bucketAt(depth) + FIRST_PLACE + half * BUCKET_SIZE * PLACE_WORDS;
}

/** Where the bucket begins that a place is in. */
function bucketHolding(place: number): number {
  return bucketAt(((place - FIRST_BUCKET) / BUCKET_WORDS) | 0);
}
