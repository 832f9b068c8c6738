/**
 * Opening files below a root and nowhere else. Names come from torrents, that is from strangers, and the
 * directory may hold links that others put there.
 */
import { close, constants, fstat, open } from 'node:fs';
import * as fs from 'node:fs/promises';
import { join, sep } from 'node:path';
import { HostError } from '../host.ts';
import { hostErrorFrom } from './errors.ts';

/** Throws unsafe-path unless `path` is relative, '/'-separated, and made of plain names. */
export function checkRelativePath(path: string): void {
  const plain = path
    .split('/')
    .every(
      (name) => name !== '' && name !== '.' && name !== '..' && !name.includes('\0') && !hasSeparator(name),
    );
  if (!plain)
    throw new HostError('unsafe-path', `${JSON.stringify(path)} could leave its directory; it is not opened`);
}

/** On Windows a name with a backslash or a colon means another place. */
function hasSeparator(name: string): boolean {
  return sep === '\\' && /[\\:]/.test(name);
}

/**
 * Opens the regular file `path` below `root` and gives its descriptor. For writing, it and the directories on
 * the way are made if missing; the root never is. Links that lead out of the root, and a link in the place of
 * the file, are refused with unsafe-path.
 */
export async function openBelow(root: string, path: string, mode: 'read' | 'write'): Promise<number> {
  const doing = `opening ${path} in ${root}`;
  try {
    const directory = await enterParent(root, path, mode);
    const file = join(directory, path.slice(path.lastIndexOf('/') + 1));
    const access = mode === 'write' ? constants.O_RDWR | constants.O_CREAT : constants.O_RDONLY;
    // A pipe put in the place of a file would block the open without O_NONBLOCK; files do not care.
    const flags = access | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0);
    return await openRegular(file, flags);
  } catch (error) {
    throw hostErrorFrom(error, doing);
  }
}

/** The real path of the directory that holds `path`, checked step by step to lie inside the root. */
async function enterParent(root: string, path: string, mode: 'read' | 'write'): Promise<string> {
  const realRoot = await fs.realpath(root);
  const prefix = realRoot.endsWith(sep) ? realRoot : realRoot + sep;
  let directory = realRoot;
  for (const name of path.split('/').slice(0, -1)) {
    const next = join(directory, name);
    if (mode === 'write') await makeOne(next);
    directory = await fs.realpath(next);
    if (!directory.startsWith(prefix))
      throw new HostError('unsafe-path', `${next} is a link that leads out of ${root}; remove it`);
  }
  return directory;
}

async function makeOne(directory: string): Promise<void> {
  try {
    await fs.mkdir(directory);
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error;
  }
}

function openRegular(file: string, flags: number): Promise<number> {
  return new Promise((resolve, reject) => {
    open(file, flags, 0o666, (error, fd) => {
      if (error !== null) return reject(error);
      fstat(fd, (statError, stat) => {
        if (statError === null && stat.isFile()) return resolve(fd);
        const reason = statError ?? new HostError('unsafe-path', `${file} is not a regular file; remove it`);
        close(fd, () => reject(reason));
      });
    });
  });
}
