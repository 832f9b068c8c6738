/**
 * Deploy and teardown of one machine at once, step by step in every order, over a model of EC2 in which answers get lost,
 * calls come through late and lists lag: once teardown has said `gone` there is no instance, and never will be.
 */
import type { LaunchOutcome, MachineToken } from '@skep/contract';
import { describe, expect, it } from 'vitest';
import { Launches } from '../deploy/launch.ts';
import { ClusterTeardown } from '../teardown/cluster.ts';
import { MachineTeardown } from '../teardown/machines.ts';
import { GatedStore } from '../testing/gated-store.ts';
import { drawn, exploreAll, InterleavedWorld, type Met, type Schedule } from '../testing/interleaving.ts';
import { type Course, ModelEc2 } from '../testing/model-ec2.ts';
import { hashing, machineOrder, testSubnets, testUid } from '../testing/orders.ts';
import { LaunchAgreements, type LaunchRow } from './agreement.ts';

const order = machineOrder();
const allCourses: Course[] = [
  'answered',
  'answer lost',
  'carried out late',
  'no capacity',
  'refused for the moment',
];
const longMs = 800_000;

interface Race {
  readonly deploys: number;
  readonly teardown: 'machine' | 'cluster';
  readonly courses: readonly Course[];
  readonly jumps: number;
  /** By which agreements it is done, where not by the real ones. */
  readonly deployBy?: typeof LaunchAgreements;
  readonly tearDownBy?: typeof LaunchAgreements;
}

/** Runs one schedule, and fails where it breaks the promise. */
async function race(schedule: Schedule, setup: Race): Promise<Met> {
  const world = new InterleavedWorld(schedule, setup);
  const ec2 = new ModelEc2(world, setup.courses);
  const { deployBy = LaunchAgreements, tearDownBy = LaunchAgreements } = setup;
  const store = new GatedStore(world);
  const { clock } = world;
  const launches = new Launches(
    {
      clock,
      random: { float: () => 0.5, bytes: (length) => new Uint8Array(length) },
      compute: hashing,
      agreements: new deployBy({ store }),
      runs: ec2,
      instances: ec2,
      renderUserData: ({ image }) => image,
    },
    {
      subnets: testSubnets,
      launchTemplates: { '*': { id: 'lt-1', version: '1' } },
      securityGroupId: 'sg-1',
      image: 'registry/skep@sha256:0',
    },
  );
  const components = {
    clock,
    agreements: new tearDownBy({ store }),
    instances: ec2,
    interfaces: { list: async () => [], delete: async () => undefined },
  };
  let isGone = false;
  const launched: LaunchOutcome[] = [];
  const deploying = Array.from({ length: setup.deploys }, async () => {
    launched.push(...(await launches.launch([order])));
  });
  const tearingDown = async (): Promise<void> => {
    const answer =
      setup.teardown === 'machine'
        ? await new MachineTeardown(components).end([order.machine], longMs)
        : await new ClusterTeardown(components).end(testUid, longMs);
    expect(answer.state).toBe('gone');
    expect(ec2.living(), `living when gone, by ${schedule.name}`).toEqual([]);
    isGone = true;
  };
  const met = await world.run([...deploying, tearingDown()]);
  expect(isGone).toBe(true);
  if (ec2.living().length > 0) {
    throw new Error(
      `after gone ${ec2.living()} came to be, by ${schedule.name}: ${JSON.stringify(launched)}`,
    );
  }
  return met;
}

const one = { deploys: 1, courses: allCourses, jumps: 1 };

describe('deploy and teardown at once', () => {
  it.each(['machine', 'cluster'] as const)(
    'leave nothing after gone, in every order of their steps (%s)',
    async (teardown) => {
      const orders = await exploreAll((schedule) => race(schedule, { ...one, teardown }));
      expect(orders).toBeGreaterThan(10_000);
    },
    300_000,
  );

  it.each(['machine', 'cluster'] as const)(
    'leave nothing after gone, with three that deploy the same machine (%s)',
    async (teardown) => {
      for (let seed = 1; seed <= 1_500; seed++) {
        await race(drawn(seed), { ...one, deploys: 3, jumps: 2, teardown });
      }
    },
    300_000,
  );
});

/** Rules taken away, each of which must be missed. */
describe('would leave an instance', () => {
  const broken = /living when gone|came to be/;

  it('if deploy took its permission without writing it down', async () => {
    class Heedless extends LaunchAgreements {
      override async allow(): Promise<boolean> {
        return true;
      }
    }
    await expect(
      exploreAll((schedule) => race(schedule, { ...one, teardown: 'machine', deployBy: Heedless })),
    ).rejects.toThrow(broken);
  });

  it('if teardown did not wait for calls that may still come through', async () => {
    class Hasty extends LaunchAgreements {
      override allow(machine: MachineToken, version: number, row: LaunchRow & { state: 'launching' }) {
        return super.allow(machine, version, { ...row, untilMs: 0 });
      }
    }
    await expect(
      exploreAll((schedule) => race(schedule, { ...one, teardown: 'machine', deployBy: Hasty })),
    ).rejects.toThrow(broken);
  });

  it('if a cluster were not closed to launches before it is ended', async () => {
    class Open extends LaunchAgreements {
      override async close(): Promise<void> {
        await Promise.resolve();
      }
    }
    await expect(
      exploreAll((schedule) => race(schedule, { ...one, teardown: 'cluster', tearDownBy: Open })),
    ).rejects.toThrow(broken);
  });
});
