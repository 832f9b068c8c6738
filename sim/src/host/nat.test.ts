/** Who gets in through each kind of NAT, by table, and then across a whole world. */
import { describe, expect, test } from 'vitest';
import type { NatKind } from './nat.ts';
import { Nat, natOf } from './nat.ts';
import { SimWorld } from './sim-world.ts';

const PORT = 6881;
const [FRIEND, STRANGER] = [1, 2];

describe('what gets in', () => {
  const cases: {
    what: string;
    prepare: (nat: Nat) => void;
    port?: number;
    from: number;
    fullCone: boolean;
    restricted: boolean;
  }[] = [
    { what: 'unasked', prepare: () => {}, from: FRIEND, fullCone: false, restricted: false },
    {
      what: 'from whom was sent to',
      prepare: (nat) => nat.noteSent('udp', PORT, FRIEND, 0),
      from: FRIEND,
      fullCone: true,
      restricted: true,
    },
    {
      what: 'from another',
      prepare: (nat) => nat.noteSent('udp', PORT, FRIEND, 0),
      from: STRANGER,
      fullCone: true,
      restricted: false,
    },
    {
      what: 'at another port',
      prepare: (nat) => nat.noteSent('udp', PORT, FRIEND, 0),
      port: 7000,
      from: FRIEND,
      fullCone: false,
      restricted: false,
    },
    {
      what: 'by another protocol',
      prepare: (nat) => nat.noteSent('tcp', PORT, FRIEND, 0),
      from: FRIEND,
      fullCone: false,
      restricted: false,
    },
    {
      what: 'at a forwarded port',
      prepare: () => {},
      port: 80,
      from: STRANGER,
      fullCone: true,
      restricted: true,
    },
  ];
  for (const { what, prepare, port = PORT, from, fullCone, restricted } of cases)
    test.each([
      ['full-cone', fullCone],
      ['restricted', restricted],
    ] as const)(`${what}: %s %s`, (kind, expected) => {
      const nat = new Nat({ kind, forwardedPorts: [80] });
      prepare(nat);
      expect(nat.mayReach('udp', port, from, 1_000)).toBe(expected);
    });

  test.each([
    ['udp', 120_000],
    ['tcp', 7_440_000],
  ] as const)('%s mappings last %d ms from what was sent last', (protocol, lifetimeMs) => {
    const nat = new Nat({ kind: 'restricted' });
    nat.noteSent(protocol, PORT, FRIEND, 0);
    nat.noteSent(protocol, PORT, FRIEND, 50);
    expect(nat.mayReach(protocol, PORT, FRIEND, lifetimeMs + 49)).toBe(true);
    expect(nat.mayReach(protocol, PORT, FRIEND, lifetimeMs + 50)).toBe(false);
  });

  test('mappings of thousands of peers are kept while they last, and no longer', () => {
    const nat = new Nat({ kind: 'restricted', udpTimeoutMs: 100 });
    for (let peer = 0; peer < 5_000; peer++) nat.noteSent('udp', PORT, peer, peer);
    expect(nat.mayReach('udp', PORT, 4_950, 5_000)).toBe(true);
    expect(nat.mayReach('udp', PORT, 4_850, 5_000)).toBe(false);
  });

  test('without a NAT there is nothing to ask', () => {
    expect([natOf(), natOf('none'), natOf({ kind: 'none' })]).toEqual([undefined, undefined, undefined]);
  });
});

/** a behind a NAT, b and c without: what a hears when b and c send to it, before and after it has sent to b. */
async function heardBehind(nat: NatKind, waitMs = 1_000): Promise<string[][]> {
  const world = new SimWorld({ seed: 1, network: { latencyMs: 10 } });
  const [a, b, c] = [nat, 'none' as const, 'none' as const].map((nat, i) =>
    world.createHost({ address: `10.0.0.${i + 1}`, nat }),
  );
  let heard: string[] = [];
  const at = { host: '0.0.0.0', port: PORT };
  const sockets = await world.complete(
    Promise.all([
      a!.net.bindUdp(at, (_, from) => heard.push(from.host)),
      b!.net.bindUdp(at, () => {}),
      c!.net.bindUdp(at, () => {}),
    ]),
  );
  const round = async () => {
    heard = [];
    for (const socket of sockets.slice(1)) socket.send(Uint8Array.of(1), { host: a!.address, port: PORT });
    await world.run({ untilMs: world.nowMs + 100 });
    return heard;
  };
  const before = await round();
  sockets[0]!.send(Uint8Array.of(1), { host: b!.address, port: PORT });
  await world.run({ untilMs: world.nowMs + waitMs });
  return [before, await round()];
}

describe('datagrams to a machine behind a NAT', () => {
  test.each([
    [
      'none',
      1_000,
      [
        ['10.0.0.2', '10.0.0.3'],
        ['10.0.0.2', '10.0.0.3'],
      ],
    ],
    ['full-cone', 1_000, [[], ['10.0.0.2', '10.0.0.3']]],
    ['restricted', 1_000, [[], ['10.0.0.2']]],
    ['full-cone', 130_000, [[], []]],
    ['restricted', 130_000, [[], []]],
  ] as const)('%s, %d ms after it has sent', async (kind, waitMs, expected) => {
    expect(await heardBehind(kind, waitMs)).toEqual(expected);
  });
});
