/** What NodeHost's storage promises beyond the compliance suite: links, full disks, few descriptors, dead threads. */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { codeOf, pattern } from '../compliance/probe.ts';
import { PiecePool, type SharedPiece } from './buffers.ts';
import { type ContentContext, NodeContent } from './content.ts';
import { OpenFiles } from './open-files.ts';
import { WorkerPool } from './worker-pool.ts';

let directory: string;
let context: ContentContext;
const pieces = new PiecePool();

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'skep-content-'));
  context = { openFiles: new OpenFiles(4), workers: new WorkerPool(1), contents: new Set() };
});

afterEach(async () => {
  await context.workers.close();
  await Promise.all([...context.contents].map((content) => content.close()));
  rmSync(directory, { recursive: true });
});

const sha1 = (bytes: Uint8Array): Uint8Array => createHash('sha1').update(bytes).digest();

function pieceOf(bytes: Uint8Array): SharedPiece {
  const piece = pieces.allocate(bytes.length);
  piece.bytes.set(bytes);
  return piece;
}

async function store(content: NodeContent, bytes: Uint8Array, offset: number): Promise<string> {
  const piece = pieceOf(bytes);
  try {
    return await content.storePiece(piece, offset, sha1(bytes));
  } finally {
    piece.release();
  }
}

describe('links', () => {
  test('a directory that leads out of the root is not entered, and nothing is made behind it', async () => {
    const root = join(directory, 'root');
    const outside = join(directory, 'outside');
    mkdirSync(root);
    mkdirSync(outside);
    symlinkSync(outside, join(root, 'link'));
    for (const path of ['link/file', 'link/deep/file']) {
      const content = new NodeContent(context, { root, files: [{ path, length: 5 }] });
      expect(await codeOf(store(content, pattern(5), 0))).toBe('unsafe-path');
      expect(await codeOf(content.createFiles())).toBe('unsafe-path');
    }
    expect(readdirSync(outside)).toEqual([]);
  });

  test('a link in the place of a file is not followed, to write or to read', async () => {
    writeFileSync(join(directory, 'secret'), 'hidden');
    mkdirSync(join(directory, 'root'));
    symlinkSync(join(directory, 'secret'), join(directory, 'root/file'));
    const layout = { root: join(directory, 'root'), files: [{ path: 'file', length: 6 }] };
    expect(await codeOf(store(new NodeContent(context, layout), pattern(6), 0))).toBe('unsafe-path');
    const reader = new NodeContent(context, { ...layout, readOnly: true });
    expect(await codeOf(reader.hashRange(0, 6, 'sha1'))).toBe('unsafe-path');
    expect(readFileSync(join(directory, 'secret'), 'utf8')).toBe('hidden');
  });

  test('a pipe in the place of a file is refused and blocks nothing', async () => {
    execFileSync('mkfifo', [join(directory, 'pipe')]);
    const content = new NodeContent(context, { root: directory, files: [{ path: 'pipe', length: 6 }] });
    expect(await codeOf(content.hashRange(0, 6, 'sha1'))).toBe('unsafe-path');
  });

  test('a root that is itself a link is the directory it leads to', async () => {
    mkdirSync(join(directory, 'real'));
    symlinkSync(join(directory, 'real'), join(directory, 'alias'));
    const content = new NodeContent(context, {
      root: join(directory, 'alias'),
      files: [{ path: 'sub/file', length: 5 }],
    });
    expect(await store(content, pattern(5), 0)).toBe('stored');
    expect(new Uint8Array(readFileSync(join(directory, 'real/sub/file')))).toEqual(pattern(5));
  });
});

test('more files than descriptors are stored and read back; no more stay open than allowed', async () => {
  const files = Array.from({ length: 40 }, (_, index) => ({
    path: `d${index % 3}/f${index}`,
    length: 1_000,
  }));
  const content = new NodeContent(context, { root: directory, files });
  const bytes = pattern(40_000);
  await Promise.all(
    Array.from({ length: 8 }, (_, index) =>
      store(content, bytes.slice(index * 5_000, (index + 1) * 5_000), index * 5_000),
    ),
  );
  expect(context.openFiles.size).toBeLessThanOrEqual(4);
  expect(await content.hashRange(0, 40_000, 'sha256')).toEqual(
    new Uint8Array(createHash('sha256').update(bytes).digest()),
  );
  await content.sync();
  expect(context.openFiles.size).toBeLessThanOrEqual(4);
  await content.close();
  expect(context.openFiles.size).toBe(0);
  expect(await codeOf(content.hashRange(0, 1, 'sha1'))).toBe('closed');
});

test('a deleted file is not written into unseen: not-found, then it is made again', async () => {
  const content = new NodeContent(context, { root: directory, files: [{ path: 'file', length: 10 }] });
  expect(await store(content, pattern(5), 0)).toBe('stored');
  rmSync(join(directory, 'file'));
  expect(await codeOf(store(content, pattern(5), 5))).toBe('not-found');
  expect(await store(content, pattern(5), 5)).toBe('stored');
  expect(readFileSync(join(directory, 'file'))).toHaveLength(10);
});

test('a thread that dies rejects its work with io and is replaced', async () => {
  writeFileSync(join(directory, 'file'), new Uint8Array(64 * 2 ** 20));
  const content = new NodeContent(context, {
    root: directory,
    files: [{ path: 'file', length: 64 * 2 ** 20 }],
    readOnly: true,
  });
  const jobs = Array.from({ length: 6 }, () => codeOf(content.hashRange(0, 64 * 2 ** 20, 'sha1')));
  await expect.poll(() => context.workers.threadIds).toHaveLength(1);
  const [first] = context.workers.threadIds;
  await context.workers.kill(first!);
  const codes = await Promise.all(jobs);
  // Only what had been handed to it is lost; what waited goes to its successor.
  expect(codes.filter((code) => code === 'io').length).toBeGreaterThanOrEqual(1);
  expect(codes.filter((code) => code === 'io').length).toBeLessThanOrEqual(2);
  expect(codes.filter((code) => code === 'no error').length).toBeGreaterThanOrEqual(4);
  expect(context.workers.threadIds).not.toContain(first);
});

test('closing the threads rejects what they had to do with closed', async () => {
  writeFileSync(join(directory, 'file'), new Uint8Array(2 ** 20));
  const content = new NodeContent(context, { root: directory, files: [{ path: 'file', length: 2 ** 20 }] });
  const job = codeOf(content.hashRange(0, 2 ** 20, 'sha1'));
  await expect.poll(() => context.workers.threadIds).toHaveLength(1);
  await context.workers.close();
  expect(['closed', 'no error']).toContain(await job);
  expect(await codeOf(content.hashRange(0, 1, 'sha1'))).toBe('closed');
});

test('memory released while a job uses it is not given out again before the job is over', async () => {
  const content = new NodeContent(context, { root: directory, files: [{ path: 'file', length: 100_000 }] });
  const bytes = pattern(100_000);
  const piece = pieceOf(bytes);
  const { memory } = piece;
  const stored = content.storePiece(piece, 0, sha1(bytes));
  piece.release();
  const other = pieces.allocate(100_000);
  expect(other.memory).not.toBe(memory);
  other.bytes.fill(0);
  expect(await stored).toBe('stored');
  const again = pieces.allocate(100_000);
  expect(again.memory).toBe(memory);
  for (const used of [other, again]) used.release();
});

/** A file-size limit stands in for a full disk where nothing may be mounted; the system tells it as EFBIG. */
test('a full disk is disk-full, and nothing of the piece counts', async () => {
  const script = `
    import { createNodeHost } from ${JSON.stringify(new URL('./index.ts', import.meta.url).href)};
    const host = createNodeHost({ workers: 1 });
    process.on('SIGXFSZ', () => {});
    const content = await host.payload.openContent({ root: process.argv[1], files: [{ path: 'file', length: 400000 }] });
    const outcome = async (offset) => {
      const piece = host.payload.allocatePiece(100000);
      piece.bytes.fill(7);
      const sha1 = host.compute.hash('sha1', piece.bytes);
      try { return await content.storePiece(piece, offset, sha1); } catch (error) { return error.code; } finally { piece.release(); }
    };
    console.log(JSON.stringify([await outcome(0), await outcome(250000), await outcome(0)]));
    await host.close();
  `;
  const run = execFileSync(
    'sh',
    [
      '-c',
      'ulimit -f 300 && exec "$@"',
      'sh',
      process.execPath,
      '--input-type=module',
      '-e',
      script,
      directory,
    ],
    { encoding: 'utf8' },
  );
  expect(JSON.parse(run)).toEqual(['stored', 'disk-full', 'stored']);
});
