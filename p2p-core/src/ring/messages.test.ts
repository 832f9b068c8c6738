import { createHash, createHmac } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Compute } from '../host/index.ts';
import { Detector } from './detector.ts';
import type { Claim } from './member.ts';
import { createDatagramCodec, type Envelope, MAX_DATAGRAM_BYTES, type RingMessage } from './messages.ts';
import { mulberry32 } from './testing/world.ts';
import { DEFAULT_TIMING } from './timing.ts';

const compute: Compute = {
  hash: (algorithm, bytes) => createHash(algorithm).update(bytes).digest(),
  hmacSha256: (key, bytes) => createHmac('sha256', key).update(bytes).digest(),
  parallelism: 1,
};
const key = new Uint8Array(32).fill(7);
const codec = createDatagramCodec(compute, key, 'uid-1');

const slot = fc.stringMatching(/^[!-~]{1,64}$/);
const count = fc.integer({ min: 0, max: 2 ** 48 - 1 });
const member = fc.record(
  { slot, generation: fc.integer({ min: 1, max: 2 ** 48 - 1 }) },
  { noNullPrototype: true },
);
const message: fc.Arbitrary<RingMessage> = fc.oneof(
  fc.record({ kind: fc.constantFrom('ping', 'ack'), seq: count }, { noNullPrototype: true }),
  fc.record(
    { kind: fc.constantFrom('ping-request', 'vouch'), seq: count, member },
    { noNullPrototype: true },
  ),
  fc.record(
    { kind: fc.constantFrom('pre-vote', 'vote', 'stand-now'), round: count },
    { noNullPrototype: true },
  ),
  fc.record({ kind: fc.constant('news') }, { noNullPrototype: true }),
  fc.record({ kind: fc.constant('sync'), digest: count }, { noNullPrototype: true }),
  fc.record({ kind: fc.constant('sync-page'), wanted: fc.boolean() }, { noNullPrototype: true }),
  fc.record(
    { kind: fc.constantFrom('pre-vote-answer', 'vote-answer'), round: count, granted: fc.boolean() },
    { noNullPrototype: true },
  ),
) as fc.Arbitrary<RingMessage>;
const claim: fc.Arbitrary<Claim> = fc.oneof(
  fc.record(
    { member, incarnation: count, standing: fc.constantFrom('alive', 'dead', 'left') },
    { noNullPrototype: true },
  ),
  fc.record(
    {
      member,
      incarnation: count,
      standing: fc.constantFrom('suspect', 'silent'),
      accuser: member,
      silentMs: count,
    },
    { noNullPrototype: true },
  ),
) as fc.Arbitrary<Claim>;
const envelope: fc.Arbitrary<Envelope> = fc.record(
  {
    from: member,
    to: member,
    lamport: count,
    version: count,
    term: count,
    leader: fc.option(
      fc.record({ member, term: count, grant: count, leaseMs: count }, { noNullPrototype: true }),
      { nil: undefined },
    ),
    gossip: fc.array(claim, { maxLength: 5 }),
    message,
  },
  { noNullPrototype: true },
);

const ping: Envelope = {
  from: { slot: 'bootstrap-1', generation: 2 },
  to: { slot: 'bootstrap-2', generation: 1 },
  lamport: 41,
  version: 3,
  term: 5,
  leader: { member: { slot: 'bootstrap-1', generation: 2 }, term: 5, grant: 7, leaseMs: 1_999.2 },
  gossip: [{ member: { slot: 'bootstrap-1', generation: 2 }, incarnation: 1, standing: 'alive' }],
  message: { kind: 'ping', seq: 9 },
};

describe('datagrams', () => {
  it('are a tag and a dictionary in canonical order', () => {
    const bytes = codec.encode(ping);
    const body =
      'd1:fl11:bootstrap-1i2ee1:gll11:bootstrap-1i2ei1ei0eee1:hl11:bootstrap-1i2ei5ei7ei2000ee' +
      '1:k4:ping1:li41e1:si9e1:ti5e2:tol11:bootstrap-2i1ee1:vi3ee';
    expect(new TextDecoder().decode(bytes.subarray(16))).toBe(body);
    const derived = createHmac('sha256', key).update('skep ring uid-1').digest();
    const tag = createHmac('sha256', derived).update(body).digest('hex').slice(0, 32);
    expect(Buffer.from(bytes.subarray(0, 16)).toString('hex')).toBe(tag);
  });

  it('come back as they were', () => {
    fc.assert(
      fc.property(envelope, (sent) => {
        const bytes = codec.encode(sent);
        if (bytes.length <= MAX_DATAGRAM_BYTES) expect(codec.decode(bytes)).toEqual(sent);
      }),
    );
  });

  it('of another key or cluster are dropped', () => {
    const bytes = codec.encode(ping);
    expect(createDatagramCodec(compute, new Uint8Array(32), 'uid-1').decode(bytes)).toBe('wrong-key');
    expect(createDatagramCodec(compute, key, 'uid-2').decode(bytes)).toBe('wrong-key');
  });

  it('changed in any one bit are dropped', () => {
    const bytes = codec.encode(ping);
    for (let bit = 0; bit < bytes.length * 8; bit += 1) {
      const changed = bytes.slice();
      changed[bit >>> 3]! ^= 1 << (bit & 7);
      expect(codec.decode(changed)).toBe('wrong-key');
    }
  });

  it('that are too long, cut short, or nonsense under the right key are dropped without a throw', () => {
    expect(codec.decode(new Uint8Array(1_201))).toBe('too-long');
    for (const length of [0, 1, 15, 16]) expect(codec.decode(new Uint8Array(length))).toBe('malformed');
    const forge = (body: Uint8Array) => {
      const derived = compute.hmacSha256(key, new TextEncoder().encode('skep ring uid-1'));
      const tag = compute.hmacSha256(derived, body).subarray(0, 16);
      return codec.decode(Uint8Array.from([...tag, ...body]));
    };
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (body) => {
        expect(forge(body)).toBe('malformed');
      }),
    );
    const good = new TextDecoder().decode(codec.encode(ping).subarray(16));
    const broken = [
      good.replace('i41e', 'i-1e'),
      good.replace('i41e', '2:41'),
      good.replace('4:ping', '4:pong'),
      good.replace('1:si9e', ''),
      good.replace('i1ei0eee', 'i1ei9eee'),
      good.replace('i7ei2000e', 'i7e'),
      good.replace('i1ei0eee', 'i1ei1eee'),
      good.replace('i1ei0eee', 'i1ei0el1:aeee'),
      good.replace('l11:bootstrap-2i1ee', 'l11:bootstrap-2i0ee'),
      good.replace('11:bootstrap-2', '11:bootstrap 2'),
      good.replace('i5e', `i${2 ** 50}e`),
      `${good}e`,
    ];
    for (const body of broken) {
      expect(body).not.toBe(good);
      expect(forge(new TextEncoder().encode(body)), body).toBe('malformed');
    }
  });

  it('stay within their limit with the longest names and a full ring', () => {
    const name = (index: number) => `${String(index).padStart(2, '0')}${'x'.repeat(62)}`;
    const members = Array.from({ length: 64 }, (_, index) => ({
      slot: name(index),
      generation: 2 ** 48 - 1,
      address: { host: '127.0.0.1', port: 1 },
      voter: true,
      admittedAtTerm: 0,
    }));
    const configuration = { version: 1, members };
    const detector = new Detector(
      { random: { float: mulberry32(1), bytes: (length) => new Uint8Array(length) } },
      { self: members[0]!, configuration, timing: DEFAULT_TIMING, connectForEvidence: false },
    );
    const most = 2 ** 48 - 1;
    members.slice(2).forEach((about, index) => {
      const standing = index % 2 === 0 ? 'suspect' : 'alive';
      const accusation = standing === 'suspect' ? { accuser: members[1]!, silentMs: most } : {};
      detector.heard(0, members[1]!, [{ member: about, incarnation: most - 1, standing, ...accusation }]);
    });
    const told = new Set<string>();
    const wide = createDatagramCodec(compute, key, 'u'.repeat(64));
    for (let round = 0; round < 2_000; round += 1) {
      const to = members[1 + (round % 63)]!;
      const gossip = detector.gossip(most, to);
      for (const claim of gossip) told.add(claim.member.slot);
      const bytes = wide.encode({
        from: members[0]!,
        to,
        lamport: most,
        version: most,
        term: most,
        leader: { member: members[3]!, term: most, grant: most, leaseMs: most },
        gossip,
        message: { kind: 'ping-request', seq: most, member: members[2]! },
      });
      expect(bytes.length).toBeLessThanOrEqual(MAX_DATAGRAM_BYTES);
    }
    expect(told.size).toBe(62);
    // All is told, and told no more.
    expect(detector.gossip(0, members[1]!)).toEqual([]);
  });
});
