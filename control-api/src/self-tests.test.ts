/** The tests of a cluster over the API: commanded on answers, told in reports, shown, and waited for. */
import type { SelfTestCheck } from '@skep/contract';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { adminToken, createWorld, type PretendedAgent, viewerToken, type World } from './testing/world.ts';

const params = { cluster: 'bees' };
const checks: SelfTestCheck[] = [{ name: 'clock', outcome: 'passed', detail: 'It is right.', tookMs: 3 }];

describe('the tests of a cluster', () => {
  let world: World;
  let agents: PretendedAgent[];

  beforeEach(async () => {
    world = await createWorld();
    await world.client(adminToken).createCluster({ body: { name: 'bees', bootstrap: 1, peers: 1 } });
    agents = [];
    for (const slot of ['bootstrap-1', 'peer-1']) agents.push(await (await world.agent(slot)).serve());
  });
  afterEach(async () => {
    await Promise.all([world.api.stop(), world.advance(2_000)]);
  });

  const run = () => world.client(adminToken).runTests({ params });
  const look = (test: string) => world.client(viewerToken).getTests({ params: { ...params, test } });
  /** As an agent does: the id that it is commanded, told back. */
  const obey = async (agent: PretendedAgent, told = checks) => {
    agent.revision = '';
    const { commands } = await agent.report();
    const command = commands?.find(({ kind }) => kind === 'self-test') as { id: string } | undefined;
    if (command !== undefined) await agent.report('serving', { selfTest: { id: command.id, checks: told } });
    return command?.id;
  };

  it('are commanded to each, shown as they are told, and done', async () => {
    const begun = await run();
    expect(begun).toMatchObject({ state: 'running', nodes: 2, results: [] });
    expect(await obey(agents[1]!)).toBe(begun.id);
    expect(await look(begun.id)).toMatchObject({
      state: 'running',
      results: [{ slot: 'peer-1', generation: 1, outcome: 'passed', checks }],
    });
    await obey(agents[0]!, [{ ...checks[0]!, outcome: 'failed' }]);
    await world.advance(500);
    expect(await look(begun.id)).toMatchObject({
      state: 'done',
      results: [
        { slot: 'bootstrap-1', outcome: 'failed' },
        { slot: 'peer-1', outcome: 'passed' },
      ],
    });
    expect(await obey(agents[0]!)).toBeUndefined();
    expect(await world.kinds('bees')).toEqual(expect.arrayContaining(['tests-started', 'tests-done']));
  });

  it('are joined by who asks again, and begun anew once they are done', async () => {
    const [first, again] = [await run(), await run()];
    expect(again.id).toBe(first.id);
    for (const agent of agents) await obey(agent);
    await world.advance(500);
    expect((await run()).id).not.toBe(first.id);
  });

  it('let held reports go at once', async () => {
    const [agent] = agents;
    const held = agent!.report('serving', { waitMs: 20_000 });
    await world.advance(100);
    await run();
    await world.advance(20);
    expect((await held).commands?.some(({ kind }) => kind === 'self-test')).toBe(true);
  });

  it('go on after a restart, and miss who does not tell', async () => {
    const { id } = await run();
    await obey(agents[0]!);
    await world.restart(30_000);
    expect(await look(id)).toMatchObject({ state: 'running', results: [{ slot: 'bootstrap-1' }] });
    await world.advance(31_000);
    expect(await look(id)).toMatchObject({
      state: 'done',
      results: [{ outcome: 'passed' }, { slot: 'peer-1', outcome: 'missing', checks: [] }],
    });
  });

  it('are for admins to begin, for viewers to look at, and of clusters that are there', async () => {
    const code = (call: Promise<unknown>) => call.catch(({ problem }) => problem.code);
    expect(await code(world.client(viewerToken).runTests({ params }))).toBe('forbidden');
    expect(await code(world.client(adminToken).runTests({ params: { cluster: 'wasps' } }))).toBe('not-found');
    expect(await code(look('0'.repeat(16)))).toBe('not-found');
  });
});
