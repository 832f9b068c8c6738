import { tableKeys } from '@skep/contract';
import { expect, it } from 'vitest';
import { Heartbeat } from './heartbeat.ts';
import { MemoryStore } from './stores/memory.ts';
import { createVirtualHost } from './testing/virtual-host.ts';

it('tells every ten seconds that the control API lives, whatever the store made of it before', async () => {
  const { host, advance } = createVirtualHost();
  const store = new MemoryStore();
  const troubles: string[] = [];
  const options = { version: '1.2.3', onTrouble: (message: string) => troubles.push(message) };
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
  await store.commit([{ key: tableKeys.heartbeat, expectedVersion: 1, put: { atMs: 0, version: 'other' } }]);
  await advance(10_000);
  expect(await heard()).toEqual({ atMs: startedAtMs + 50_000, version: '1.2.3' });

  heartbeat.stop();
  await advance(60_000);
  expect(await heard()).toEqual({ atMs: startedAtMs + 50_000, version: '1.2.3' });
});
