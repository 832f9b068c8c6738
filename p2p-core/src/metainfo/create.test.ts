import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { type FileStat, type Host, HostError } from '../host/host.ts';
import {
  choosePieceLength,
  createMetainfo,
  encodeMetainfo,
  type MetainfoError,
  parseMetainfo,
} from './index.ts';

const sha1 = (bytes: Uint8Array) => new Uint8Array(createHash('sha1').update(bytes).digest());

/** As much of a Host as createMetainfo uses, over a Map of paths to bytes. */
class MemoryDisk {
  readonly files = new Map<string, Uint8Array>();
  readonly others = new Set<string>();
  openContents = 0;
  underWay = 0;
  mostUnderWay = 0;
  beforeHash: (offset: number) => void = () => {};

  stat(path: string): FileStat | undefined {
    const bytes = this.files.get(path);
    if (bytes !== undefined) return { kind: 'file', sizeBytes: bytes.length, modifiedMs: 0 };
    const isFolder = [...this.files.keys(), ...this.others].some((file) => file.startsWith(`${path}/`));
    return isFolder ? { kind: 'directory', sizeBytes: 0, modifiedMs: 0 } : undefined;
  }

  list(path: string) {
    const names = new Set<string>();
    for (const file of [...this.files.keys(), ...this.others]) {
      if (file.startsWith(`${path}/`)) names.add(file.slice(path.length + 1).split('/')[0]!);
    }
    return [...names]
      .sort()
      .map((name) => ({ name, kind: this.stat(`${path}/${name}`)?.kind ?? ('other' as const) }));
  }

  host(): Host {
    return {
      compute: { hash: (_: string, bytes: Uint8Array) => sha1(bytes), parallelism: 3 },
      files: {
        stat: async (path: string) => this.stat(path),
        list: async (path: string) => this.list(path),
      },
      payload: {
        openContent: async (layout: { root: string; files: { path: string; length: number }[] }) => {
          this.openContents++;
          return {
            close: async () => {
              this.openContents--;
            },
            hashRange: async (offset: number, length: number) => {
              this.mostUnderWay = Math.max(this.mostUnderWay, ++this.underWay);
              this.beforeHash(offset);
              await Promise.resolve();
              this.underWay--;
              const parts = layout.files.map(({ path, length: wanted }) => {
                const bytes = this.files.get(`${layout.root}/${path}`);
                if (bytes === undefined) throw new HostError('not-found', 'gone');
                if (bytes.length < wanted) throw new HostError('io', 'short');
                return bytes;
              });
              return sha1(Buffer.concat(parts).subarray(offset, offset + length));
            },
          };
        },
      },
    } as unknown as Host;
  }
}

function diskWith(files: Record<string, number>): MemoryDisk {
  const disk = new MemoryDisk();
  for (const [path, length] of Object.entries(files)) {
    disk.files.set(
      path,
      Uint8Array.from({ length }, (_, index) => (index * 7 + path.length) & 0xff),
    );
  }
  return disk;
}

const codeOf = (promise: Promise<unknown>) =>
  promise.then(
    () => 'made',
    (error: MetainfoError) => error.code,
  );

test('a single file', async () => {
  const disk = diskWith({ '/data/a.bin': 40_000 });
  const progress: [number, number][] = [];
  const metainfo = await createMetainfo(disk.host(), '/data/a.bin', {
    onProgress: (done, total) => progress.push([done, total]),
    trackers: [['http://t/announce'], []],
    comment: 'c',
  });
  const bytes = disk.files.get('/data/a.bin')!;
  expect(metainfo.info).toMatchObject({ name: 'a.bin', length: 40_000, pieceLength: 16_384, pieceCount: 3 });
  expect(metainfo.info.files).toEqual([{ path: 'a.bin', length: 40_000 }]);
  expect(metainfo.info.pieceHashes.slice(40)).toEqual(sha1(bytes.slice(32_768)));
  expect(metainfo.trackers).toEqual([['http://t/announce']]);
  expect(progress.at(-1)).toEqual([40_000, 40_000]);
  expect(progress).toHaveLength(3);
  expect(disk.mostUnderWay).toBe(3);
  expect(disk.openContents).toBe(0);
  expect(parseMetainfo(disk.host().compute, encodeMetainfo(metainfo))).toEqual(metainfo);
});

test('a folder, in order, without links, the same each time', async () => {
  const sizes = {
    '/d/set/b': 20_000,
    '/d/set/a/z': 5,
    '/d/set/a/y': 30_000,
    '/d/set/empty': 0,
    '/d/set/B': 1,
  };
  const disk = diskWith({ ...sizes, '/d/set/b': 20_000 });
  disk.files.delete('/d/set/B');
  disk.others.add('/d/set/link');
  const metainfo = await createMetainfo(disk.host(), '/d/set//', { private: true });
  expect(metainfo.info.files).toEqual([
    { path: 'set/a/y', length: 30_000 },
    { path: 'set/a/z', length: 5 },
    { path: 'set/b', length: 20_000 },
    { path: 'set/empty', length: 0 },
  ]);
  expect(metainfo.info.private).toBe(true);
  expect(metainfo.createdAtMs).toBeUndefined();
  expect(encodeMetainfo(await createMetainfo(disk.host(), '/d/set', { private: true }))).toEqual(
    encodeMetainfo(metainfo),
  );
});

test('a relative path', async () => {
  const disk = diskWith({ './a': 5 });
  disk.files.set('a', disk.files.get('./a')!);
  expect((await createMetainfo(disk.host(), 'a')).info.name).toBe('a');
});

describe('refusals', () => {
  const disk = diskWith({
    '/d/empty': 0,
    '/d/con': 5,
    '/d/two/A': 1,
    '/d/two/a': 1,
    '/d/zero/x': 0,
    '/d/f': 5,
  });
  disk.others.add('/d/links/l');
  test.each([
    ['/d/missing', {}, 'not-found'],
    ['/d/empty', {}, 'empty'],
    ['/d/zero', {}, 'empty'],
    ['/d/links', {}, 'empty'],
    ['/d/con', {}, 'unsafe-name'],
    ['/d/two', {}, 'unsafe-name'],
    ['/', {}, 'unsafe-name'],
    ['/d/..', {}, 'unsafe-name'],
    ['/d/f', { name: '../f' }, 'unsafe-name'],
    ['/d/f', { pieceLength: 20_000 }, 'invalid'],
    ['/d/f', { pieceLength: 0 }, 'invalid'],
    ['/d/f', { pieceLength: 2 ** 30 }, 'invalid'],
  ])('%s %j: %s', async (path, options, code) => {
    expect(await codeOf(createMetainfo(disk.host(), path, options))).toBe(code);
  });
});

describe('while it is read', () => {
  test.each<[string, (disk: MemoryDisk) => void]>([
    ['vanishes', (disk) => disk.files.delete('/d/a')],
    ['shrinks', (disk) => disk.files.set('/d/a', new Uint8Array(10))],
    ['grows', (disk) => disk.files.set('/d/a', new Uint8Array(200_000))],
  ])('the file %s', async (_, change) => {
    const disk = diskWith({ '/d/a': 100_000 });
    disk.beforeHash = (offset) => offset === 65_536 && change(disk);
    expect(await codeOf(createMetainfo(disk.host(), '/d/a'))).toBe('changed');
    expect(disk.openContents).toBe(0);
  });

  test('a failing disk is told as such', async () => {
    const disk = diskWith({ '/d/a': 100_000 });
    disk.beforeHash = () => {
      throw new HostError('io', 'bad sector');
    };
    await expect(createMetainfo(disk.host(), '/d/a')).rejects.toMatchObject({
      name: 'HostError',
      code: 'io',
    });
  });

  test('aborting ends it with the reason of the signal', async () => {
    const disk = diskWith({ '/d/a': 1_000_000 });
    const controller = new AbortController();
    const reason = new Error('enough');
    disk.beforeHash = (offset) => offset === 163_840 && controller.abort(reason);
    await expect(createMetainfo(disk.host(), '/d/a', { signal: controller.signal })).rejects.toBe(reason);
    expect(disk.openContents).toBe(0);
    expect(disk.underWay).toBe(0);
  });
});

test.each([
  [1, 16_384],
  [16_384 * 2000, 16_384],
  [16_384 * 2000 + 1, 32_768],
  [1024 ** 3, 1024 ** 2],
  [100 * 1024 ** 2, 65_536],
  [1024 ** 4, 16 * 1024 ** 2],
])('%i bytes are cut into pieces of %i', (length, pieceLength) => {
  expect(choosePieceLength(length)).toBe(pieceLength);
});
