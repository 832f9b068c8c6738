import { tableKeys } from '@skep/contract';
import { expect, it } from 'vitest';
import { Heartbeat } from './heartbeat.ts';
import { MemoryStore } from './stores/memory.ts';
import { createVirtualHost } from './testing/virtual-host.ts';

it('tells every ten seconds that the control API lives, whatever the store made of it before', async () => {
  const { host, advance } = createVirtualHost();
  const store = new MemoryStore();
  const troubles: string[] = [];
  let returns = 0;
  const options = {
    version: '1.2.3',
    onTrouble: (message: string) => troubles.push(message),
    onReturn: async () => {
      returns += 1;
    },
  };
  const heartbeat = new Heartbeat({ clock: host.clock, store }, options);
  const heard = async () => (await store.get(tableKeys.heartbeat))?.value;
  const startedAtMs = host.clock.wallTime();
  heartbeat.start();
  await advance(1);
  expect(await heard()).toEqual({ atMs: startedAtMs, version: '1.2.3' });

  const { commit } = store;
  store.commit = () => Promise.reject(new Error('full'));
  await advance(40_000);
  expect(troubles).toEqual(['the heartbeat is not written: Error: full']);
  store.commit = commit;
  expect(returns).toBe(0);
  await store.commit([{ key: tableKeys.heartbeat, expectedVersion: 1, put: { atMs: 0, version: 'other' } }]);
  await advance(10_000);
  expect(await heard()).toEqual({ atMs: startedAtMs + 50_000, version: '1.2.3' });

  // It was silent for longer than a watchdog waits.
  expect(returns).toBe(1);
  await advance(60_000);
  expect(returns).toBe(1);

  heartbeat.stop();
  await advance(60_000);
  expect(await heard()).toEqual({ atMs: startedAtMs + 110_000, version: '1.2.3' });
});
