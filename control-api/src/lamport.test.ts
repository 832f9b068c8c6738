/** Lamport time over HTTP: what the control API does at an agent's call is stamped after it, refusals included. */
import { lamportHeader, lamportOf } from '@skep/contract';
import { beforeEach, describe, expect, it } from 'vitest';
import { adminToken, createWorld, type PretendedAgent, viewerToken, type World } from './testing/world.ts';

describe('the Lamport time of a call', () => {
  let world: World;
  let leader: PretendedAgent;

  beforeEach(async () => {
    world = await createWorld();
    await world.client(adminToken).createCluster({ body: { name: 'bees', bootstrap: 1, peers: 1 } });
    leader = await (await world.agent('bootstrap-1')).serve();
    await (await world.agent('peer-1')).serve();
  });

  const events = () =>
    world.client(viewerToken).listEvents({ params: { cluster: 'bees' }, query: { limit: 1_000 } });

  const send = async (method: string, path: string, body: object, lamport?: number | string) => {
    const response = await world.api.handler(
      new Request(`http://10.9.9.9/v1/clusters/bees/${path}`, {
        method,
        headers: {
          authorization: `Bearer ${leader.token}`,
          ...(lamport === undefined ? {} : { [lamportHeader]: String(lamport) }),
        },
        body: JSON.stringify(body),
      }),
      { host: '127.0.0.1', port: 1 },
    );
    return { status: response.status, lamport: lamportOf(response.headers)! };
  };
  const acquire = (term: number, lamport?: number | string) =>
    send('PUT', 'lease', { action: 'acquire', holder: leader.id, term }, lamport);
  const redeploy = (generation: number, lamport: number) =>
    send('POST', 'redeployments', { slot: 'peer-1', generation, term: 1, reason: 'dead' }, lamport);

  it('puts what is granted after the call, and the answer after what is granted', async () => {
    const answer = await acquire(1, 500);
    const granted = (await events()).find(({ kind }) => kind === 'lease-granted')!;
    expect(granted.lamport).toBeGreaterThan(500);
    expect(answer.lamport).toBeGreaterThan(granted.lamport);
  });

  it('puts a refusal between the call and its answer too', async () => {
    await acquire(1);
    const answer = await redeploy(7, 900);
    expect(answer.status).toBe(409);
    const refused = (await events()).find(({ kind }) => kind === 'redeployment-refused')!;
    expect(refused.lamport).toBeGreaterThan(900);
    expect(answer.lamport).toBeGreaterThan(refused.lamport);
  });

  it('goes on at each message, whatever its stamp', async () => {
    const first = await acquire(1, 700);
    const second = await acquire(1, 3);
    const third = await acquire(1);
    expect(second.lamport).toBeGreaterThan(first.lamport);
    expect(third.lamport).toBeGreaterThan(second.lamport);
  });

  it.each(['-1', '1.5', '1e9', ' ', '99999999999999999999', String(2 ** 49), 'soon'])(
    'is not moved far by %j',
    async (stamp) => {
      const { lamport } = await acquire(1, 40);
      expect((await acquire(1, stamp)).lamport).toBeLessThan(lamport + 10);
    },
  );

  it('is not moved by who has no token or a wrong join secret', async () => {
    const { lamport } = await acquire(1, 40);
    const join = {
      machine: leader.id,
      attempt: 1,
      joinSecret: 'ab'.repeat(32),
      tokenSha256: 'cd'.repeat(32),
    };
    expect((await send('POST', 'join', join, 10_000)).status).toBe(403);
    const known = leader.token;
    Object.assign(leader, { token: 'of-nobody' });
    expect((await acquire(2, 10_000)).status).toBe(401);
    Object.assign(leader, { token: known });
    expect((await acquire(1)).lamport).toBeLessThan(lamport + 10);
  });

  it('tells when an event happened that was reported late', async () => {
    const event = { sequence: 1, lamport: 5, kind: 'elected', data: {} };
    await leader.report('serving', { events: [{ ...event, ageMs: 2_500 }] });
    await leader.report('serving', { events: [{ ...event, sequence: 2 }] });
    const [late, ageless] = (await events()).filter(({ kind }) => kind === 'elected');
    expect(late!.atMs - late!.happenedAtMs!).toBe(2_500);
    expect(ageless).not.toHaveProperty('happenedAtMs');
    expect((await events()).find(({ kind }) => kind === 'node-serving')).not.toHaveProperty('happenedAtMs');
  });
});
