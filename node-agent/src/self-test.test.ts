/** The tests of one node, from command to report: once for each id, whatever else comes, and nothing is left behind. */
import { createNode, type Node } from '@skep/p2p-core';
import { type SimHost, SimWorld } from '@skep/sim';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { SelfTest, type SelfTestCommand } from './self-test.ts';

const addressOf = (number: number) => ({ host: `10.0.0.${number}`, port: 6881 });
const machineOf = (number: number) => ({ slot: `peer-${number}`, generation: 1 });
const idOf = (run: number) => run.toString(16).padStart(16, '0');

interface Subject {
  readonly host: SimHost;
  readonly node: Node;
  readonly selfTest: SelfTest;
}

describe('a self-test', () => {
  let world: SimWorld;
  let subjects: Subject[];
  let done: string[];

  beforeEach(async () => {
    world = new SimWorld({ seed: 1, network: { latencyMs: 5 } });
    [subjects, done] = [[], []];
    for (const number of [1, 2]) {
      const host = world.createHost({ address: addressOf(number).host });
      const node = await world.complete(
        createNode(
          { host },
          { listen: addressOf(number), dht: { bootstrap: [addressOf(1)] }, dataDirectory: '/data' },
        ),
      );
      const selfTest = new SelfTest(
        { host, node, ring: undefined },
        {
          self: machineOf(number),
          dataDirectory: '/data',
          bootstraps: () => [addressOf(3 - number)],
          controlTime: async () => world.nowMs + 1_000_000_000_000,
          onDone: () => done.push(`peer-${number}`),
        },
      );
      subjects.push({ host, node, selfTest });
    }
    await world.run({ untilMs: 1_000 });
  });
  afterEach(async () => {
    for (const { node, selfTest } of subjects) {
      await world.complete(selfTest.close());
      await world.complete(node.close());
    }
  });

  const commandTo = (number: number, run: number): SelfTestCommand => ({
    kind: 'self-test',
    id: idOf(run),
    partner: { machine: machineOf(3 - number), address: addressOf(3 - number) },
  });
  const command = (run: number) => {
    for (const [index, { selfTest }] of subjects.entries()) selfTest.obey(commandTo(index + 1, run));
  };
  const pass = (forMs: number) => world.run({ untilMs: world.nowMs + forMs });
  const namesOf = (report: ReturnType<SelfTest['report']>) =>
    report?.checks.map(({ name, outcome }) => `${name} ${outcome}`);
  const left = ({ host, node }: Subject) => [
    host.disk.tree.find('/data/self-test') === undefined ? 'nothing' : 'files',
    node.torrents.size,
  ];

  it('is done once for an id, and told as long as it is commanded', async () => {
    const wellBehaved = ['ring passed', 'dht passed', 'transfer passed', 'disk passed', 'clock failed'];
    command(1);
    expect(subjects[0]!.selfTest.report()).toBeUndefined();
    await pass(10_000);
    for (const { selfTest } of subjects) expect(namesOf(selfTest.report())).toEqual(wellBehaved);
    expect(done.toSorted()).toEqual(['peer-1', 'peer-2']);
    command(1);
    await pass(10_000);
    expect(done).toHaveLength(2);
    expect(subjects[0]!.selfTest.report()).toMatchObject({ id: idOf(1) });
    for (const { selfTest } of subjects) selfTest.obey(undefined);
    await pass(1_000);
    expect(subjects[0]!.selfTest.report()).toBeUndefined();
    expect(subjects.map(left)).toEqual(Array(2).fill(['nothing', 0]));
  });

  it('makes room for the next one, wherever it is', async () => {
    for (const [run, afterMs] of [2, 30, 600, 1_200].entries()) {
      command(run + 1);
      await pass(afterMs);
    }
    command(9);
    await pass(10_000);
    for (const { selfTest } of subjects) {
      expect(selfTest.report()?.id).toBe(idOf(9));
      expect(namesOf(selfTest.report())).toContain('transfer passed');
    }
    expect(subjects.map(({ node }) => node.torrents.size)).toEqual([1, 1]);
  });

  it.each([1, 20, 400, 5_000])(
    'leaves nothing when its node ends %i ms after it was commanded',
    async (afterMs) => {
      command(1);
      await pass(afterMs);
      for (const subject of subjects) {
        await world.complete(subject.selfTest.close());
        expect(left(subject)).toEqual(['nothing', 0]);
      }
    },
  );

  it('ends on a disk that fails, and the next one begins all the same', async () => {
    command(1);
    await pass(10_000);
    for (const { host } of subjects) host.disk.setConditions({ readErrorRate: 1, writeErrorRate: 1 });
    for (const { selfTest } of subjects) selfTest.obey(undefined);
    await pass(5_000);
    expect(subjects.map(({ node }) => node.torrents.size)).toEqual([0, 0]);
    for (const { host } of subjects) host.disk.setConditions({});
    command(2);
    await pass(10_000);
    for (const { selfTest } of subjects) expect(namesOf(selfTest.report())).toContain('transfer passed');
  });

  it('clears away what one before it could not', async () => {
    const { host } = subjects[0]!;
    await world.complete(host.files.writeAtomic('/data/self-test/old/seed/x', new Uint8Array(9)));
    command(1);
    await pass(10_000);
    const entries = await world.complete(host.files.list('/data/self-test'));
    expect(entries.map(({ name }) => name)).toEqual([idOf(1)]);
  });

  it('says that a partner gives nothing if that was never told to', async () => {
    subjects[0]!.selfTest.obey(commandTo(1, 1));
    await pass(40_000);
    const transfer = subjects[0]!.selfTest.report()?.checks.find(({ name }) => name === 'transfer');
    expect(transfer).toMatchObject({
      outcome: 'failed',
      detail: 'Waited 20 s in vain for peer-2@1 to give all of what it seeds.',
    });
  });
});
