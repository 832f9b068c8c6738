import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { createNodeHost } from './index.ts';

const directory = mkdtempSync(join(tmpdir(), 'skep-files-'));
const host = createNodeHost();
afterAll(async () => {
  await host.close();
  rmSync(directory, { recursive: true });
});

describe('makeDirectory', () => {
  it('makes parents, and does not mind others doing the same', async () => {
    const paths = ['a/b/c', 'a/b/d', 'a/b/c', 'a'].map((path) => join(directory, path));
    await Promise.all(paths.map((path) => host.files.makeDirectory(path)));
    for (const path of paths) expect((await host.files.stat(path))?.kind).toBe('directory');
  });

  it('says so when a file is in the way', async () => {
    writeFileSync(join(directory, 'file'), '');
    await expect(host.files.makeDirectory(join(directory, 'file'))).rejects.toMatchObject({ code: 'exists' });
    await expect(host.files.makeDirectory(join(directory, 'file/below'))).rejects.toThrow();
  });

  it.runIf(existsSync('/proc/self'))('gives up where nothing can be made', async () => {
    await expect(host.files.makeDirectory('/proc/skep/below')).rejects.toMatchObject({ name: 'HostError' });
  });
});
