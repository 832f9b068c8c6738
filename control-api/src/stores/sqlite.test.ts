import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { StoreError } from '../ports/store.ts';
import { describeStore, event } from '../ports/store-compliance.ts';
import { SqliteStore } from './sqlite.ts';

describeStore('SqliteStore', () => {
  const directory = mkdtempSync(join(tmpdir(), 'skep-store-'));
  const store = new SqliteStore(join(directory, 'state.sqlite'));
  return {
    store,
    close() {
      store.close();
      rmSync(directory, { recursive: true });
    },
  };
});

describe('SqliteStore on disk', () => {
  let directory: string;
  let path: string;
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'skep-store-'));
    path = join(directory, 'state.sqlite');
  });
  afterEach(() => rmSync(directory, { recursive: true }));

  it('finds everything again', async () => {
    const before = new SqliteStore(path);
    await before.commit([{ key: 'a', expectedVersion: 0, put: 1 }], [event('u', 'one', 8)]);
    before.close();
    const after = new SqliteStore(path);
    expect(await after.get('a')).toEqual({ key: 'a', version: 1, value: 1 });
    expect(await after.head('u')).toEqual({ sequence: 1, lamport: 8 });
    after.close();
  });

  it('is had by one process at a time, and says so', () => {
    const first = new SqliteStore(path);
    expect(() => new SqliteStore(path)).toThrow(/another control API/);
    expect(() => new SqliteStore(path)).toThrow(StoreError);
    first.close();
    new SqliteStore(path).close();
  });

  it('says when the file cannot be had', () => {
    expect(() => new SqliteStore(join(directory, 'missing', 'state.sqlite'))).toThrow(StoreError);
  });

  it('has every commit that was answered before a kill -9', async () => {
    const program = `
      import { SqliteStore } from ${JSON.stringify(new URL('./sqlite.ts', import.meta.url).href)};
      const store = new SqliteStore(process.argv[1]);
      for (let n = 1; ; n++) {
        await store.commit([{ key: 'n', expectedVersion: n - 1, put: n }], [${JSON.stringify(event('u', 'counted'))}]);
        process.stdout.write(n + '\\n');
      }`;
    const child = spawn(process.execPath, ['--input-type=module', '-e', program, path]);
    let said = '';
    child.stdout.on('data', (data) => {
      said += data;
      if (said.split('\n').length > 30) child.kill('SIGKILL');
    });
    await once(child, 'close');
    const answered = Number(said.trim().split('\n').at(-1));
    const store = new SqliteStore(path);
    const counted = Number((await store.get('n'))?.value);
    expect(counted).toBeGreaterThanOrEqual(answered);
    expect((await store.head('u')).sequence).toBe(counted);
    store.close();
  });
});
