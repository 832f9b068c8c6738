import type { AgentEvent } from '@skep/contract';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { StoreError } from './ports/store.ts';
import { adminToken, createWorld, viewerToken, type World } from './testing/world.ts';

const spec = { name: 'bees', bootstrap: 3, peers: 2, leaseMs: 5_000, watchdogMs: 15_000 } as const;
const bootstraps = ['bootstrap-1', 'bootstrap-2', 'bootstrap-3'];
const params = { cluster: 'bees' };

let world: World;
beforeEach(async () => {
  world = await createWorld();
});
afterEach(async () => {
  await Promise.all([world.api.stop(), world.advance(2_000)]);
});

async function createServing(overrides: object = {}) {
  await world.client(adminToken).createCluster({ body: { ...spec, ...overrides } });
  const slots = [...bootstraps, 'peer-1', 'peer-2'];
  const agents = await Promise.all(slots.map(async (slot) => (await world.agent(slot)).serve()));
  return Object.fromEntries(slots.map((slot, index) => [slot, agents[index]!])) as Record<
    string,
    (typeof agents)[0]
  >;
}

/** Keeps the given agents heard while time passes. */
async function reporting(agents: readonly { report(): Promise<unknown> }[], durationMs: number) {
  for (let passedMs = 0; passedMs < durationMs; passedMs += 1_000) {
    await Promise.all(agents.map((agent) => agent.report()));
    await world.advance(1_000);
  }
}

describe('a cluster', () => {
  it('is launched, joins, serves, and is told so', async () => {
    const created = await world.client(adminToken).createCluster({ body: spec });
    expect(created.nodes.map(({ slot, state }) => [slot, state])).toEqual(
      [...bootstraps, 'peer-1', 'peer-2'].map((slot) => [slot, 'launching']),
    );
    const agent = await world.agent('bootstrap-1');
    expect(agent.launched.config).toMatchObject({
      apiUrl: 'http://10.9.9.9',
      role: 'bootstrap',
      generation: 1,
      attempt: 1,
    });
    await agent.serve();
    expect(await world.node('bees', 'bootstrap-1')).toMatchObject({
      state: 'serving',
      heardAgoMs: 0,
      dhtNodes: 1,
    });
    expect(await world.kinds('bees')).toEqual(
      expect.arrayContaining([
        'cluster-created',
        'node-launched bootstrap-1@1',
        'node-joined bootstrap-1@1',
        'node-serving bootstrap-1@1',
      ]),
    );
  });

  it('gives all ring members one key, and every attempt a secret of its own', async () => {
    await world.client(adminToken).createCluster({ body: spec });
    const configs = await Promise.all(
      [...bootstraps, 'peer-1'].map(async (slot) => (await world.agent(slot)).launched.config),
    );
    expect(new Set(configs.slice(0, 3).map(({ ringKey }) => ringKey)).size).toBe(1);
    expect(configs[3]!.ringKey).toBeUndefined();
    expect(new Set(configs.map(({ joinSecret }) => joinSecret)).size).toBe(4);
  });

  it('tries a launch again, by the same token, as long as its outcome is unknown', async () => {
    world.launcher.failures = 3;
    await world.client(adminToken).createCluster({ body: { ...spec, bootstrap: 1, peers: 0 } });
    await world.until(async () => (await world.node('bees', 'bootstrap-1')).machine !== undefined);
    expect(world.launcher.machines.size).toBe(1);
    expect(await world.node('bees', 'bootstrap-1')).toMatchObject({ attempt: 1, state: 'launching' });
  });

  it('goes on to the next attempt when a machine ends before it joined, or never joins', async () => {
    await world.client(adminToken).createCluster({ body: { ...spec, bootstrap: 1, peers: 0 } });
    const first = await world.agent('bootstrap-1');
    world.launcher.crash(first.launched.machine, 'exit code 3');
    await world.until(() => world.launcher.living('bootstrap-1')?.machine.attempt === 2);
    const late = await first.join().catch((error) => error.problem.code);
    expect(late).toBe('generation-over');
    await world.advance(61_000);
    await world.until(() => world.launcher.living('bootstrap-1')?.machine.attempt === 3);
    expect(world.launcher.mostAlive).toBe(1);
    expect((await world.kinds('bees')).filter((kind) => kind.startsWith('node-launch-failed'))).toHaveLength(
      2,
    );
  });

  it('is deleted with every machine, and its name is free again', async () => {
    await createServing();
    await world.client(adminToken).deleteCluster({ params });
    await world.until(
      async () => (await world.request('GET', '/v1/clusters/bees', { token: viewerToken })).status === 404,
    );
    expect(await world.launcher.list()).toEqual([]);
    expect(world.launcher.forgotten).toHaveLength(1);
    await world.advance(12_000);
    expect(await world.store.list('')).toEqual([]);
    await world.client(adminToken).createCluster({ body: spec });
  });

  it('is waited for at the end of the process with patience, not for ever', async () => {
    await createServing({ ephemeral: true });
    world.launcher.stop = () => new Promise(() => undefined);
    let left: readonly string[] | undefined;
    void world.api.deleteEphemeralClusters(30_000).then((names) => {
      left = names;
    });
    await world.advance(29_000);
    expect(left).toBeUndefined();
    await world.advance(2_000);
    expect(left).toEqual(['bees']);
  });

  it.each(['was not taken', 'was taken without an answer'])('ends though a commit %s', async (which) => {
    await createServing({ ephemeral: true });
    const commit = world.store.commit.bind(world.store);
    let failing = 3;
    world.store.commit = async (writes, events) => {
      const ends = events?.some(({ kind }) => kind === 'cluster-deleting' || kind === 'cluster-deleted');
      if (!ends || failing-- <= 0) return commit(writes, events);
      if (which !== 'was not taken') await commit(writes, events);
      throw new StoreError('the disk is full');
    };
    let left: readonly string[] | undefined;
    void world.api.deleteEphemeralClusters(30_000).then((names) => {
      left = names;
    });
    await world.advance(10_000);
    expect(left).toEqual([]);
    expect(await world.launcher.list()).toEqual([]);
    expect(world.launcher.forgotten.length).toBeGreaterThan(0);
  });

  it('refuses a name that is taken', async () => {
    await world.client(adminToken).createCluster({ body: spec });
    const body = JSON.stringify(spec);
    const both = await world.request('POST', '/v1/clusters', { token: adminToken, body });
    expect(both.status).toBe(409);
    expect(await both.json()).toMatchObject({ code: 'cluster-exists' });
  });
});

describe('joining', () => {
  it('may be repeated with the same token, and by nobody else', async () => {
    await world.client(adminToken).createCluster({ body: spec });
    const agent = await world.agent('peer-1');
    await agent.join();
    await agent.join();
    await expect(agent.join('stolen')).rejects.toMatchObject({ problem: { code: 'join-refused' } });
    const { joinSecret } = (await world.agent('peer-2')).launched.config;
    const forged = {
      machine: { slot: 'peer-1' as const, generation: 1 },
      attempt: 1,
      joinSecret,
      tokenSha256: '0'.repeat(64),
    };
    await expect(agent.client.join({ params, body: forged })).rejects.toMatchObject({
      problem: { code: 'join-refused' },
    });
  });
});

describe('reports', () => {
  it('are held until commands change, and then answered within 10 ms', async () => {
    const agents = await createServing();
    const peer = agents['peer-1']!;
    await peer.report();
    let answer: Awaited<ReturnType<typeof peer.report>> | undefined;
    peer.report('serving', { waitMs: 30_000 }).then((given) => {
      answer = given;
    });
    await world.advance(5_000);
    expect(answer).toBeUndefined();
    world.launcher.crash(agents['bootstrap-2']!.launched.machine);
    await world.advance(10);
    expect(answer?.commands?.find(({ kind }) => kind === 'bootstrap-from')).toMatchObject({
      addresses: [
        agents['bootstrap-1']!.launched.config.listen,
        agents['bootstrap-3']!.launched.config.listen,
      ],
    });
  });

  it('are answered without commands when their time is over', async () => {
    const { 'peer-1': peer } = await createServing();
    await peer!.report();
    const held = peer!.report('serving', { waitMs: 1_000 });
    await world.advance(1_000);
    expect((await held).commands).toBeUndefined();
  });

  it('bring events into the journal once, and cannot speak as the control API', async () => {
    const { 'peer-1': peer } = await createServing();
    const events: AgentEvent[] = [
      { sequence: 1, lamport: 41, kind: 'downloaded', data: { bytes: 5 } },
      { sequence: 2, lamport: 42, kind: 'cluster-deleted', data: {} },
    ];
    expect((await peer!.report('serving', { events })).eventsTaken).toBe(2);
    expect((await peer!.report('serving', { events })).eventsTaken).toBe(2);
    const kinds = await world.kinds('bees');
    expect(kinds.filter((kind) => kind === 'downloaded peer-1@1')).toHaveLength(1);
    expect(kinds).toContain('agent-cluster-deleted peer-1@1');
    expect((await peer!.report()).lamport).toBeGreaterThanOrEqual(42);
  });

  it('do not undo later ones that overtook them', async () => {
    const { 'peer-1': peer } = await createServing();
    await peer!.report('joined');
    expect((await world.node('bees', 'peer-1')).state).toBe('serving');
    await peer!.report('stopping');
    await peer!.report('serving');
    expect((await world.node('bees', 'peer-1')).state).toBe('stopping');
    const kinds = await world.kinds('bees');
    expect(kinds.filter((kind) => kind === 'node-serving peer-1@1')).toHaveLength(1);
  });

  it('cannot push the Lamport clock to where counting ends, over a restart either', async () => {
    const { 'peer-1': peer } = await createServing();
    const events = [{ sequence: 1, lamport: Number.MAX_SAFE_INTEGER, kind: 'forged', data: {} }];
    await peer!.report('serving', { events });
    await world.restart();
    expect((await peer!.report()).lamport).toBeLessThan(1_000);
  });

  it('are heard from the machine itself only', async () => {
    const { 'peer-1': one, 'peer-2': other } = await createServing();
    const body = {
      machine: one!.id,
      attempt: 1,
      state: 'serving',
      lamport: 0,
      revision: '',
      waitMs: 0,
      dhtNodes: 0,
      torrents: [],
      events: [],
    } as const;
    await expect(
      other!.client.report({ params, body: { ...body, torrents: [], events: [] } }),
    ).rejects.toMatchObject({ problem: { code: 'forbidden' } });
  });
});

describe('healing', () => {
  it('replaces a dead bootstrap node at the leader’s word, once', async () => {
    const agents = await createServing();
    const leader = agents['bootstrap-1']!;
    expect(await leader.acquire(1)).toMatchObject({ granted: true, term: 1 });
    world.launcher.crash(agents['bootstrap-3']!.launched.machine, 'killed by SIGKILL');
    await world.advance(10);
    const told = await leader.report();
    expect(told.commands?.find(({ kind }) => kind === 'heed-deaths')).toEqual({
      kind: 'heed-deaths',
      deaths: [{ machine: { slot: 'bootstrap-3', generation: 1 }, evidence: 'killed by SIGKILL' }],
    });
    const asked = await leader.redeploy('bootstrap-3', 1, 1);
    expect(asked).toMatchObject({ fromGeneration: 1, toGeneration: 2, state: 'stopping', term: 1 });
    expect((await leader.redeploy('bootstrap-3', 1, 1)).id).toBe(asked.id);
    const fresh = await world.agent('bootstrap-3');
    expect(fresh.launched.config.listen).toEqual(agents['bootstrap-3']!.launched.config.listen);
    await fresh.join();
    const { commands } = await fresh.report('joined');
    expect(commands?.find(({ kind }) => kind === 'form-ring')).toMatchObject({
      configuration: {
        version: 2,
        members: expect.arrayContaining([
          expect.objectContaining({ slot: 'bootstrap-3', generation: 2, admittedAtTerm: 1 }),
        ]),
      },
    });
    await fresh.report('serving');
    const [redeployment] = await world.client(viewerToken).listRedeployments({ params });
    expect(redeployment).toMatchObject({ state: 'complete', attempts: 1 });
    expect(redeployment!.times.goneMs).toBeLessThanOrEqual(redeployment!.times.launchedMs!);
    expect(world.launcher.mostAlive).toBe(1);
    const kinds = await world.kinds('bees');
    for (const kind of [
      'node-dead bootstrap-3@1',
      'redeployment-accepted bootstrap-3@2',
      'generation-gone bootstrap-3@1',
      'redeployment-complete bootstrap-3@2',
    ]) {
      expect(kinds.filter((known) => known === kind)).toHaveLength(1);
    }
  });

  it('refuses an old leader, and tells the replaced machine that it is over', async () => {
    const agents = await createServing();
    const [old, fresh, lost] = bootstraps.map((slot) => agents[slot]!);
    await old!.acquire(1);
    await fresh!.acquire(2);
    await expect(old!.redeploy('bootstrap-3', 1, 1)).rejects.toMatchObject({
      problem: { code: 'old-term', current: 2 },
    });
    await expect(old!.redeploy('bootstrap-3', 1, 2)).rejects.toMatchObject({ problem: { code: 'old-term' } });
    expect(await old!.acquire(2)).toEqual({ granted: false, term: 2 });
    await world.advance(6_000);
    await expect(fresh!.redeploy('bootstrap-3', 1, 2)).rejects.toMatchObject({
      problem: { code: 'old-term' },
    });
    await fresh!.acquire(3);
    await expect(fresh!.redeploy('bootstrap-3', 7, 3)).rejects.toMatchObject({
      problem: { code: 'wrong-generation', current: 1 },
    });
    await fresh!.redeploy('bootstrap-3', 1, 3);
    await world.advance(1_000);
    await expect(lost!.report()).rejects.toMatchObject({
      status: 410,
      problem: { code: 'generation-over', current: 2 },
    });
    await expect(lost!.acquire(9)).rejects.toMatchObject({ problem: { code: 'generation-over' } });
    await expect(lost!.redeploy('peer-1', 1, 3)).rejects.toMatchObject({
      problem: { code: 'generation-over' },
    });
  });

  it('lets a node that it still hears finish, and stops it when it does not', async () => {
    const agents = await createServing();
    await agents['bootstrap-1']!.acquire(1);
    await agents['peer-1']!.report();
    await agents['bootstrap-1']!.redeploy('peer-1', 1, 1);
    expect((await agents['peer-1']!.report()).commands).toEqual([{ kind: 'stop', reason: 'over' }]);
    await world.advance(2_000);
    expect(world.launcher.living('peer-1')?.machine.generation).toBe(1);
    await world.advance(4_000);
    expect(world.launcher.living('peer-1')?.machine.generation).toBe(2);
    expect(world.launcher.mostAlive).toBe(1);
  });

  it('does not replace a machine that is still being launched', async () => {
    await world.client(adminToken).createCluster({ body: spec });
    const leader = await (await world.agent('bootstrap-1')).serve();
    await leader.acquire(1);
    await expect(leader.redeploy('bootstrap-2', 1, 1)).rejects.toMatchObject({
      problem: { code: 'not-healed' },
    });
  });

  it('keeps to its budgets', async () => {
    const agents = await createServing({ redeploymentsPerSlot: 1 });
    await agents['bootstrap-1']!.acquire(1);
    await agents['bootstrap-1']!.redeploy('peer-1', 1, 1);
    await world.until(() => world.launcher.living('peer-1')?.machine.generation === 2);
    await (await world.agent('peer-1')).serve();
    await agents['bootstrap-1']!.acquire(2);
    await expect(agents['bootstrap-1']!.redeploy('peer-1', 2, 2)).rejects.toMatchObject({
      status: 429,
      problem: { code: 'budget-exhausted' },
    });
  });

  it('admits the new generation above every term that was reported', async () => {
    const agents = await createServing();
    await agents['bootstrap-1']!.acquire(2);
    await agents['bootstrap-2']!.report('serving', { term: 3 });
    await agents['bootstrap-3']!.report('serving', { term: 4 });
    world.launcher.crash(agents['bootstrap-3']!.launched.machine, 'killed by SIGKILL');
    await world.advance(10);
    await agents['bootstrap-1']!.redeploy('bootstrap-3', 1, 2);
    const fresh = await world.agent('bootstrap-3');
    await fresh.join();
    const { commands } = await fresh.report('joined');
    const form = commands?.find((command) => command.kind === 'form-ring');
    expect(form?.configuration.members[2]).toMatchObject({ generation: 2, admittedAtTerm: 4 });
  });

  it('counts no silence while the next report is not due', async () => {
    const agents = await createServing({ reportIntervalMs: 60_000 });
    world.launcher.crash(agents['bootstrap-3']!.launched.machine, 'killed by SIGKILL');
    await world.advance(59_000);
    const replaced = await world.client(viewerToken).listRedeployments({ params });
    expect(replaced.map(({ slot }) => slot)).toEqual(['bootstrap-3']);
  });

  it('is done by the watchdog, and at once, when the majority is dead by evidence', async () => {
    const agents = await createServing();
    await agents['bootstrap-1']!.acquire(4);
    // At no tick of the watchdog's timer: the exit is what wakes it.
    await world.advance(60);
    for (const slot of ['bootstrap-1', 'bootstrap-2']) world.launcher.crash(agents[slot]!.launched.machine);
    await world.advance(10);
    expect(world.launcher.living('bootstrap-1')?.machine.generation).toBe(2);
    expect(world.launcher.living('bootstrap-2')?.machine.generation).toBe(2);
    const lease = await world.client(viewerToken).getLease({ params });
    expect(lease).toMatchObject({ term: 5, holder: 'watchdog' });
    expect(await agents['bootstrap-3']!.acquire(6)).toMatchObject({ granted: true });
  });

  it('looks for each death of one more, and not again for what it changes itself', async () => {
    const agents = await createServing({ redeploymentsPerCluster: 1 });
    await agents['bootstrap-1']!.acquire(4);
    await world.advance(60);
    for (const slot of bootstraps) world.launcher.crash(agents[slot]!.launched.machine);
    await world.advance(10);
    const refused = async () =>
      (await world.kinds('bees')).filter((kind) => kind.startsWith('redeployment-refused')).length;
    // The budget is for one: the two others are asked for and refused at the second and third death, no more.
    expect(await refused()).toBeLessThanOrEqual(4);
    const soFar = await refused();
    await world.advance(100);
    expect(await refused()).toBe(soFar);
  });

  it('waits for its time where a minority is dead', async () => {
    const agents = await createServing();
    await agents['bootstrap-1']!.acquire(4);
    world.launcher.crash(agents['bootstrap-1']!.launched.machine);
    const others = [agents['bootstrap-2']!, agents['bootstrap-3']!];
    await reporting(others, 19_000);
    expect(world.launcher.living('bootstrap-1')).toBeUndefined();
    await reporting(others, 3_000);
    expect(world.launcher.living('bootstrap-1')?.machine.generation).toBe(2);
  });

  it('takes silence for death where a majority is silent, and never right after a restart', async () => {
    const agents = await createServing();
    await reporting([agents['bootstrap-1']!, agents['bootstrap-2']!], 29_000);
    expect(world.launcher.living('bootstrap-3')?.machine.generation).toBe(1);
    const peer = agents['peer-1']!;
    await world.restart(60_000);
    await reporting([peer], 20_000);
    expect(world.launcher.living('bootstrap-3')?.machine.generation).toBe(1);
    await reporting([peer], 20_000);
    expect(bootstraps.map((slot) => world.launcher.living(slot)?.machine.generation)).toEqual([2, 2, 2]);
    expect(world.launcher.mostAlive).toBe(1);
  });

  it('takes itself for cut off when it hears nobody, until all others must have ended themselves', async () => {
    const agents = await createServing();
    const peer = agents['peer-1']!;
    const living = () => bootstraps.map((slot) => world.launcher.living(slot)?.machine.generation);
    await world.advance(55_000);
    // What was missed meanwhile counts for nothing once one is heard again.
    await reporting([peer], 20_000);
    expect(living()).toEqual([1, 1, 1]);
    await world.advance(58_000);
    expect(living()).toEqual([1, 1, 1]);
    await world.advance(4_000);
    expect(living()).toEqual([2, 2, 2]);
  });

  it('takes a single silence for death once the ring has elected nobody for twice the patience', async () => {
    const agents = await createServing();
    const leader = agents['bootstrap-1']!;
    const leading = { report: async () => [await leader.acquire(1), await leader.report()] };
    await reporting([leading, agents['bootstrap-2']!], 60_000);
    await reporting([leader, agents['bootstrap-2']!], 33_000);
    expect(world.launcher.living('bootstrap-3')?.machine.generation).toBe(1);
    await reporting([leader, agents['bootstrap-2']!], 3_000);
    expect(bootstraps.map((slot) => world.launcher.living(slot)?.machine.generation)).toEqual([1, 1, 2]);
  });

  it('tells the ring which peers it hears no more, until they are heard or replaced', async () => {
    const agents = await createServing();
    const [leader, heard, silent] = ['bootstrap-1', 'peer-1', 'peer-2'].map((slot) => agents[slot]!);
    const told = async () => {
      leader!.revision = '';
      const { commands } = await leader!.report();
      return commands?.find((command) => command.kind === 'heed-deaths')?.silent;
    };
    await leader!.acquire(1);
    await reporting([heard!, leader!], 8_000);
    expect(await told()).toBeUndefined();
    await reporting([heard!, leader!], 1_000);
    const machine = { slot: 'peer-2', generation: 1 };
    expect(await told()).toEqual([{ machine, silentMs: 9_000 }]);
    await silent!.report();
    await world.advance(500);
    expect(await told()).toBeUndefined();
    await reporting([heard!, { report: () => leader!.acquire(1) }], 9_000);
    expect(await told()).toMatchObject([{ machine }]);
    const asked = await leader!.redeploy('peer-2', 1, 1, 9_000);
    expect(asked).toMatchObject({ cause: 'silence', fromGeneration: 1 });
    await world.advance(500);
    expect(await told()).toBeUndefined();
  });

  it('counts no silence from before a machine joined, however long it took to boot', async () => {
    const agents = await createServing();
    const leader = agents['bootstrap-1']!;
    await world.client(adminToken).addNode({ params, body: {} });
    const slow = await world.agent('peer-3');
    await reporting([leader, agents['peer-1']!, agents['peer-2']!], 30_000);
    await slow.join();
    await reporting([leader, agents['peer-1']!, agents['peer-2']!], 1_000);
    leader.revision = '';
    const { commands } = await leader.report();
    expect(commands?.find((command) => command.kind === 'heed-deaths')?.silent).toBeUndefined();
  });

  it('lets a held report go when a peer falls silent, and only those of the ring', async () => {
    const agents = await createServing();
    const [leader, peer, other] = ['bootstrap-1', 'peer-1', 'bootstrap-2'].map((slot) => agents[slot]!);
    await reporting([leader!, peer!], 5_000);
    const answers: string[] = [];
    void leader!.report('serving', { waitMs: 20_000 }).then(() => answers.push('leader'));
    void peer!.report('serving', { waitMs: 20_000 }).then(() => answers.push('peer'));
    await reporting([other!], 3_000);
    expect(answers).toEqual([]);
    await reporting([other!], 1_000);
    expect(answers).toEqual(['leader']);
  });

  it('counts no peer’s silence from before it listened itself', async () => {
    const agents = await createServing();
    const leader = agents['bootstrap-1']!;
    const silences = async () => {
      leader.revision = '';
      const { commands } = await leader.report();
      return commands?.find((command) => command.kind === 'heed-deaths')?.silent?.length;
    };
    await world.restart(60_000);
    await reporting([leader], 8_000);
    expect(await silences()).toBeUndefined();
    await reporting([leader], 1_000);
    expect(await silences()).toBe(2);
  });
});

describe('a restart', () => {
  it('heals though the wall clock was set back meanwhile', async () => {
    const agents = await createServing();
    await agents['bootstrap-1']!.acquire(1);
    const { wallTime } = world.host.clock;
    world.host.clock.wallTime = () => wallTime() - 86_400_000;
    for (const slot of ['bootstrap-1', 'bootstrap-2']) {
      world.launcher.crash(agents[slot]!.launched.machine, 'killed by SIGKILL');
    }
    await world.restart();
    await world.advance(25_000);
    expect(world.launcher.living('bootstrap-1')?.machine.generation).toBe(2);
  });

  it('adopts what lives, learns what died, and forgets nothing', async () => {
    const agents = await createServing();
    await agents['bootstrap-1']!.acquire(3);
    const before = await world.kinds('bees');
    await Promise.all([world.api.stop(), world.advance(1_500)]);
    world.launcher.crash(agents['peer-2']!.launched.machine);
    await world.restart();
    await world.advance(100);
    expect((await world.kinds('bees')).slice(0, before.length)).toEqual(before);
    expect(await world.node('bees', 'peer-2')).toMatchObject({
      state: 'dead',
      reason: expect.stringContaining('came back'),
    });
    await agents['peer-1']!.report();
    expect(await world.node('bees', 'peer-1')).toMatchObject({ state: 'serving', generation: 1 });
    expect(await agents['bootstrap-1']!.acquire(3)).toMatchObject({ granted: true });
    expect(await agents['bootstrap-2']!.acquire(3)).toEqual({ granted: false, term: 3 });
    expect(world.launcher.machines.size).toBe(5);
  });

  it('takes up what was decided and not done', async () => {
    const agents = await createServing();
    await agents['bootstrap-1']!.acquire(1);
    world.launcher.crash(agents['peer-1']!.launched.machine);
    await world.advance(10);
    await agents['bootstrap-1']!.redeploy('peer-1', 1, 1);
    await world.restart();
    await world.until(() => world.launcher.living('peer-1')?.machine.generation === 2);
    expect(world.launcher.mostAlive).toBe(1);
  });

  it('ends machines that no row wants', async () => {
    await createServing();
    const [stray] = await world.launcher.list();
    const machine = { ...stray!.machine, generation: 9, token: 'f'.repeat(64) };
    const request = world.launcher.living(stray!.machine.slot)!;
    await world.launcher.launch({ ...request, machine });
    expect(await world.launcher.list()).toHaveLength(6);
    await world.restart();
    await world.advance(100);
    expect(await world.launcher.list()).toHaveLength(5);
  });
});
