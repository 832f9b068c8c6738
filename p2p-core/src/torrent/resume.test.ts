import { createHash } from 'node:crypto';
import { expect, test } from 'vitest';
import { type Compute, type Files, HostError } from '../host/host.ts';
import { ResumeFiles, type ResumeSnapshot } from './resume.ts';

/** A disk in memory, whose files a test may cut or spoil. */
class MemoryFiles {
  readonly files = new Map<string, Uint8Array>();
  read = async (path: string) => {
    const bytes = this.files.get(path);
    if (bytes === undefined) throw new HostError('not-found', `${path} does not exist`);
    return bytes;
  };
  writeAtomic = async (path: string, bytes: Uint8Array) => void this.files.set(path, bytes);
  append = async (path: string, bytes: Uint8Array) =>
    void this.files.set(path, new Uint8Array([...(this.files.get(path) ?? []), ...bytes]));
  list = async (directory: string) =>
    [...this.files.keys()]
      .filter((path) => path.startsWith(`${directory}/`))
      .map((path) => ({ name: path.slice(directory.length + 1), kind: 'file' as const }));
  remove = async (path: string) => void this.files.delete(path);
}

const sha1 = (bytes: Uint8Array) => new Uint8Array(createHash('sha1').update(bytes).digest());
const compute: Compute = { hash: (_, bytes) => sha1(bytes), hmacSha256: sha1, parallelism: 1 };
const infoBytes = new TextEncoder().encode('d4:name1:xe');

function open(disk: MemoryFiles) {
  const files = disk as unknown as Files;
  return new ResumeFiles({ files, compute }, { directory: '/state', infoHash: sha1(infoBytes) });
}

const snapshot: ResumeSnapshot = {
  have: Uint8Array.of(0b1010_0000),
  uploadedBytes: 5,
  downloadedBytes: 7,
  peers: [
    { host: '10.0.0.1', port: 6881 },
    { host: '2001:db8::1', port: 7 },
  ],
  files: [
    { sizeBytes: 15, modifiedMs: 1_700_000_000_000.125 },
    { sizeBytes: -1, modifiedMs: 0 },
  ],
};

test('what was saved is loaded, with what was logged since', async () => {
  const disk = new MemoryFiles();
  const state = open(disk);
  expect(await state.load()).toBeUndefined();
  await state.logIntent([1]);
  await state.rotateLog([4]);
  await state.save(snapshot);
  await state.logIntent([2]);
  await state.logIntent([3, 300]);
  expect(await open(disk).load()).toEqual({ snapshot, logged: new Set([4, 2, 3, 300]) });
});

test('killed between the new log and the new snapshot, both logs count', async () => {
  const disk = new MemoryFiles();
  const state = open(disk);
  await state.rotateLog([]);
  await state.save(snapshot);
  await state.logIntent([1]);
  await state.rotateLog([]);
  await state.logIntent([2]);
  expect((await open(disk).load())?.logged).toEqual(new Set([1, 2]));
});

test('a log cut in the middle of an entry keeps the entries before', async () => {
  const disk = new MemoryFiles();
  const state = open(disk);
  await state.save(snapshot);
  await state.logIntent([1, 2]);
  const [path] = [...disk.files.keys()].filter((name) => name.endsWith('.log'));
  disk.files.set(path!, disk.files.get(path!)!.subarray(0, 7));
  expect((await open(disk).load())?.logged).toEqual(new Set([1]));
});

test('a snapshot with any bit wrong, or cut anywhere, is none', async () => {
  const disk = new MemoryFiles();
  await open(disk).save(snapshot);
  const [path, whole] = [...disk.files][0]!;
  for (let at = 0; at < whole.length; at++) {
    disk.files.set(path, whole.subarray(0, at));
    expect(await open(disk).load()).toBeUndefined();
    const spoiled = whole.slice();
    spoiled[at]! ^= 1;
    disk.files.set(path, spoiled);
    expect(await open(disk).load()).toBeUndefined();
  }
});

test('metadata is loaded if its hash is right', async () => {
  const disk = new MemoryFiles();
  await open(disk).saveInfo(infoBytes);
  expect(await open(disk).loadInfo()).toEqual(infoBytes);
  disk.files.set([...disk.files.keys()][0]!, infoBytes.slice(1));
  expect(await open(disk).loadInfo()).toBeUndefined();
});

test('a removed torrent leaves nothing', async () => {
  const disk = new MemoryFiles();
  const state = open(disk);
  await state.saveInfo(infoBytes);
  await state.rotateLog([1]);
  await state.save(snapshot);
  await state.remove();
  expect(disk.files.size).toBe(0);
});
