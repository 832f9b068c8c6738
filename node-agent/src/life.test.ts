/** A spare and what it becomes, in one process, under a scripted control API. */
import { type AgentConfig, type Command, JoinRequest, Report } from '@skep/contract';
import { type SimHost, SimWorld } from '@skep/sim';
import { beforeEach, describe, expect, it } from 'vitest';
import { type Life, type LifeEnd, startLife } from './life.ts';

const apiAddress = { host: '10.0.0.1', port: 80 };
const spareHost = '10.0.0.2';
const slotHost = '10.0.0.3';

const deaf = () => ({ onBytes: (view: Uint8Array) => view.length, onClose: () => undefined });

function configOf(part: Partial<AgentConfig>): AgentConfig {
  return {
    apiUrl: 'http://10.0.0.1:80',
    cluster: 'bees',
    clusterUid: 'c'.repeat(32),
    slot: 'spare-1',
    role: 'spare',
    generation: 1,
    attempt: 1,
    joinSecret: 'a'.repeat(64),
    listen: { host: spareHost, port: 6881 },
    healthPort: 6883,
    dataDirectory: '/data/spare-1',
    reportIntervalMs: 1_000,
    graceMs: 6_000,
    orphanMs: 60_000,
    uploadBytesPerSecond: 0,
    downloadBytesPerSecond: 0,
    ...part,
  };
}
const spare = configOf({});
const successor = configOf({
  slot: 'peer-1',
  role: 'peer',
  generation: 2,
  joinSecret: 'b'.repeat(64),
  listen: { host: slotHost, port: 6881 },
  dataDirectory: '/data/peer-1',
});

describe('the life of a process', () => {
  let world: SimWorld;
  let hosts: Record<string, SimHost>;
  let api: SimHost;
  let joins: JoinRequest[];
  let reports: Report[];
  let commandsOf: (slot: string) => readonly Command[];
  let lines: string[];
  let life: Life;
  let end: LifeEnd | undefined;
  let failure: unknown;

  beforeEach(async () => {
    world = new SimWorld({ seed: 1, network: { latencyMs: 5 } });
    api = world.createHost({ address: apiAddress.host });
    hosts = {
      [spareHost]: world.createHost({ address: spareHost }),
      [slotHost]: world.createHost({ address: slotHost }),
    };
    [joins, reports, lines, end, failure] = [[], [], [], undefined, undefined];
    commandsOf = (slot) => (slot === 'peer-1' ? [{ kind: 'bootstrap-from', addresses: [] }] : []);
    const serving = api.http.serve(apiAddress, async (request) => {
      const body = await request.json();
      if (request.url.endsWith('/join')) {
        const join = JoinRequest.parse(body);
        joins.push(join);
        return Response.json({ machine: join.machine });
      }
      const report = Report.parse(body);
      reports.push(report);
      const commands = commandsOf(report.machine.slot);
      const revision = commands.map(({ kind }) => kind).join() || 'none';
      const answer = { revision, eventsTaken: 0, lamport: 0 };
      if (revision !== report.revision) return Response.json({ ...answer, commands });
      return new Promise((resolve) =>
        api.clock.setTimer(report.waitMs, () => resolve(Response.json(answer))),
      );
    });
    await world.complete(serving);
  });

  async function start(): Promise<void> {
    const log = {
      info: (message: string, fields = {}) => lines.push(JSON.stringify({ message, ...fields })),
      warn: (message: string, fields = {}) => lines.push(JSON.stringify({ message, ...fields })),
    };
    const hostFor = ({ listen }: AgentConfig) => hosts[listen.host]!;
    life = await world.complete(startLife({ hostFor, log }, spare));
    life.ended.then(
      (how) => {
        end = how;
      },
      (error) => {
        failure = error;
      },
    );
  }
  const run = (forMs: number) => world.run({ untilMs: world.nowMs + forMs });
  const healthOf = async (host: SimHost) =>
    (await world.complete(host.http.fetch('http://127.0.0.1:6883/healthz', {}))).json();
  const states = () => [
    ...new Set(reports.map(({ machine, state }) => `${machine.slot}@${machine.generation} ${state}`)),
  ];
  const assign = () => {
    commandsOf = (slot) =>
      slot === 'spare-1'
        ? [{ kind: 'become', config: successor }]
        : [{ kind: 'bootstrap-from', addresses: [] }];
  };

  it('is that of a spare, which joins, serves, and runs nothing', async () => {
    await start();
    await run(5_000);
    expect(joins.map(({ machine }) => machine)).toEqual([{ slot: 'spare-1', generation: 1 }]);
    expect(states()).toEqual(['spare-1@1 joined', 'spare-1@1 serving']);
    expect(reports.at(-1)).toMatchObject({ dhtNodes: 0, torrents: [], events: [] });
    expect(await healthOf(hosts[spareHost]!)).toMatchObject({ state: 'serving', slot: 'spare-1' });
    // The address is the next machine's to listen at.
    await world.complete(hosts[spareHost]!.net.listenTcp(spare.listen, deaf));
  });

  it('goes on as the machine that the spare is assigned to be, without a farewell', async () => {
    await start();
    await run(2_000);
    assign();
    await run(10_000);
    expect(joins.map(({ machine, joinSecret }) => [machine.slot, machine.generation, joinSecret])).toEqual([
      ['spare-1', 1, spare.joinSecret],
      ['peer-1', 2, successor.joinSecret],
    ]);
    expect(states()).toEqual([
      'spare-1@1 joined',
      'spare-1@1 serving',
      'peer-1@2 joined',
      'peer-1@2 serving',
    ]);
    expect(await healthOf(hosts[slotHost]!)).toMatchObject({ slot: 'peer-1', generation: 2 });
    expect(life.configs.map(({ slot }) => slot)).toEqual(['spare-1', 'peer-1']);
    life.stop();
    await run(2_000);
    expect(end).toBe('stopped');
    expect(states().at(-1)).toBe('peer-1@2 stopping');
    const told = lines.join();
    for (const { joinSecret } of [spare, successor]) expect(told).not.toContain(joinSecret);
  });

  it('ends with a spare that is told to stop', async () => {
    await start();
    await run(2_000);
    life.stop();
    await run(2_000);
    expect([end, states().at(-1)]).toEqual(['stopped', 'spare-1@1 stopping']);
  });

  it('ends where a stop comes between the two machines', async () => {
    await start();
    await run(2_000);
    assign();
    await world.run({ until: () => lines.some((line) => line.includes('assigned as peer-1@2')) });
    life.stop();
    await run(5_000);
    expect(end).toBe('stopped');
    expect(joins).toHaveLength(1);
    expect(lines.some((line) => line.includes('listening'))).toBe(false);
  });

  it('fails where the addresses cannot be had', async () => {
    await start();
    await world.complete(hosts[slotHost]!.net.listenTcp(successor.listen, deaf));
    assign();
    await run(5_000);
    expect(end).toBeUndefined();
    expect(failure).toMatchObject({ code: 'address-in-use' });
  });
});
