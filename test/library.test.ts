/** The example of docs/library.md, run as it stands there: only the addresses and directories are given from outside. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createNode } from '@skep/p2p-core';
import { createNodeHost } from '@skep/p2p-core/host/node';
import { createMetainfo, encodeMetainfo, formatMagnet, parseMetainfo } from '@skep/p2p-core/metainfo';
import { expect, it } from 'vitest';

const guide = readFileSync(join(import.meta.dirname, '../docs/library.md'), 'utf8');
const example = /```ts\n([\s\S]*?)```/.exec(guide)![1]!;

it('the guide’s example seeds a file and downloads it by magnet', async () => {
  const scratch = mkdtempSync(join(tmpdir(), 'skep-library-'));
  try {
    writeFileSync(join(scratch, 'data.bin'), new Uint8Array(300_000).fill(7));
    const body = example
      .replace(/^import .*$/gm, '')
      .replaceAll("'/srv/files", `'${scratch}`)
      .replaceAll("'/srv/copy'", `'${join(scratch, 'copy')}'`);
    const run = new Function(
      'createNode, createNodeHost, createMetainfo, encodeMetainfo, formatMagnet, parseMetainfo, console',
      `return (async () => {${body}})()`,
    );
    const lines: string[] = [];
    const print = { log: (line: string) => lines.push(line) };
    await run(createNode, createNodeHost, createMetainfo, encodeMetainfo, formatMagnet, parseMetainfo, print);
    expect(lines.at(-1)).toBe('300000 bytes, verified');
    expect(readFileSync(join(scratch, 'copy', 'data.bin'))).toEqual(readFileSync(join(scratch, 'data.bin')));
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
});
