import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createNodeHost, type NodeHost } from '../host/node/index.ts';
import { VoteStore } from './vote-store.ts';

const self = { slot: 'bootstrap/1', generation: 2 };
const record = { term: 7, votedFor: { slot: 'b', generation: 1 } };
let host: NodeHost;
let stateDirectory: string;
let path: string;

beforeEach(async () => {
  host = createNodeHost({ workers: 1 });
  stateDirectory = await mkdtemp(join(tmpdir(), 'skep-votes-'));
  path = join(stateDirectory, 'ring', 'vote-bootstrap%2F1-2');
});
afterEach(async () => {
  await host.close();
  await rm(stateDirectory, { recursive: true });
});

const load = () => new VoteStore(host, { stateDirectory, self }).load();

describe('the vote record', () => {
  it('is none before the first vote, and the last one saved after it', async () => {
    expect(await load()).toBe(undefined);
    const store = new VoteStore(host, { stateDirectory, self });
    await Promise.all([store.save({ term: 3, votedFor: undefined }), store.save(record)]);
    expect(await load()).toEqual(record);
    expect(await new VoteStore(host, { stateDirectory, self: { ...self, generation: 3 } }).load()).toBe(
      undefined,
    );
  });

  it('is lost if it is missing after a vote was given', async () => {
    await new VoteStore(host, { stateDirectory, self }).save(record);
    await rm(path);
    expect(await load()).toBe('lost');
  });

  it('is lost if any of its bytes changed, or if it was cut short or grew', async () => {
    await new VoteStore(host, { stateDirectory, self }).save(record);
    const good = await readFile(path);
    for (let index = 0; index < good.length; index += 1) {
      const torn = Uint8Array.from(good);
      torn[index]! ^= 0x10;
      await writeFile(path, torn);
      expect(await load(), `byte ${index}`).toBe('lost');
    }
    for (const length of [0, 1, 31, 32, good.length - 1]) {
      await writeFile(path, good.subarray(0, length));
      expect(await load(), `${length} bytes`).toBe('lost');
    }
    await writeFile(path, new Uint8Array(5_000));
    expect(await load()).toBe('lost');
  });

  it('rejects a save that did not reach the disk, and goes on with the next', async () => {
    const store = new VoteStore(host, { stateDirectory: join(stateDirectory, 'file'), self });
    await writeFile(join(stateDirectory, 'file'), 'in the way');
    await expect(store.save(record)).rejects.toThrow();
    await rm(join(stateDirectory, 'file'));
    await store.save(record);
    expect(await store.load()).toEqual(record);
  });
});
