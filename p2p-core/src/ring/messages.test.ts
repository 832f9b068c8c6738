import { createHash, createHmac } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Compute } from '../host/index.ts';
import { Detector } from './detector.ts';
import { STANDINGS } from './member.ts';
import { createDatagramCodec, type Envelope, MAX_DATAGRAM_BYTES, type RingMessage } from './messages.ts';
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
  fc.record({ kind: fc.constantFrom('pre-vote', 'vote'), round: count }, { noNullPrototype: true }),
  fc.record(
    { kind: fc.constantFrom('pre-vote-answer', 'vote-answer'), round: count, granted: fc.boolean() },
    { noNullPrototype: true },
  ),
) as fc.Arbitrary<RingMessage>;
const envelope: fc.Arbitrary<Envelope> = fc.record(
  {
    from: member,
    to: member,
    lamport: count,
    version: count,
    term: count,
    leading: fc.boolean(),
    leaseMs: count,
    gossip: fc.array(
      fc.record(
        { member, incarnation: count, standing: fc.constantFrom(...STANDINGS) },
        { noNullPrototype: true },
      ),
      { maxLength: 5 },
    ),
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
  leading: true,
  leaseMs: 1_999.2,
  gossip: [{ member: { slot: 'bootstrap-1', generation: 2 }, incarnation: 1, standing: 'alive' }],
  message: { kind: 'ping', seq: 9 },
};

describe('datagrams', () => {
  it('are a tag and a dictionary in canonical order', () => {
    const bytes = codec.encode(ping);
    const body =
      'd1:c5:uid-11:fl11:bootstrap-1i2ee1:gll11:bootstrap-1i2ei1ei0eee1:k4:ping1:li41e' +
      '1:pli1ei2000ee1:si9e1:ti5e2:tol11:bootstrap-2i1ee1:vi3ee';
    expect(new TextDecoder().decode(bytes.subarray(16))).toBe(body);
    const tag = createHmac('sha256', key).update(body).digest('hex').slice(0, 32);
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
    expect(createDatagramCodec(compute, key, 'uid-2').decode(bytes)).toBe('wrong-cluster');
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
      const tag = compute.hmacSha256(key, body).subarray(0, 16);
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
      good.replace('1:pli1e', '1:pli2e'),
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
    const detector = new Detector({
      self: members[0]!,
      configuration,
      timing: DEFAULT_TIMING,
      connectForEvidence: false,
    });
    for (const from of members.slice(1)) {
      detector.heard(0, from, [{ member: from, incarnation: 2 ** 48 - 2, standing: 'alive' }]);
    }
    const most = 2 ** 48 - 1;
    const told = new Set<string>();
    for (let round = 0; round < 40; round += 1) {
      const gossip = detector.gossip(members[1]!);
      expect(gossip.length).toBeGreaterThan(3);
      for (const claim of gossip) told.add(claim.member.slot);
      const bytes = createDatagramCodec(compute, key, 'u'.repeat(64)).encode({
        from: members[0]!,
        to: members[1]!,
        lamport: most,
        version: most,
        term: most,
        leading: true,
        leaseMs: most,
        gossip,
        message: { kind: 'ping-request', seq: most, member: members[2]! },
      });
      expect(bytes.length).toBeLessThanOrEqual(MAX_DATAGRAM_BYTES);
    }
    expect(told.size).toBe(64);
  });
});
