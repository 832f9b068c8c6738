/** Files: small files whole, atomic replacement, order, and the codes of what can go wrong. */
import { describe, expect } from 'vitest';
import type { WorldTest } from '../compliance.ts';
import { codeOf, pattern } from './probe.ts';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const text = (content: Uint8Array): string => new TextDecoder().decode(content);

export function describeFiles(test: WorldTest): void {
  describe('Files', () => {
    test('writeAtomic makes parents, replaces, and leaves nothing beside the file', async (world) => {
      const { host, scratch } = world.machines[0];
      const path = `${scratch}/a/b/state`;
      await host.files.writeAtomic(path, pattern(100_000));
      await host.files.writeAtomic(path, bytes('new'));
      expect(text(await host.files.read(path, 10))).toBe('new');
      expect(await host.files.list(`${scratch}/a/b`)).toEqual([{ name: 'state', kind: 'file' }]);
    });

    test('writeAtomic calls on one path land in the order called', async (world) => {
      const { host, scratch } = world.machines[0];
      const path = `${scratch}/state`;
      await Promise.all(
        Array.from({ length: 20 }, (_, turn) =>
          host.files.writeAtomic(path, bytes(`turn ${turn} ${'x'.repeat((20 - turn) * 5_000)}`)),
        ),
      );
      expect(text((await host.files.read(path, 200_000)).subarray(0, 7))).toBe('turn 19');
      expect(await host.files.list(scratch)).toHaveLength(1);
    });

    test('a writeAtomic that fails leaves the old content and nothing beside it', async (world) => {
      const { host, scratch } = world.machines[0];
      await host.files.makeDirectory(`${scratch}/taken/inner`);
      expect(await codeOf(host.files.writeAtomic(`${scratch}/taken`, bytes('no')))).not.toBe('no error');
      expect(await host.files.list(scratch)).toEqual([{ name: 'taken', kind: 'directory' }]);
      await host.files.writeAtomic(`${scratch}/after`, bytes('still works'));
    });

    test('append makes the file and keeps the order of calls', async (world) => {
      const { host, scratch } = world.machines[0];
      const path = `${scratch}/log`;
      const lines = Array.from({ length: 50 }, (_, turn) => `${turn} ${'y'.repeat((turn * 997) % 9_000)}\n`);
      await Promise.all(lines.map((line) => host.files.append(path, bytes(line))));
      expect(text(await host.files.read(path, 2 ** 20))).toBe(lines.join(''));
    });

    test('of two racers for createExclusive one wins, the other gets exists', async (world) => {
      const { host, scratch } = world.machines[0];
      const path = `${scratch}/lock`;
      const codes = await Promise.all(
        ['one', 'two'].map((who) => codeOf(host.files.createExclusive(path, bytes(who)))),
      );
      expect(codes.sort()).toEqual(['exists', 'no error']);
      expect(['one', 'two']).toContain(text(await host.files.read(path, 10)));
    });

    test('read refuses what is missing, longer than asked for, or a directory', async (world) => {
      const { host, scratch } = world.machines[0];
      await host.files.writeAtomic(`${scratch}/file`, pattern(100));
      expect(await host.files.read(`${scratch}/file`, 100)).toEqual(pattern(100));
      expect(await codeOf(host.files.read(`${scratch}/file`, 99))).toBe('too-large');
      expect(await codeOf(host.files.read(`${scratch}/none`, 99))).toBe('not-found');
      expect(await codeOf(host.files.read(`${scratch}/file/under`, 99))).toBe('not-found');
      expect(await codeOf(host.files.read(scratch, 99))).toBe('io');
    });

    test('list is sorted by code units and tells kinds; stat tells sizes', async (world) => {
      const { host, scratch } = world.machines[0];
      for (const name of ['b', 'a', 'B', 'ä', 'a.b', '10', '9'])
        await host.files.writeAtomic(`${scratch}/${name}`, bytes(name));
      await host.files.makeDirectory(`${scratch}/dir/in`);
      await host.files.makeDirectory(`${scratch}/dir/in`);
      const entries = await host.files.list(scratch);
      expect(entries.map((entry) => entry.name)).toEqual(['10', '9', 'B', 'a', 'a.b', 'b', 'dir', 'ä']);
      expect(entries.find((entry) => entry.name === 'dir')?.kind).toBe('directory');
      expect(await host.files.stat(`${scratch}/a.b`)).toMatchObject({ kind: 'file', sizeBytes: 3 });
      expect(await host.files.stat(`${scratch}/dir`)).toMatchObject({ kind: 'directory' });
      expect((await host.files.stat(`${scratch}/a`))!.modifiedMs).toBeGreaterThan(1_577_836_800_000);
      expect(await host.files.stat(`${scratch}/none`)).toBeUndefined();
      expect(await codeOf(host.files.list(`${scratch}/none`))).toBe('not-found');
    });

    test('freeBytes is told of directories that are there', async (world) => {
      const { host, scratch } = world.machines[0];
      await host.files.makeDirectory(`${scratch}/here`);
      const bytes = await host.files.freeBytes(`${scratch}/here`);
      expect(Number.isSafeInteger(bytes) && bytes > 0).toBe(true);
      expect(await codeOf(host.files.freeBytes(`${scratch}/none`))).toBe('not-found');
    });

    test('remove takes a file, a tree, or nothing', async (world) => {
      const { host, scratch } = world.machines[0];
      await host.files.writeAtomic(`${scratch}/tree/a/b`, bytes('deep'));
      await host.files.writeAtomic(`${scratch}/file`, bytes('flat'));
      await host.files.remove(`${scratch}/tree`);
      await host.files.remove(`${scratch}/file`);
      await host.files.remove(`${scratch}/file`);
      expect(await host.files.list(scratch)).toEqual([]);
    });
  });
}
