/** An instance's life, over guests that begin and end when the test says so. */
import { describe, expect, it } from 'vitest';
import type { Guest, Guests } from './guests.ts';
import { type Instance, Instances } from './instances.ts';
import type { Records } from './records.ts';
import { RunInstances } from './requests.ts';

const records: Records = {
  template: async () => ({ ImageId: 'ami-1', InstanceInitiatedShutdownBehavior: 'terminate' }),
  subnet: async (subnetId) => ({
    subnetId,
    vpcId: 'vpc-1',
    zone: 'eu-central-1a',
    cidr: '10.64.16.0/20',
  }),
  containerImage: async () => 'image:tag',
};

const request = (more: object = {}) =>
  RunInstances.parse({
    MinCount: '1',
    MaxCount: '1',
    LaunchTemplate: { LaunchTemplateId: 'lt-1' },
    SubnetId: 'subnet-1',
    ...more,
  });

/** Guests whose start is let through, or refused, one by one. */
class ManualGuests implements Guests {
  readonly starts: { order: Parameters<Guests['start']>[0]; settle: PromiseWithResolvers<Guest> }[] = [];
  readonly ended: string[] = [];

  start(order: Parameters<Guests['start']>[0]): Promise<Guest> {
    const settle = Promise.withResolvers<Guest>();
    this.starts.push({ order, settle });
    return settle.promise;
  }

  /** Resolves with what has the guest exit by itself. */
  letStart(at: number): () => void {
    const { order, settle } = this.starts[at]!;
    const exit = Promise.withResolvers<void>();
    settle.resolve({
      exited: exit.promise,
      output: async () => `said by ${order.name}`,
      end: async () => {
        this.ended.push(order.name);
        exit.resolve();
      },
    });
    return () => exit.resolve();
  }
}

function world() {
  const guests = new ManualGuests();
  const changes: string[] = [];
  const onChange = ({ state }: Instance) => {
    changes.push(state);
  };
  return { guests, changes, instances: new Instances({ records, guests }, { onChange }) };
}

const settled = () => new Promise((resolve) => setImmediate(resolve));

describe('an instance', () => {
  it('is pending until its guest runs, then running, until it is terminated', async () => {
    const { guests, changes, instances } = world();
    const { instanceId, address } = await instances.run(request());
    expect(guests.starts[0]!.order).toEqual({ name: instanceId, image: 'image:tag', address });
    expect(instances.get(instanceId).state).toBe('pending');
    guests.letStart(0);
    await settled();
    expect(instances.at(address)?.state).toBe('running');
    instances.terminate([instanceId]);
    instances.terminate([instanceId]);
    await settled();
    expect(changes).toEqual(['pending', 'running', 'shutting-down', 'terminated']);
    expect(guests.ended).toEqual([instanceId]);
    expect(await instances.consoleOutput(instanceId)).toBe(`said by ${instanceId}`);
    expect(instances.get(instanceId).reason?.code).toBe('Client.UserInitiatedShutdown');
    expect(instances.at(address)).toBeUndefined();
  });

  it('that ends by itself is terminated where it was launched so', async () => {
    const { guests, changes, instances } = world();
    const { instanceId } = await instances.run(request());
    const exit = guests.letStart(0);
    await settled();
    exit();
    await settled();
    expect(changes).toEqual(['pending', 'running', 'shutting-down', 'terminated']);
    expect(instances.get(instanceId).reason?.code).toBe('Client.InstanceInitiatedShutdown');
  });

  it('that ends by itself is stopped where it was not', async () => {
    const { guests, changes, instances } = world();
    const { instanceId } = await instances.run(request({ InstanceInitiatedShutdownBehavior: 'stop' }));
    const exit = guests.letStart(0);
    await settled();
    exit();
    await settled();
    expect(changes).toEqual(['pending', 'running', 'stopping', 'stopped']);
    instances.terminate([instanceId]);
    await settled();
    expect(changes.slice(4)).toEqual(['shutting-down', 'terminated']);
  });

  it('that is terminated while it boots leaves no guest', async () => {
    const { guests, changes, instances } = world();
    const { instanceId } = await instances.run(request());
    instances.terminate([instanceId]);
    await settled();
    expect(changes).toEqual(['pending', 'shutting-down']);
    guests.letStart(0);
    await settled();
    expect(changes).toEqual(['pending', 'shutting-down', 'terminated']);
    expect(guests.ended).toEqual([instanceId]);
  });

  it('that cannot be started is terminated, and says why', async () => {
    const { guests, instances } = world();
    const { instanceId } = await instances.run(request());
    guests.starts[0]!.settle.reject(new Error('no such image'));
    await settled();
    expect(instances.get(instanceId)).toMatchObject({
      state: 'terminated',
      reason: { code: 'Server.InternalError', message: 'Server.InternalError: no such image' },
    });
  });

  it('is one for a token, also for calls at once', async () => {
    const { guests, instances } = world();
    const [one, other] = await Promise.all([
      instances.run(request({ ClientToken: 'a' })),
      instances.run(request({ ClientToken: 'a' })),
    ]);
    expect(other.instanceId).toBe(one.instanceId);
    expect(guests.starts).toHaveLength(1);
  });

  it('keeps its address until it is terminated', async () => {
    const { guests, instances } = world();
    const wanted = { PrivateIpAddress: '10.64.16.9' };
    const { instanceId } = await instances.run(request(wanted));
    guests.letStart(0);
    await settled();
    await expect(instances.run(request(wanted))).rejects.toMatchObject({ code: 'InvalidIPAddress.InUse' });
    instances.terminate([instanceId]);
    await settled();
    expect((await instances.run(request(wanted))).address).toBe('10.64.16.9');
  });

  it('is refused by its id if there is none', () => {
    const { instances } = world();
    expect(() => instances.terminate(['i-0'])).toThrow("The instance ID 'i-0' does not exist");
  });
});

describe('stopping the front', () => {
  it('waits for those that boot, and leaves no guest', async () => {
    const { guests, instances } = world();
    const { instanceId } = await instances.run(request());
    const stopped = instances.stop();
    await settled();
    guests.letStart(0);
    await stopped;
    expect(guests.ended).toEqual([instanceId]);
  });
});
