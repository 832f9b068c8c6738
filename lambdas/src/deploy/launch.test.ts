import { type LaunchOutcome, type MachineOrder, tableKeys } from '@skep/contract';
import { MemoryStore } from '@skep/control-api';
import { describe, expect, it } from 'vitest';
import { createVirtualHost } from '../../../control-api/src/testing/virtual-host.ts';
import type { Instance, InstanceRuns, Instances, RunOutcome, RunParameters } from '../ec2/instances.ts';
import { LaunchAgreements } from '../launches/agreement.ts';
import { MachineTeardown } from '../teardown/machines.ts';
import { machineOrder, testSubnets } from '../testing/orders.ts';
import { Launches, type LaunchOptions } from './launch.ts';

const options: LaunchOptions = {
  subnets: testSubnets,
  launchTemplates: { bootstrap: { id: 'lt-bootstrap', version: '3' }, '*': { id: 'lt-all', version: '1' } },
  securityGroupId: 'sg-1',
  image: 'registry/skep@sha256:old',
};
const order = machineOrder();
const key = tableKeys.launch(order.machine);

/** A world in which `answers` says what EC2 does with each call, and `listed` what it lists. */
function world(answers: (parameters: RunParameters, call: number) => RunOutcome | Promise<RunOutcome>) {
  const virtual = createVirtualHost();
  const { clock, random, compute } = virtual.host;
  const agreements = new LaunchAgreements({ store: new MemoryStore() });
  const calls: RunParameters[] = [];
  const listed: Instance[] = [];
  const runs: InstanceRuns = {
    async run(parameters) {
      calls.push(parameters);
      return answers(parameters, calls.length);
    },
  };
  const instances: Instances = {
    find: async (machines) =>
      listed.filter(({ machine }) => machines.some(({ token }) => token === machine?.token)),
    list: async () => listed,
    terminate: async () => [],
    consoleOutput: async () => '',
  };
  const components = { clock, random, compute, agreements, runs, instances };
  /** Runs to the end, however long it takes. */
  async function toItsEnd<T>(action: Promise<T>): Promise<{ result: T; tookMs: number }> {
    const fromMs = clock.now();
    let result: T | undefined;
    let isDone = false;
    action.then((value) => {
      result = value;
      isDone = true;
    });
    await virtual.until(() => isDone);
    return { result: result!, tookMs: clock.now() - fromMs };
  }
  const renderUserData = ({ image, config }: { image: string; config: MachineOrder['config'] }) =>
    `${image} ${config.slot}`;
  return {
    ...virtual,
    calls,
    listed,
    agreements,
    row: async () => (await agreements.read(key))?.row,
    async launch(
      orders: MachineOrder[] = [order],
      changed: Partial<LaunchOptions> & { renderUserData?: typeof renderUserData } = {},
    ) {
      const { renderUserData: render = renderUserData, ...rest } = changed;
      const launches = new Launches({ ...components, renderUserData: render }, { ...options, ...rest });
      const { result, tookMs } = await toItsEnd(launches.launch(orders));
      return { outcomes: result, first: result[0]!, tookMs };
    },
    tearDown: (waitMs = 0) => toItsEnd(new MachineTeardown(components).end([order.machine], waitMs)),
  };
}

function made(
  instanceId: string,
  state: Instance['state'] = 'pending',
  { machine } = order,
): RunOutcome & { kind: 'instance' } {
  return { kind: 'instance', instance: { instanceId, state, machine } };
}
const refused = (kind: Exclude<RunOutcome['kind'], 'instance'>): RunOutcome => ({
  kind,
  message: `EC2 says ${kind}`,
});
const messageOf = (outcome: LaunchOutcome) => ('message' in outcome ? outcome.message : '');

describe('a launch', () => {
  it('is one instance, and asked again it is found without a call', async () => {
    const { launch, calls, row, listed } = world(() => made('i-1'));
    expect((await launch()).outcomes).toEqual([
      { token: order.machine.token, outcome: 'launched', instanceId: 'i-1' },
    ]);
    expect(await row()).toMatchObject({ state: 'launched', instanceId: 'i-1' });
    expect((await launch()).first).toMatchObject({ outcome: 'launched', instanceId: 'i-1' });
    listed.push({
      instanceId: 'i-1',
      state: 'shutting-down',
      reason: 'Server.SpotInstanceTermination',
      machine: order.machine,
    });
    expect((await launch()).first).toMatchObject({
      outcome: 'exited',
      instanceId: 'i-1',
      evidence: 'shutting-down: Server.SpotInstanceTermination',
    });
    expect(calls).toHaveLength(1);
  });

  it('is refused capacity without being repeated, and leaves nothing that teardown has to wait for', async () => {
    const { launch, calls, row, tearDown } = world(() => refused('no-capacity'));
    const { first } = await launch();
    expect(first).toMatchObject({
      outcome: 'no-capacity',
      message: 'peer-1@1 could not be launched: EC2 says no-capacity',
    });
    expect(calls).toHaveLength(1);
    expect(await row()).toMatchObject({ state: 'not-made' });
    expect((await tearDown()).result).toMatchObject({ state: 'gone', gone: [order.machine.token] });
    expect((await launch()).first.outcome).toBe('called-off');
  });

  it('is repeated while EC2 is too busy, ever less often, and given up in time', async () => {
    const busy = world(() => refused('throttled'));
    const { first, tookMs } = await busy.launch();
    expect(first.outcome).toBe('not-launched');
    expect(tookMs).toBeLessThanOrEqual(30_000);
    expect(busy.calls.length).toBeGreaterThan(5);
    expect(busy.calls.length).toBeLessThan(15);
    // It is certain that nothing was made.
    expect(await busy.row()).toMatchObject({ state: 'not-made' });

    const soon = world((_, call) => (call < 3 ? refused('throttled') : made('i-1')));
    expect((await soon.launch()).first).toMatchObject({ outcome: 'launched', instanceId: 'i-1' });
  });

  it('whose answer is lost is asked for again by the same token, with the same parameters', async () => {
    const { launch, calls } = world((_, call) => (call === 1 ? refused('unknown') : made('i-1')));
    expect((await launch()).first).toMatchObject({ outcome: 'launched', instanceId: 'i-1' });
    expect(calls).toHaveLength(2);
    expect(calls[1]).toEqual(calls[0]);
  });

  it('is not said to have no capacity while an earlier call may still come through', async () => {
    const { launch, row, advance } = world((_, call) => refused(call === 1 ? 'unknown' : 'no-capacity'));
    const { first } = await launch();
    expect(first.outcome).toBe('not-launched');
    expect(messageOf(first)).toMatch(/an earlier call may still come through/);
    expect(await row()).toMatchObject({ state: 'launching' });
    // Asking on does not put off the moment from which it is certain.
    await advance(20_000);
    expect((await launch()).first.outcome).toBe('not-launched');
    await advance(20_000);
    expect((await launch()).first.outcome).toBe('no-capacity');
    expect(await row()).toMatchObject({ state: 'not-made' });
  });

  it('waits for its address to become free, and says so if it does not', async () => {
    const soon = world((_, call) => (call < 4 ? refused('no-free-address') : made('i-1')));
    expect((await soon.launch()).first.outcome).toBe('launched');
    const never = world(() => refused('no-free-address'));
    expect((await never.launch()).first.outcome).toBe('no-free-address');
  });

  it('whose token was used with other parameters is loud, and makes no second machine', async () => {
    const { launch, calls } = world(() => refused('mismatch'));
    const { first } = await launch();
    expect(first.outcome).toBe('not-launched');
    expect(messageOf(first)).toMatch(/asked for before with other parameters/);
    expect(messageOf(first)).toMatch(
      /frozen were: template lt-all version 1, image registry\/skep@sha256:old, subnet subnet-a, user data [0-9a-f]{64}/,
    );
    expect(calls).toHaveLength(1);
    const found = world(() => refused('mismatch'));
    found.listed.push({ instanceId: 'i-7', state: 'running', machine: order.machine });
    expect((await found.launch()).first).toMatchObject({ outcome: 'launched', instanceId: 'i-7' });
  });

  it('whose token’s instance is terminated has exited, whether or not EC2 still knows it', async () => {
    const known = world(() => refused('terminated'));
    known.listed.push({ instanceId: 'i-7', state: 'terminated', machine: order.machine });
    expect((await known.launch()).first).toMatchObject({
      outcome: 'exited',
      instanceId: 'i-7',
      evidence: 'terminated',
    });
    expect((await world(() => refused('terminated')).launch()).first).toMatchObject({
      outcome: 'exited',
      evidence: 'EC2 says terminated',
    });
    const stopped = world(() => made('i-9', 'stopped'));
    expect((await stopped.launch()).first).toMatchObject({ outcome: 'exited', evidence: 'stopped' });
    const returned = world(() => made('i-8', 'terminated'));
    expect((await returned.launch()).first).toMatchObject({ outcome: 'exited', instanceId: 'i-8' });
  });

  it('keeps what it was first asked with, as long as that may come through, when the deployment changes', async () => {
    const { launch, calls } = world(() => refused('unknown'));
    await launch();
    const before = calls.length;
    const later = await launch([order], { renderUserData: () => 'as a later version of deploy renders it' });
    expect(messageOf(later.first)).toMatch(/asked for before with other parameters/);
    expect(calls).toHaveLength(before);
    await launch([order], {
      image: 'registry/skep@sha256:new',
      launchTemplates: { '*': { id: 'lt-all', version: '2' } },
      expiresAt: '2099-01-01T00:00:00Z',
    });
    expect(calls.length).toBeGreaterThan(before);
    expect(calls.at(-1)).toEqual(calls[0]);
  });

  it('stands where its slot’s address is, from the template of its role', async () => {
    const { launch, calls } = world(() => made('i-1'));
    const bootstrap = machineOrder({ slot: 'bootstrap-1' }, { address: '10.0.1.9' });
    await launch([bootstrap]);
    expect(calls[0]).toMatchObject({
      address: '10.0.1.9',
      role: 'bootstrap',
      frozen: { subnetId: 'subnet-b', launchTemplateId: 'lt-bootstrap', launchTemplateVersion: '3' },
    });
  });

  it.each([
    [
      'a zone that is not its address’s',
      machineOrder({}, { placement: { zone: 'eu-north-1b' } }),
      {},
      'no-capacity',
      /keeps its address 10.0.0.4, which is in eu-north-1a/,
    ],
    [
      'an address of no subnet',
      machineOrder({}, { address: '10.9.0.4' }),
      {},
      'no-free-address',
      /in none of the deployment's subnets \(10.0.0.0\/24, 10.0.1.0\/24\)/,
    ],
    [
      'a deployment whose time is over',
      order,
      { expiresAt: '2020-01-01T00:00:00Z' },
      'no-capacity',
      /time to live ended at 2020/,
    ],
    [
      'a role without a template',
      order,
      { launchTemplates: {} },
      'not-launched',
      /no launch template for the role peer/,
    ],
  ])('with %s asks EC2 for nothing', async (_, asked, changed, outcome, message) => {
    const { launch, calls } = world(() => made('i-1'));
    const { first } = await launch([asked], changed);
    expect(first.outcome).toBe(outcome);
    expect(messageOf(first)).toMatch(message);
    expect(calls).toEqual([]);
  });

  it('of many is told one by one, those that fail as those that do not', async () => {
    const orders = Array.from({ length: 30 }, (_, index) =>
      machineOrder({ slot: `peer-${index + 1}` }, { address: `10.0.0.${index + 4}` }),
    );
    let atOnce = 0;
    let most = 0;
    const { launch } = world(async ({ machine }) => {
      atOnce += 1;
      most = Math.max(most, atOnce);
      await Promise.resolve();
      atOnce -= 1;
      const ordinal = Number(machine.slot.split('-')[1]);
      if (ordinal % 3 === 0) return refused('no-capacity');
      if (ordinal === 5) throw new Error('out of order');
      return made(`i-${ordinal}`, 'pending', { machine } as MachineOrder);
    });
    const { outcomes } = await launch(orders);
    expect(outcomes.map(({ token }) => token)).toEqual(orders.map(({ machine }) => machine.token));
    expect(outcomes.filter(({ outcome }) => outcome === 'no-capacity')).toHaveLength(10);
    expect(outcomes.filter(({ outcome }) => outcome === 'launched')).toHaveLength(19);
    expect(outcomes[4]).toMatchObject({ outcome: 'not-launched', message: 'peer-5@1: out of order' });
    expect(most).toBe(8);
  });
});
