/** The driver on real sockets and files: rings on loopback, with an authority in memory. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { TcpListener } from '../host/index.ts';
import { createNodeHost, type NodeHost } from '../host/node/index.ts';
import {
  type Authority,
  createRing,
  type LeaseAnswer,
  type RedeploymentRequest,
  type Ring,
  type RingConfiguration,
  type RingEvent,
  type RingOptions,
} from './index.ts';
import { createDatagramCodec } from './messages.ts';

const ringKey = new Uint8Array(32).fill(1);
/** The default waits, cut down: these tests wait for events on a real clock. */
const timing = {
  electionTimeoutMs: [150, 300],
  candidacyMs: [150, 300],
  retryMs: [20, 80],
  staggerMs: [5, 30],
  probeIntervalMs: 50,
  probeTimeoutMs: 30,
} as const;

let host: NodeHost;
let stateDirectory: string;
let listeners: Map<string, TcpListener>;
let configuration: RingConfiguration;
let rings: Map<string, Ring>;
let events: { slot: string; event: RingEvent }[];
let waiting: (() => void)[];
let lease: { term: number; holder: string };
let asked: RedeploymentRequest[];

beforeEach(async () => {
  host = createNodeHost({ workers: 1 });
  stateDirectory = await mkdtemp(join(tmpdir(), 'skep-ring-'));
  [rings, events, waiting, asked, lease] = [new Map(), [], [], [], { term: 0, holder: '' }];
  listeners = new Map();
  const members = [];
  for (const slot of ['a', 'b', 'c']) {
    // Stands for the agent's own TCP port, whose number the ring shares.
    const listener = await host.net.listenTcp({ host: '127.0.0.1', port: 0 }, () => ({
      onBytes: (view) => view.length,
      onClose() {},
    }));
    listeners.set(slot, listener);
    members.push({ slot, generation: 1, address: listener.local, voter: true, admittedAtTerm: 0 });
  }
  configuration = { version: 1, members };
});
afterEach(async () => {
  for (const ring of rings.values()) await ring.close();
  await host.close();
  await rm(stateDirectory, { recursive: true });
});

function authorityOf(slot: string): Authority {
  const answer = (term: number): LeaseAnswer =>
    lease.term === term && lease.holder === slot
      ? { granted: true, term, durationMs: 2_000 }
      : { granted: false, term: lease.term };
  return {
    async acquire(term) {
      if (term > lease.term) lease = { term, holder: slot };
      return answer(term);
    },
    renew: async (term) => answer(term),
    async requestRedeployment(request) {
      asked.push(request);
      return { accepted: true };
    },
  };
}

async function enter(
  slot: string,
  options: Partial<RingOptions> = {},
  authority = authorityOf(slot),
): Promise<Ring> {
  const member = configuration.members.find((each) => each.slot === slot)!;
  const ring = await createRing(
    { host, authority, ringKey },
    {
      clusterUid: 'test',
      self: member,
      local: member.address,
      stateDirectory: join(stateDirectory, slot),
      configuration,
      timing,
      onEvent(event) {
        events.push({ slot, event });
        for (const check of [...waiting]) check();
      },
      ...options,
    },
  );
  ring.setAuthorityReachable(true);
  rings.set(slot, ring);
  return ring;
}

/** The first event that fits, past or to come. */
function seen(
  fits: (event: RingEvent, slot: string) => boolean,
): Promise<{ slot: string; event: RingEvent }> {
  return new Promise((resolve) => {
    const check = () => {
      const found = events.find(({ slot, event }) => fits(event, slot));
      if (found === undefined) return;
      waiting = waiting.filter((other) => other !== check);
      resolve(found);
    };
    waiting.push(check);
    check();
  });
}

describe('a ring on loopback', () => {
  it('elects a leader, replaces it when its process is gone, and has it redeployed', async () => {
    for (const slot of ['a', 'b', 'c']) await enter(slot);
    const first = await seen((event) => event.type === 'lease-granted');
    for (const slot of ['a', 'b', 'c']) {
      await seen(
        (event, by) => by === slot && event.type === 'leader-changed' && event.leader?.slot === first.slot,
      );
    }
    await rings.get(first.slot)!.close();
    await listeners.get(first.slot)!.close();
    const next = await seen((event, by) => by !== first.slot && event.type === 'lease-granted');
    await seen((event) => event.type === 'redeployment-answered');
    expect(asked).toMatchObject([{ slot: first.slot, generation: 1, term: lease.term }]);
    const death = events.find(({ event }) => event.type === 'member-dead')!.event;
    expect(death).toMatchObject({ cause: 'evidence', member: { slot: first.slot, generation: 1 } });
    expect(rings.get(next.slot)!.status()).toMatchObject({ role: 'leader', leading: true, term: lease.term });
  });

  it('hands the leadership over when its leader leaves, which waits for it, and others leave at once', async () => {
    for (const slot of ['a', 'b', 'c']) await enter(slot);
    const first = await seen((event) => event.type === 'lease-granted');
    for (const slot of ['a', 'b', 'c']) {
      await seen((event, by) => by === slot && event.type === 'leader-changed' && event.leader !== undefined);
    }
    await rings.get(first.slot)!.leave();
    const transfer = events.find(({ event }) => event.type === 'leader-transfer')!;
    expect(transfer.slot).toBe(first.slot);
    const elected = events.filter(({ event }) => event.type === 'elected').at(-1)!;
    expect(elected.slot).not.toBe(first.slot);
    expect(asked).toEqual([]);
    const last = ['a', 'b', 'c'].find((slot) => slot !== first.slot && slot !== elected.slot)!;
    await rings.get(last)!.leave();
    await rings.get(last)!.leave();
    await rings.get(last)!.close();
    await rings.get(last)!.leave();
  });

  it('drops datagrams under another key, and counts them', async () => {
    const ring = await enter('a');
    const stranger = await host.net.bindUdp({ host: '127.0.0.1', port: 0 }, () => {});
    stranger.send(new Uint8Array(40), ring.local);
    stranger.send(new Uint8Array(1_300), ring.local);
    stranger.send(new Uint8Array(0), ring.local);
    const self = configuration.members[0]!;
    const friend = configuration.members[1]!;
    const suspicion = {
      member: self,
      incarnation: 0,
      standing: 'suspect',
      accuser: friend,
      silentMs: 600,
    } as const;
    const message = { kind: 'ping', seq: 1 } as const;
    const shown = { lamport: 1, version: 1, term: 0, leader: undefined, gossip: [suspicion] };
    const codec = createDatagramCodec(host.compute, ringKey, 'test');
    // Sent last, so the others have been looked at once this is answered.
    stranger.send(codec.encode({ from: friend, to: self, ...shown, message }), ring.local);
    await seen((event) => event.type === 'member-refuted');
    expect(ring.status().dropped).toMatchObject({ 'wrong-key': 1, 'too-long': 1, malformed: 1 });
    stranger.close();
  });

  it('keeps its vote over a restart', async () => {
    configuration = { version: 1, members: configuration.members.slice(0, 1) };
    const before = await enter('a');
    await seen((event) => event.type === 'lease-granted');
    const { term } = before.status();
    await before.close();
    const after = await enter('a');
    expect(after.status().term).toBe(term);
  });

  it('says that its record is lost', async () => {
    configuration = { version: 1, members: configuration.members.slice(0, 1) };
    const ring = await enter('a');
    await seen((event) => event.type === 'lease-granted');
    await ring.close();
    await rm(join(stateDirectory, 'a', 'ring', 'vote-a-1'));
    await enter('a');
    await seen((event) => event.type === 'vote-record-lost');
  });

  it('gives up a lease that the authority neither grants nor refuses', async () => {
    configuration = { version: 1, members: configuration.members.slice(0, 1) };
    const never = () => new Promise<never>(() => {});
    const authority = { acquire: never, renew: never, requestRedeployment: never };
    const patience = { ...timing, authorityTimeoutMs: 30, acquirePatienceMs: 100, leaseRetryMs: 5 };
    const ring = await enter('a', { timing: patience }, authority);
    const lost = await seen((event) => event.type === 'lease-lost');
    expect(lost.event).toMatchObject({ reason: 'the control API could not be reached' });
    expect(ring.status()).toMatchObject({ role: 'follower', leading: false });
  });

  it('tells what is wrong with its options', async () => {
    const options = {
      clusterUid: 'test',
      self: configuration.members[0]!,
      local: configuration.members[0]!.address,
      stateDirectory,
      configuration,
      onEvent() {},
    };
    const authority = authorityOf('a');
    await expect(createRing({ host, authority, ringKey: new Uint8Array(8) }, options)).rejects.toMatchObject({
      code: 'bad-ring-key',
    });
    const twice = { version: 1, members: [configuration.members[0]!, configuration.members[0]!] };
    await expect(
      createRing({ host, authority, ringKey }, { ...options, configuration: twice }),
    ).rejects.toMatchObject({
      code: 'bad-configuration',
    });
    const ring = await createRing({ host, authority, ringKey }, options);
    await expect(createRing({ host, authority, ringKey }, options)).rejects.toMatchObject({
      code: 'address-in-use',
    });
    await ring.close();
  });
});
