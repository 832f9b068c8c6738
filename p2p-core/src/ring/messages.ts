/**
 * The ring's datagrams: a 16-byte tag (HMAC-SHA-256 under the ring key, cut) and one bencoded dictionary.
 *
 * Nothing is parsed before the tag fits. Every datagram names cluster, sender and recipient, so none can be
 * taken for another's, and carries three facts besides its message: the sender's Lamport stamp, whether it
 * leads (which makes every message of a leader a heartbeat), and gossip.
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
  /** `round` is the term stood for. A pre-vote asks who would vote, and changes nothing (Raft thesis, 9.6). */
  | { readonly kind: 'pre-vote' | 'vote'; readonly round: number }
  | { readonly kind: 'pre-vote-answer' | 'vote-answer'; readonly round: number; readonly granted: boolean };

export interface Envelope {
  readonly from: MemberId;
  readonly to: MemberId;
  readonly lamport: number;
  /** Version of the configuration that the sender has adopted. */
  readonly version: number;
  /** The sender's term; as a leader, the term it leads in. */
  readonly term: number;
  readonly leading: boolean;
  /** How long the leader's lease has left, counted so that it can only end sooner. 0 if it has none. */
  readonly leaseMs: number;
  readonly gossip: readonly Claim[];
  readonly message: RingMessage;
}

export interface DatagramCodec {
  encode(envelope: Envelope): Uint8Array;
  /** Never throws: hostile bytes give the reason why they are dropped. */
  decode(bytes: Uint8Array): Envelope | DropReason;
}

export type DropReason = 'too-long' | 'wrong-key' | 'malformed' | 'wrong-cluster';

/** What a claim adds to a datagram at most, in bytes: four numbers, a name and their punctuation. */
export function claimBytes(claim: Claim): number {
  return claim.member.slot.length + 3 + 2 * 18 + 3 + 2;
}

/** Room for gossip in a datagram whose other fields are as long as they can be. */
export const GOSSIP_BYTES = 640;

/** `key` is the cluster's ring key (32 bytes), `clusterUid` at most 64 characters of ASCII. */
export function createDatagramCodec(compute: Compute, key: Uint8Array, clusterUid: string): DatagramCodec {
  return {
    encode(envelope) {
      const body = encodeBencode(toFields(clusterUid, envelope));
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
        if (fields === undefined) return 'malformed';
        if (asciiOf(fields.get('c')) !== clusterUid) return 'wrong-cluster';
        return fromFields(fields) ?? 'malformed';
      } catch {
        return 'malformed';
      }
    },
  };
}

function toFields(clusterUid: string, { message, ...envelope }: Envelope) {
  return {
    c: clusterUid,
    f: [envelope.from.slot, envelope.from.generation],
    g: envelope.gossip.map(({ member, incarnation, standing }) => [
      member.slot,
      member.generation,
      incarnation,
      STANDINGS.indexOf(standing),
    ]),
    k: message.kind,
    l: envelope.lamport,
    ...('member' in message ? { m: [message.member.slot, message.member.generation] } : {}),
    // What is left of a lease is rounded up: a follower may wait too long for its end, never too short.
    p: [envelope.leading ? 1 : 0, Math.ceil(envelope.leaseMs)],
    ...('round' in message ? { r: message.round } : {}),
    ...('seq' in message ? { s: message.seq } : {}),
    t: envelope.term,
    to: [envelope.to.slot, envelope.to.generation],
    v: envelope.version,
    ...('granted' in message ? { y: message.granted ? 1 : 0 } : {}),
  };
}

type Fields = ReadonlyMap<string, BencodeValue>;

function fromFields(fields: Fields): Envelope | undefined {
  const from = memberOf(fields.get('f'));
  const to = memberOf(fields.get('to'));
  const lamport = countOf(fields.get('l'));
  const version = countOf(fields.get('v'));
  const term = countOf(fields.get('t'));
  const [leading, leaseMs] = listOf(fields.get('p'))?.map(countOf) ?? [];
  const gossip = listOf(fields.get('g'))?.map(claimOf);
  const message = messageOf(fields);
  if (from === undefined || to === undefined || lamport === undefined || lamport > MAX_LAMPORT_TIME) return;
  if (version === undefined || term === undefined || message === undefined) return;
  if ((leading !== 0 && leading !== 1) || leaseMs === undefined) return;
  if (gossip === undefined || !gossip.every((claim) => claim !== undefined)) return;
  return { from, to, lamport, version, term, leading: leading === 1, leaseMs, gossip, message };
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
      const member = memberOf(fields.get('m'));
      return seq === undefined || member === undefined ? undefined : { kind, seq, member };
    }
    case 'pre-vote':
    case 'vote':
      return round === undefined ? undefined : { kind, round };
    case 'pre-vote-answer':
    case 'vote-answer': {
      const granted = countOf(fields.get('y'));
      return round === undefined || granted === undefined || granted > 1
        ? undefined
        : { kind, round, granted: granted === 1 };
    }
    default:
      return undefined;
  }
}

function memberOf(value: BencodeValue | undefined): MemberId | undefined {
  const list = listOf(value);
  if (list?.length !== 2) return undefined;
  const slot = asciiOf(list[0]);
  const generation = countOf(list[1]);
  return slot === undefined || !generation ? undefined : { slot, generation };
}

function claimOf(value: BencodeValue): Claim | undefined {
  const list = listOf(value);
  if (list?.length !== 4) return undefined;
  const member = memberOf(list.slice(0, 2));
  const incarnation = countOf(list[2]);
  const standing = STANDINGS[countOf(list[3]) ?? -1];
  return member === undefined || incarnation === undefined || standing === undefined
    ? undefined
    : { member, incarnation, standing };
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
