/**
 * The ring's datagrams: a 16-byte tag (HMAC-SHA-256, cut) and one bencoded dictionary.
 *
 * Nothing is parsed before the tag fits. Its key is derived from the ring key and the cluster's name, so that no
 * datagram of another cluster passes. Every datagram names sender and recipient, so none can be taken for another's, and
 * carries, besides its message, the sender's Lamport stamp, who leads as far as it knows, and news of members.
 */
import type { Compute } from '../host/index.ts';
import {
  type BencodeValue,
  bytesOf,
  decodeBencode,
  dictOf,
  encodeBencode,
  integerOf,
  listOf,
} from '../wire/bencode.ts';
import { isCount, MAX_COUNT } from './configuration.ts';
import { MAX_LAMPORT_TIME } from './lamport.ts';
import { type Claim, type MemberId, STANDINGS } from './member.ts';

/** Fits every network's smallest usual path without fragments. */
export const MAX_DATAGRAM_BYTES = 1_200;
export const RING_KEY_BYTES = 32;
const TAG_BYTES = 16;

export type RingMessage =
  | { readonly kind: 'ping'; readonly seq: number }
  | { readonly kind: 'ack'; readonly seq: number }
  /** Asks the recipient to probe `member` in the sender's place. */
  | { readonly kind: 'ping-request'; readonly seq: number; readonly member: MemberId }
  /** `member` answered the probe made for the request `seq`. */
  | { readonly kind: 'vouch'; readonly seq: number; readonly member: MemberId }
  /** Only what every datagram carries; not answered. */
  | { readonly kind: 'news' }
  /** Asks for what the recipient holds of the members, if its digest differs. */
  | { readonly kind: 'sync'; readonly digest: number }
  /** The gossip is a part of all that the sender holds; `wanted`: it wants the recipient's too. */
  | { readonly kind: 'sync-page'; readonly wanted: boolean }
  /** `round` is the term stood for. A pre-vote asks who would vote, and changes nothing (Raft thesis, 9.6). */
  | { readonly kind: 'pre-vote' | 'vote'; readonly round: number }
  | { readonly kind: 'pre-vote-answer' | 'vote-answer'; readonly round: number; readonly granted: boolean }
  /** From a leader that leaves: stand in term `round` at once (Raft thesis, 3.10). */
  | { readonly kind: 'stand-now'; readonly round: number };

/** Who leads, as its sender knows it: a leader says it of itself, the others pass it on. */
export interface LeaderShown {
  readonly member: MemberId;
  readonly term: number;
  /** Counts the grants of this lease, so that an older one is not taken for a newer. 0 before the first. */
  readonly grant: number;
  /** How long the leader's lease has left, counted so that it can only end sooner. 0 if it has none. */
  readonly leaseMs: number;
}

export interface Envelope {
  readonly from: MemberId;
  readonly to: MemberId;
  readonly lamport: number;
  /** Version of the configuration that the sender has adopted. */
  readonly version: number;
  /** The sender's term. */
  readonly term: number;
  /** The sender leads if this is itself. */
  readonly leader: LeaderShown | undefined;
  readonly gossip: readonly Claim[];
  readonly message: RingMessage;
}

export interface DatagramCodec {
  encode(envelope: Envelope): Uint8Array;
  /** Never throws: hostile bytes give the reason why they are dropped. */
  decode(bytes: Uint8Array): Envelope | DropReason;
}

/** `wrong-key`: of another cluster, or of nobody who knows the key. */
export type DropReason = 'too-long' | 'wrong-key' | 'malformed';

/** What a claim adds to a datagram, in bytes, or a little more. */
export function claimBytes({ member, incarnation, accuser, silentMs }: Claim): number {
  const accusation = accuser === undefined ? 0 : memberBytes(accuser) + numberBytes(Math.ceil(silentMs ?? 0));
  return 2 + memberBytes(member) + numberBytes(incarnation) + 3 + accusation;
}

function memberBytes({ slot, generation }: MemberId): number {
  return 3 + slot.length + numberBytes(generation);
}

function numberBytes(value: number): number {
  return 3 + Math.floor(Math.log10(Math.max(1, value)));
}

/** Room for gossip in a datagram whose other fields are as long as they can be. */
export const GOSSIP_BYTES = 490;

/** `key` is the ring key (32 bytes), `clusterUid` at most 64 characters of ASCII. */
export function createDatagramCodec(
  compute: Compute,
  ringKey: Uint8Array,
  clusterUid: string,
): DatagramCodec {
  const key = compute.hmacSha256(ringKey, new TextEncoder().encode(`skep ring ${clusterUid}`));
  return {
    encode(envelope) {
      const body = encodeBencode(toFields(envelope));
      const datagram = new Uint8Array(TAG_BYTES + body.length);
      datagram.set(compute.hmacSha256(key, body).subarray(0, TAG_BYTES));
      datagram.set(body, TAG_BYTES);
      return datagram;
    },

    decode(bytes) {
      if (bytes.length > MAX_DATAGRAM_BYTES) return 'too-long';
      if (bytes.length <= TAG_BYTES) return 'malformed';
      const body = bytes.subarray(TAG_BYTES);
      if (!sameTag(compute.hmacSha256(key, body), bytes)) return 'wrong-key';
      try {
        const { value } = decodeBencode(body, { maxDepth: 4, maxTokens: 600, maxBytes: MAX_DATAGRAM_BYTES });
        const fields = dictOf(value);
        return (fields && fromFields(fields)) ?? 'malformed';
      } catch {
        return 'malformed';
      }
    },
  };
}

function toFields({ message, leader, gossip, ...envelope }: Envelope) {
  return {
    ...('digest' in message ? { d: message.digest } : {}),
    f: idOf(envelope.from),
    ...(gossip.length > 0 ? { g: gossip.map(toList) } : {}),
    // What is left of a lease is rounded up: a follower may wait too long for its end, never too short.
    ...(leader === undefined
      ? {}
      : { h: [...idOf(leader.member), leader.term, leader.grant, Math.ceil(leader.leaseMs)] }),
    k: message.kind,
    l: envelope.lamport,
    ...('member' in message ? { m: idOf(message.member) } : {}),
    ...('round' in message ? { r: message.round } : {}),
    ...('seq' in message ? { s: message.seq } : {}),
    t: envelope.term,
    to: idOf(envelope.to),
    v: envelope.version,
    ...('granted' in message ? { y: message.granted ? 1 : 0 } : {}),
    ...('wanted' in message ? { y: message.wanted ? 1 : 0 } : {}),
  };
}

function idOf({ slot, generation }: MemberId): [string, number] {
  return [slot, generation];
}

function toList({ member, incarnation, standing, accuser, silentMs }: Claim) {
  const claim = [...idOf(member), incarnation, STANDINGS.indexOf(standing)];
  // Rounded down: a silence may be taken for shorter than it is, never for longer.
  return accuser === undefined ? claim : [...claim, ...idOf(accuser), Math.floor(silentMs ?? 0)];
}

type Fields = ReadonlyMap<string, BencodeValue>;

function fromFields(fields: Fields): Envelope | undefined {
  const from = memberOf(listOf(fields.get('f')));
  const to = memberOf(listOf(fields.get('to')));
  const lamport = countOf(fields.get('l'));
  const version = countOf(fields.get('v'));
  const term = countOf(fields.get('t'));
  const leader = fields.has('h') ? leaderOf(fields.get('h')) : undefined;
  const gossip = fields.has('g') ? listOf(fields.get('g'))?.map(claimOf) : [];
  const message = messageOf(fields);
  if (from === undefined || to === undefined || lamport === undefined || lamport > MAX_LAMPORT_TIME) return;
  if (version === undefined || term === undefined || message === undefined) return;
  if (fields.has('h') && leader === undefined) return;
  if (gossip === undefined || !gossip.every((claim) => claim !== undefined)) return;
  return { from, to, lamport, version, term, leader, gossip, message };
}

function messageOf(fields: Fields): RingMessage | undefined {
  const kind = asciiOf(fields.get('k'));
  const seq = countOf(fields.get('s'));
  const round = countOf(fields.get('r'));
  switch (kind) {
    case 'ping':
    case 'ack':
      return seq === undefined ? undefined : { kind, seq };
    case 'ping-request':
    case 'vouch': {
      const member = memberOf(listOf(fields.get('m')));
      return seq === undefined || member === undefined ? undefined : { kind, seq, member };
    }
    case 'news':
      return { kind };
    case 'sync': {
      const digest = countOf(fields.get('d'));
      return digest === undefined ? undefined : { kind, digest };
    }
    case 'sync-page': {
      const wanted = flagOf(fields.get('y'));
      return wanted === undefined ? undefined : { kind, wanted };
    }
    case 'pre-vote':
    case 'vote':
    case 'stand-now':
      return round === undefined ? undefined : { kind, round };
    case 'pre-vote-answer':
    case 'vote-answer': {
      const granted = flagOf(fields.get('y'));
      return round === undefined || granted === undefined ? undefined : { kind, round, granted };
    }
    default:
      return undefined;
  }
}

function leaderOf(value: BencodeValue | undefined): LeaderShown | undefined {
  const list = listOf(value);
  if (list?.length !== 5) return undefined;
  const member = memberOf(list.slice(0, 2));
  const [term, grant, leaseMs] = list.slice(2).map(countOf);
  if (member === undefined || term === undefined || grant === undefined || leaseMs === undefined) return;
  return { member, term, grant, leaseMs };
}

function memberOf(list: readonly BencodeValue[] | undefined): MemberId | undefined {
  if (list?.length !== 2) return undefined;
  const slot = asciiOf(list[0]);
  const generation = countOf(list[1]);
  return slot === undefined || !generation ? undefined : { slot, generation };
}

function claimOf(value: BencodeValue): Claim | undefined {
  const list = listOf(value);
  if (list?.length !== 4 && list?.length !== 7) return undefined;
  const member = memberOf(list.slice(0, 2));
  const incarnation = countOf(list[2]);
  const standing = STANDINGS[countOf(list[3]) ?? -1];
  if (member === undefined || incarnation === undefined || standing === undefined) return undefined;
  const claim = { member, incarnation, standing };
  const accusing = standing === 'suspect' || standing === 'silent';
  if (accusing !== (list.length === 7)) return undefined;
  if (!accusing) return claim;
  const accuser = memberOf(list.slice(4, 6));
  const silentMs = countOf(list[6]);
  return accuser === undefined || silentMs === undefined ? undefined : { ...claim, accuser, silentMs };
}

function flagOf(value: BencodeValue | undefined): boolean | undefined {
  const count = countOf(value);
  return count === 0 || count === 1 ? count === 1 : undefined;
}

function countOf(value: BencodeValue | undefined): number | undefined {
  const count = integerOf(value);
  return count !== undefined && isCount(count) && count < MAX_COUNT ? count : undefined;
}

/** Short visible ASCII: names of slots and kinds. Anything else could only be forged or broken. */
function asciiOf(value: BencodeValue | undefined): string | undefined {
  const bytes = bytesOf(value);
  if (bytes === undefined || bytes.length === 0 || bytes.length > 64) return undefined;
  return bytes.every((byte) => byte > 0x20 && byte < 0x7f) ? String.fromCharCode(...bytes) : undefined;
}

/** In constant time, so that how long it takes tells nothing about the tag. */
function sameTag(digest: Uint8Array, datagram: Uint8Array): boolean {
  let difference = 0;
  for (let index = 0; index < TAG_BYTES; index += 1) difference |= digest[index]! ^ datagram[index]!;
  return difference === 0;
}
