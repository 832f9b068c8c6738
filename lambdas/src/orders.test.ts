import { ClusterSpec, Order, tableKeys } from '@skep/contract';
import { type Json, MemoryStore } from '@skep/control-api';
import { describe, expect, it } from 'vitest';
import { createVirtualHost } from '../../control-api/src/testing/virtual-host.ts';
import { standUp } from './deploy/stand-up.ts';
import { LaunchAgreements } from './launches/agreement.ts';
import { placeOrder } from './orders.ts';
import { runTests } from './run-tests/run-tests.ts';

const uid = 'c'.repeat(32);
const spec = ClusterSpec.parse({ name: 'bees', bootstrap: 1, peers: 1 });

/** A store in which a pretended control API does with each order as `carryOut` says, after `afterMs`. */
function world(carryOut: (order: Order) => Partial<Order>, afterMs = 5_000) {
  const virtual = createVirtualHost();
  const store = new MemoryStore();
  const { clock, random } = virtual.host;
  const controlApi = async (): Promise<void> => {
    for (const { key, version, value } of await store.list(tableKeys.orders)) {
      const order = Order.parse(value);
      if (order.state !== 'asked') continue;
      await store.commit([{ key, expectedVersion: version, put: { ...order, ...carryOut(order) } as Json }]);
    }
    clock.setTimer(afterMs, controlApi);
  };
  clock.setTimer(afterMs, controlApi);
  return {
    store,
    clock,
    components: { clock, random, store, agreements: new LaunchAgreements({ store }) },
    async toItsEnd<T>(action: Promise<T>): Promise<T> {
      let isDone = false;
      const watched = action.finally(() => {
        isDone = true;
      });
      watched.catch(() => undefined);
      while (!isDone) await virtual.advance(500);
      return watched;
    },
    async slot(slot: string, state: string, rest: object = {}) {
      const put = (key: string, value: object) => ({ key, expectedVersion: 0, put: value as Json });
      await store.commit([
        put(`cluster/${uid}/slots/${slot}`, { slot, role: 'peer', ordinal: 1, generation: 2 }),
        put(`cluster/${uid}/machines/${slot}@1`, { slot, generation: 1, attempt: 1, state: 'stopped' }),
        put(`cluster/${uid}/machines/${slot}@2`, { slot, generation: 2, attempt: 1, state, ...rest }),
      ]);
    },
  };
}

describe('an order', () => {
  it('is waited for and taken away', async () => {
    const { components, toItsEnd, store } = world(() => ({ state: 'done', clusterUid: uid }));
    const ask = { kind: 'create-cluster', spec } as const;
    expect(await toItsEnd(placeOrder(components, ask, 60_000))).toMatchObject({
      state: 'done',
      clusterUid: uid,
    });
    expect(await store.list(tableKeys.orders)).toEqual([]);
  });

  it('that is refused says why', async () => {
    const { components, toItsEnd, store } = world(() => ({
      state: 'failed',
      message: 'bees exists with another spec',
    }));
    await expect(
      toItsEnd(placeOrder(components, { kind: 'run-tests', cluster: 'bees' }, 60_000)),
    ).rejects.toMatchObject({
      code: 'refused',
      message: 'bees exists with another spec',
    });
    expect(await store.list(tableKeys.orders)).toEqual([]);
  });

  it.each([
    [
      'asked',
      'the control API did not take up the order run-tests within 60 s: see whether its instance runs',
    ],
    ['working', 'the control API was not done with run-tests within 60 s: ask again'],
  ] as const)('that stays %s is given up in time, and taken away', async (state, message) => {
    const { components, toItsEnd, store, clock } = world(() => ({ state }));
    await expect(
      toItsEnd(placeOrder(components, { kind: 'run-tests', cluster: 'bees' }, 60_000)),
    ).rejects.toMatchObject({
      code: 'not-in-time',
      message,
    });
    expect(clock.now()).toBeLessThan(62_000);
    expect(await store.list(tableKeys.orders)).toEqual([]);
  });
});

describe('standing up', () => {
  it('waits until all nodes serve in their present generation', async () => {
    const { components, toItsEnd, slot, clock } = world(() => ({ state: 'done', clusterUid: uid }));
    await slot('peer-1', 'serving');
    clock.setTimer(30_000, () => void slot('bootstrap-1', 'serving'));
    await slot('bootstrap-2', 'serving');
    const answer = await toItsEnd(standUp(components, spec, 120_000));
    expect(answer).toMatchObject({ cluster: 'bees', uid, complete: true });
    expect(answer.slots).toContainEqual({ slot: 'peer-1', generation: 2, state: 'serving' });
  });

  it('answers in time what is missing, and why', async () => {
    const { components, toItsEnd, slot, clock } = world(() => ({ state: 'done', clusterUid: uid }));
    await slot('peer-1', 'serving');
    await slot('peer-2', 'failed', { reason: 'no room for t4g.small' });
    const answer = await toItsEnd(standUp(components, spec, 60_000));
    expect(answer.complete).toBe(false);
    expect(answer.slots).toContainEqual({
      slot: 'peer-2',
      generation: 2,
      state: 'failed',
      reason: 'no room for t4g.small',
    });
    expect(clock.now()).toBeLessThan(62_000);
  });

  it('answers that the control API is not there yet, for it may be on its way', async () => {
    const { components, toItsEnd } = world(() => ({}), 900_000);
    expect(await toItsEnd(standUp(components, spec, 60_000))).toEqual({
      cluster: 'bees',
      complete: false,
      slots: [],
      message: expect.stringContaining('did not take up the order'),
    });
  });

  it('opens a deployment again that was torn down', async () => {
    const { components, toItsEnd, slot } = world(() => ({ state: 'done', clusterUid: uid }));
    await slot('peer-1', 'serving');
    await components.agreements.close();
    await toItsEnd(standUp(components, spec, 60_000));
    expect(await components.agreements.isClosed(uid)).toBe(false);
  });

  it('fails where the control API refuses', async () => {
    const { components, toItsEnd } = world(() => ({
      state: 'failed',
      message: 'bees exists with another spec',
    }));
    await expect(toItsEnd(standUp(components, spec, 60_000))).rejects.toThrow(
      'bees exists with another spec',
    );
  });
});

describe('running the tests', () => {
  const passed = { slot: 'peer-1', generation: 1, outcome: 'passed', checks: [] } as const;

  it.each([
    ['all passed', [passed], true],
    ['one failed', [passed, { ...passed, slot: 'peer-2', outcome: 'failed' }], false],
    ['one is missing', [{ ...passed, outcome: 'missing' }], false],
    ['nobody was tested', [], false],
  ])('is well or not where %s', async (_, results, ok) => {
    const { components, toItsEnd } = world(() => ({
      state: 'done',
      results: results as Order['results'] & object,
    }));
    expect(await toItsEnd(runTests(components, { cluster: 'bees', waitMs: 60_000 }))).toEqual({
      ok,
      results,
    });
  });
});
