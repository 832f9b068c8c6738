/**
 * One seed, one course: twice in this process, and in processes of another time zone, language, heap, and with
 * busy neighbours.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeAll, expect, it } from 'vitest';
import { type Courses, courses } from './courses.ts';

const limitMs = 120_000;
const program = join(import.meta.dirname, 'courses.ts');
const neighbours: ChildProcess[] = [];
let expected: Courses;

beforeAll(async () => {
  expected = await courses();
}, limitMs);

afterEach(() => {
  for (const neighbour of neighbours.splice(0)) neighbour.kill('SIGKILL');
});

async function coursesElsewhere(environment: Record<string, string>, flags: string[] = []): Promise<Courses> {
  const { stdout } = await promisify(execFile)(process.execPath, [...flags, program], {
    env: { ...process.env, ...environment },
    timeout: limitMs,
  });
  return JSON.parse(stdout);
}

it('is the same when it runs again', { timeout: limitMs }, async () => {
  expect(await courses()).toEqual(expected);
});

it('is the same on the date line in Turkish', { timeout: limitMs }, async () => {
  const environment = { TZ: 'Pacific/Kiritimati', LANG: 'tr_TR.UTF-8', LC_ALL: 'tr_TR.UTF-8' };
  expect(await coursesElsewhere(environment)).toEqual(expected);
});

it('is the same at a half-hour offset, under load, in a small heap', { timeout: limitMs }, async () => {
  for (let count = 0; count < 2; count++) {
    neighbours.push(spawn(process.execPath, ['-e', 'for (;;);'], { stdio: 'ignore' }));
  }
  expect(
    await coursesElsewhere({ TZ: 'America/St_Johns', LC_ALL: 'C' }, ['--max-old-space-size=128']),
  ).toEqual(expected);
});
