/**
 * Makes a torrent of a file or a folder. Hashing is the Host's, off the main thread, several pieces at once. The
 * result depends on names, bytes and options alone, so that two who share the same make the same torrent.
 */
import { type FileStat, type Host, HostError } from '../host/host.ts';
import { encodeBencode } from '../wire/bencode.ts';
import { MetainfoError } from './errors.ts';
import { MAX_PIECE_LENGTH, parseInfo } from './info.ts';
import type { Metainfo } from './metainfo.ts';
import { safePaths } from './safe-paths.ts';

export interface CreateOptions {
  /** Default: the last component of the path. Who seeds under another name must lay the files out under it. */
  readonly name?: string;
  /** A power of two up to 256 MiB; default by size (see `choosePieceLength`). */
  readonly pieceLength?: number;
  readonly trackers?: Metainfo['trackers'];
  readonly nodes?: Metainfo['nodes'];
  readonly private?: boolean;
  readonly comment?: string;
  readonly createdBy?: string;
  /** Left out by default, so that the same content gives the same file. */
  readonly createdAtMs?: number;
  readonly onProgress?: (doneBytes: number, totalBytes: number) => void;
  /** Aborting rejects with the signal's reason, after the reads under way have ended. */
  readonly signal?: AbortSignal;
}

/** A file found on disk, with what would give away that it changed. */
interface SourceFile {
  /** Relative to the folder shared; just the file's name if a single file is. */
  readonly path: string;
  readonly stat: FileStat;
}

interface Source {
  /** Directory that the paths of `files` are relative to. */
  readonly root: string;
  readonly name: string;
  readonly isFolder: boolean;
  readonly files: readonly SourceFile[];
  readonly length: number;
}

const MIN_PIECE_LENGTH = 16 * 1024;
const MAX_CHOSEN_PIECE_LENGTH = 16 * 1024 * 1024;
const MOST_PIECES = 2000;
const HASH_LENGTH = 20;

/**
 * Reads and hashes what is at `path`. In folders symbolic links, sockets and the like are left out.
 *
 * Rejects with MetainfoError: `not-found`; `empty` (nothing in it); `unsafe-name` (a name that a receiver could not
 * use as it is); `changed` (a file vanished or changed meanwhile); with HostError if the disk fails.
 */
export async function createMetainfo(
  host: Host,
  path: string,
  options: CreateOptions = {},
): Promise<Metainfo> {
  const source = await findSource(host, path, options);
  const pieceLength = options.pieceLength ?? choosePieceLength(source.length);
  if (pieceLength < 1 || pieceLength > MAX_PIECE_LENGTH || !Number.isInteger(Math.log2(pieceLength))) {
    throw new MetainfoError('invalid', `The piece length must be a power of two up to ${MAX_PIECE_LENGTH}.`);
  }
  let pieceHashes: Uint8Array;
  try {
    pieceHashes = await hashPieces(host, source, pieceLength, options);
  } catch (error) {
    // Missing and short files are failed reads to the Host; a changed file is the better explanation.
    if (error instanceof HostError) await assertUnchanged(host, source);
    throw error;
  }
  await assertUnchanged(host, source);

  const infoBytes = encodeBencode({
    name: source.name,
    'piece length': pieceLength,
    pieces: pieceHashes,
    private: options.private ? 1 : undefined,
    length: source.isFolder ? undefined : source.length,
    files: source.isFolder
      ? source.files.map((file) => ({ length: file.stat.sizeBytes, path: file.path.split('/') }))
      : undefined,
  });
  const info = parseInfo(host.compute, infoBytes);
  return {
    info,
    trackers: options.trackers?.filter((tier) => tier.length > 0) ?? [],
    nodes: options.nodes ?? [],
    ...(options.comment === undefined ? {} : { comment: options.comment }),
    ...(options.createdBy === undefined ? {} : { createdBy: options.createdBy }),
    ...(options.createdAtMs === undefined ? {} : { createdAtMs: options.createdAtMs }),
  };
}

/** A power of two from 16 KiB to 16 MiB that gives 1000 to 2000 pieces where the bounds allow it. */
export function choosePieceLength(length: number): number {
  let pieceLength = MIN_PIECE_LENGTH;
  while (pieceLength < MAX_CHOSEN_PIECE_LENGTH && length > pieceLength * MOST_PIECES) pieceLength *= 2;
  return pieceLength;
}

// ---------------------------------------------------------------- finding the files

async function findSource(host: Host, path: string, options: CreateOptions): Promise<Source> {
  const trimmed = path.length > 1 ? path.replace(/\/+$/, '') || '/' : path;
  const slash = trimmed.lastIndexOf('/');
  const baseName = trimmed.slice(slash + 1);
  const name = options.name ?? baseName;
  if (name === '' || name === '.' || name === '..') {
    throw new MetainfoError('unsafe-name', `'${path}' gives the torrent no name; give one.`);
  }
  const stat = await host.files.stat(trimmed);
  if (stat === undefined) throw new MetainfoError('not-found', `There is no file or folder '${path}'.`);

  let source: Source;
  if (stat.kind === 'directory') {
    const files = await listFolder(host, trimmed, options.signal);
    if (files.length === 0) throw new MetainfoError('empty', `There is no file in the folder '${path}'.`);
    source = { root: trimmed, name, isFolder: true, files, length: totalLength(files) };
  } else if (stat.kind === 'file') {
    const root = slash < 0 ? '.' : trimmed.slice(0, slash) || '/';
    source = { root, name, isFolder: false, files: [{ path: baseName, stat }], length: stat.sizeBytes };
  } else {
    throw new MetainfoError('not-found', `'${path}' is neither a file nor a folder.`);
  }
  if (source.length === 0) throw new MetainfoError('empty', `There is not one byte in '${path}' to share.`);
  assertNamesSurvive(source);
  return source;
}

/** Every file below `folder`, by name in code-unit order, a folder's files where the folder's name stands. */
async function listFolder(
  host: Host,
  folder: string,
  signal: AbortSignal | undefined,
): Promise<SourceFile[]> {
  const files: SourceFile[] = [];
  const pending: { path: string; kind: 'file' | 'directory' | 'other' }[] = [{ path: '', kind: 'directory' }];
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    signal?.throwIfAborted();
    const fullPath = next.path === '' ? folder : `${folder}/${next.path}`;
    if (next.kind === 'directory') {
      const prefix = next.path === '' ? '' : `${next.path}/`;
      const entries = await host.files.list(fullPath).catch((error) => {
        if (error instanceof HostError && error.code === 'not-found')
          throw changed(next.path || folder, error);
        throw error;
      });
      // Last in, first out: pushed backwards to come in order.
      for (const entry of [...entries].reverse())
        pending.push({ path: prefix + entry.name, kind: entry.kind });
    } else if (next.kind === 'file') {
      const stat = await host.files.stat(fullPath);
      if (stat?.kind !== 'file') throw changed(next.path);
      files.push({ path: next.path, stat });
    }
  }
  return files;
}

function totalLength(files: readonly SourceFile[]): number {
  return files.reduce((sum, file) => sum + file.stat.sizeBytes, 0);
}

/** Receivers clean names; a name that they would change is one that the seed itself would not find again. */
function assertNamesSurvive(source: Source): void {
  const announced = source.isFolder
    ? safePaths(
        source.name,
        source.files.map((file) => file.path.split('/')),
      )
    : safePaths(undefined, [[source.name]]);
  for (const [index, file] of source.files.entries()) {
    const wanted = source.isFolder ? `${source.name}/${file.path}` : source.name;
    if (announced[index] !== wanted) {
      throw new MetainfoError(
        'unsafe-name',
        `The name '${file.path}' cannot be used on every system, or is too like another one; rename it.`,
      );
    }
  }
}

// ---------------------------------------------------------------- hashing

async function hashPieces(
  host: Host,
  source: Source,
  pieceLength: number,
  { onProgress, signal }: CreateOptions,
): Promise<Uint8Array> {
  const { length } = source;
  const pieceCount = Math.ceil(length / pieceLength);
  const hashes = new Uint8Array(pieceCount * HASH_LENGTH);
  const content = await host.payload.openContent({
    root: source.root,
    files: source.files.map((file) => ({ path: file.path, length: file.stat.sizeBytes })),
    readOnly: true,
  });
  let nextPiece = 0;
  let doneBytes = 0;
  let failed = false;
  const hashUntilDone = async () => {
    while (nextPiece < pieceCount && !failed) {
      signal?.throwIfAborted();
      const piece = nextPiece++;
      const offset = piece * pieceLength;
      const rangeLength = Math.min(pieceLength, length - offset);
      try {
        hashes.set(await content.hashRange(offset, rangeLength, 'sha1'), piece * HASH_LENGTH);
      } catch (error) {
        failed = true;
        throw error;
      }
      doneBytes += rangeLength;
      if (!failed) onProgress?.(doneBytes, length);
    }
  };
  try {
    const workers = Array.from({ length: Math.max(1, host.compute.parallelism) }, hashUntilDone);
    const outcomes = await Promise.allSettled(workers);
    for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason;
  } finally {
    await content.close();
  }
  return hashes;
}

/** A last look: what changed while it was read may have been hashed half old, half new. */
async function assertUnchanged(host: Host, source: Source): Promise<void> {
  for (const { path, stat } of source.files) {
    const now = await host.files.stat(`${source.root}/${path}`);
    if (now?.sizeBytes !== stat.sizeBytes || now.modifiedMs !== stat.modifiedMs) throw changed(path);
  }
}

function changed(path: string, cause?: Error): MetainfoError {
  const message = `'${path}' vanished or changed while it was being read; try again when it is at rest.`;
  return new MetainfoError('changed', message, { cause });
}
