/** A tar archive (POSIX ustar) of a few small files: the form in which the Engine takes files for a container. */

export interface ArchiveEntry {
  /** Relative, '/'-separated, at most 100 bytes; a directory's ends in '/'. */
  readonly path: string;
  readonly mode: number;
  readonly userId: number;
  /** Missing for directories. */
  readonly text?: string;
}

const blockBytes = 512;
const longestPath = 100;

export function archiveOf(entries: readonly ArchiveEntry[]): Uint8Array {
  const encoder = new TextEncoder();
  const blocks: Uint8Array[] = entries.flatMap((entry) => {
    const body = encoder.encode(entry.text ?? '');
    const padded = new Uint8Array(Math.ceil(body.length / blockBytes) * blockBytes);
    padded.set(body);
    return [headerOf(entry, body.length), padded];
  });
  // Two empty blocks are its end.
  blocks.push(new Uint8Array(2 * blockBytes));
  const archive = new Uint8Array(blocks.reduce((sum, block) => sum + block.length, 0));
  let at = 0;
  for (const block of blocks) {
    archive.set(block, at);
    at += block.length;
  }
  return archive;
}

function headerOf({ path, mode, userId }: ArchiveEntry, length: number): Uint8Array {
  const header = new Uint8Array(blockBytes);
  const put = (at: number, text: string) => header.set(new TextEncoder().encode(text), at);
  const octal = (value: number, digits: number) => `${value.toString(8).padStart(digits, '0')}\0`;
  if (new TextEncoder().encode(path).length > longestPath)
    throw new RangeError(`${path} is too long for a tar`);
  put(0, path);
  put(100, octal(mode, 7));
  put(108, octal(userId, 7));
  put(116, octal(userId, 7));
  put(124, octal(length, 11));
  put(136, octal(0, 11));
  put(148, ' '.repeat(8));
  put(156, path.endsWith('/') ? '5' : '0');
  put(257, 'ustar\x0000');
  const sum = header.reduce((total, byte) => total + byte, 0);
  put(148, `${sum.toString(8).padStart(6, '0')}\0 `);
  return header;
}
