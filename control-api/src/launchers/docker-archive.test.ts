import { execFileSync } from 'node:child_process';
import { expect, it } from 'vitest';
import { archiveOf } from './docker-archive.ts';

it('is an archive that tar reads, with owners and rights', () => {
  const input = archiveOf([
    { path: '1.1/', mode: 0o700, userId: 10001 },
    { path: '1.1/agent.json', mode: 0o600, userId: 10001, text: '{"käse":"x"}' },
    { path: '1.1/empty', mode: 0o644, userId: 0, text: '' },
    { path: '1.1/long', mode: 0o644, userId: 0, text: 'y'.repeat(1_000) },
  ]);
  const tar = (...args: string[]) => execFileSync('tar', args, { input, encoding: 'utf8' });
  const listed = tar('--list', '--verbose', '--numeric-owner').trim().split('\n');
  expect(listed.map((line) => line.split(/\s+/).filter((_, column) => ![3, 4].includes(column)))).toEqual([
    ['drwx------', '10001/10001', '0', '1.1/'],
    ['-rw-------', '10001/10001', '13', '1.1/agent.json'],
    ['-rw-r--r--', '0/0', '0', '1.1/empty'],
    ['-rw-r--r--', '0/0', '1000', '1.1/long'],
  ]);
  expect(tar('--extract', '--to-stdout', '1.1/agent.json')).toBe('{"käse":"x"}');
  expect(() => archiveOf([{ path: 'x'.repeat(101), mode: 0o600, userId: 0, text: '' }])).toThrow('too long');
});
