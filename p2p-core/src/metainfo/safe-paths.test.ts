import fc from 'fast-check';
import { expect, test } from 'vitest';
import { safeComponent, safePaths } from './safe-paths.ts';

test.each([
  ['plain name.txt', 'plain name.txt'],
  ['Film: the one? *.mkv', 'Film: the one? *.mkv'],
  ['日本語', '日本語'],
  ['a/b\\c', 'a_b_c'],
  ['nul\0l', 'nul_l'],
  ['line\nfeed\x7f\x85', 'line_feed__'],
  ['evil\u202egpj.exe', 'evil_gpj.exe'],
  ['NUL', '_NUL'],
  ['nul.txt', '_nul.txt'],
  ['com1', '_com1'],
  ['COM¹.x', '_COM¹.x'],
  ['console', 'console'],
  ['C:evil', 'C_evil'],
  ['...', '_'],
  ['. .', '_'],
  ['', '_'],
  ['.hidden', '.hidden'],
  ['..hidden', '..hidden'],
])('component %j becomes %j', (name, safe) => {
  expect(safeComponent(name)).toBe(safe);
});

test('long names are cut between characters and keep their extension', () => {
  expect(safeComponent('a'.repeat(255))).toBe('a'.repeat(255));
  expect(safeComponent(`${'a'.repeat(300)}.tar`)).toBe(`${'a'.repeat(236)}.tar`);
  const cut = safeComponent('😀'.repeat(100));
  expect(cut).toBe('😀'.repeat(60));
});

test.each<[string | undefined, string[][], string[]]>([
  ['root', [['..', '..', 'etc', 'passwd']], ['root/etc/passwd']],
  ['..', [['/abs/x']], ['_/_abs_x']],
  ['root', [['..'], ['.', '']], ['root/_', 'root/_ (1)']],
  [undefined, [['../x']], ['.._x']],
  ['r', [['A.txt'], ['a.TXT'], ['a (1).TXT']], ['r/A.txt', 'r/a (1).TXT', 'r/a (1) (1).TXT']],
  ['r', [['é'.normalize('NFC')], ['é'.normalize('NFD')]], ['r/é', `r/${'é'.normalize('NFD')} (1)`]],
  ['r', [['x'], ['x', 'y']], ['r/x (1)', 'r/x/y']],
  ['r', [['x', 'y'], ['X.']], ['r/x/y', 'r/X (1).']],
  ['r', [['x'], ['x'], ['x']], ['r/x', 'r/x (1)', 'r/x (2)']],
  [
    'r',
    [
      ['D', 'a'],
      ['d', 'A'],
    ],
    ['r/D/a', 'r/d/A (1)'],
  ],
])('paths below %j: %j', (root, paths, safe) => {
  expect(safePaths(root, paths)).toEqual(safe);
});

test('whatever the names: inside the root, no two in one place, no file where a folder is, and stable', () => {
  const name = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 12 }),
    fc.constantFrom(
      '..',
      '.',
      '',
      '/',
      'a',
      'A',
      'a.',
      'a (1)',
      'A (2)',
      'nul',
      'ß',
      'ss',
      'a'.repeat(260),
      'a'.repeat(250),
    ),
  );
  fc.assert(
    fc.property(
      name,
      fc.array(fc.array(name, { minLength: 1, maxLength: 4 }), { maxLength: 30 }),
      (root, paths) => {
        const safe = safePaths(root, paths);
        const files = new Set<string>();
        const folders = new Set<string>();
        for (const path of safe) {
          const components = path.split('/');
          expect(components.length).toBeGreaterThan(1);
          for (const component of components) {
            expect(component).not.toMatch(/^\.*$|[\\\0]/);
            expect(Buffer.byteLength(component)).toBeLessThanOrEqual(255);
          }
          const key = path.normalize('NFC').toLowerCase();
          expect(files.has(key)).toBe(false);
          files.add(key);
          for (let depth = 1; depth < components.length; depth++) {
            folders.add(components.slice(0, depth).join('/').normalize('NFC').toLowerCase());
          }
        }
        for (const folder of folders) expect(files.has(folder)).toBe(false);
        const [first] = safe;
        const again = safePaths(
          first?.split('/')[0] ?? root,
          safe.map((path) => path.split('/').slice(1)),
        );
        expect(again).toEqual(safe);
      },
    ),
    { numRuns: 1000 },
  );
});

test('a torrent full of one name costs no more than its length', () => {
  const safe = safePaths(
    'r',
    Array.from({ length: 50_000 }, () => ['same']),
  );
  expect(safe.at(-1)).toBe('r/same (49999)');
});
