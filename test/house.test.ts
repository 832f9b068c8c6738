/**
 * The house as code (shared design, "The house" and "The Host seam"): which folder may import which, and that
 * nothing but a Host touches the world. Fails on the file that breaks a rule, and names the rule.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { describe, expect, it } from 'vitest';

const root = join(import.meta.dirname, '..');

/** Folder → what it may import of ours. Tests and benchmarks may import anything. */
const mayImport: Record<string, readonly string[]> = {
  'p2p-core': [],
  contract: [],
  'node-agent': ['p2p-core', 'contract'],
  'control-api': ['p2p-core', 'contract'],
  sim: ['p2p-core', 'contract', 'node-agent', 'control-api'],
  lambdas: ['p2p-core', 'contract', 'control-api'],
  infra: [],
  cli: ['p2p-core', 'contract', 'node-agent', 'control-api', 'sim'],
};

/** The simulator makes nodes only through the agent: of p2p-core it sees the seam and nothing else. */
const simMayImport = /^@skep\/p2p-core\/(host|host\/compliance|bytes)$/;

const mostLines = 500;

/** Where the world is touched on purpose: Host implementations, and composition roots of real processes. */
const touchesTheWorld = [
  /^p2p-core\/src\/host\/node\//,
  /^node-agent\/src\/(main|orphan|health-check)\.ts$/,
  /^control-api\/src\/main\.ts$/,
  /^control-api\/src\/main\//,
  /^control-api\/src\/stores\/sqlite[a-z-]*\.ts$/,
  /^control-api\/src\/launchers\/process[a-z-]*\.ts$/,
  /^control-api\/src\/launchers\/docker-engine\.ts$/,
  /^sim\/src\/host\/(real-world|real-world-trap|sim-host|digests)\.ts$/,
  /^lambdas\/src\/[a-z-]+\/handler\.ts$/,
  // Runs on a user's machine, to say what is to be deployed.
  /^infra\//,
  /^cli\//,
];

/** Reached past the seam: each with what to use instead. */
const worldly: readonly [RegExp, string][] = [
  [/\bfrom 'node:|\bimport\('node:|\brequire\(/, 'a Host (no node: modules)'],
  [/\bDate\.now\b|\bnew Date\(\)|\bperformance\b\./, 'host.clock'],
  [/\b(setTimeout|setInterval|setImmediate|queueMicrotask)\(/, 'host.clock.setTimer'],
  [/\bAbortSignal\.timeout\b/, 'timeoutMs of host.http, or host.clock'],
  [/\bMath\.random\b|\bcrypto\.(getRandomValues|randomUUID|subtle)\b/, 'host.random, host.compute'],
  [/(?:[=(,?]|=>|\breturn|\bawait)\s*fetch\(|\bnew (WebSocket|Worker|XMLHttpRequest)\(/, 'host.http'],
  [
    /\bprocess\.(env|pid|cwd|exit|stdout|stderr|on|hrtime|memoryUsage)\b/,
    'options given by the composition root',
  ],
  [/\bBuffer\.(from|alloc|concat)/, 'Uint8Array'],
];

function sources(): string[] {
  return Object.keys(mayImport).flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
      .map((name) => join(folder, name))
      .filter(
        (path) => /\.(ts|js)$/.test(path) && !/node_modules|\/dist\/|\/scripts\/|\.test\.ts$/.test(path),
      )
      .filter((path) => !/compliance|\/testing\/|testdata|\/fixtures\//.test(path)),
  );
}

function withoutComments(text: string): string {
  return text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/(^|\s)\/\/.*$/gm, '$1');
}

/** What a file loads, by whichever way; undefined for what only its run would tell. */
function importsOf(text: string): (string | undefined)[] {
  const literals = text.matchAll(/(?:\bfrom|\bimport)\s*\(?\s*(['"`])([^'"`$]+)\1/g);
  const loads = text.matchAll(/\b(?:import|require|createRequire\([^)]*\))\s*\(\s*(['"`])?([^'"`)]*)/g);
  return [
    ...[...literals].map((match) => match[2]!),
    ...[...loads].map((match) => (match[1] === undefined || match[2]!.includes('$') ? undefined : match[2]!)),
  ];
}

/** The rules that a file's text breaks, as sentences; empty if none. */
function brokenRules(path: string, text: string): string[] {
  const code = withoutComments(text);
  const folder = path.split('/')[0]!;
  const broken: string[] = [];
  for (const specifier of importsOf(code)) {
    if (specifier === undefined) {
      if (folder !== 'cli') broken.push(`${path} loads what only its run decides: name it in quotes`);
      continue;
    }
    if (/^(\/|file:|data:)/.test(specifier))
      broken.push(`${path} imports ${specifier}: name the package instead`);
    const target = specifier.startsWith('@skep/')
      ? specifier.split('/')[1]!
      : specifier.startsWith('.')
        ? relative(root, join(root, path, '..', specifier)).split('/')[0]!
        : undefined;
    if (target === undefined || target === folder) continue;
    if (!mayImport[folder]?.includes(target)) broken.push(`${path} imports ${specifier}: ${folder}/ may not`);
    if (specifier.startsWith('.')) broken.push(`${path} imports ${specifier}: name the package instead`);
    if (folder === 'sim' && target === 'p2p-core' && !simMayImport.test(specifier)) {
      broken.push(`${path} imports ${specifier}: the simulator imports no protocol module`);
    }
  }
  if (folder === 'sim' && code.includes('import.meta.resolve')) {
    broken.push(`${path} looks for modules: the simulator imports what it names, and no protocol module`);
  }
  if (!touchesTheWorld.some((allowed) => allowed.test(path))) {
    for (const [pattern, instead] of worldly) {
      const found = pattern.exec(code);
      if (found) broken.push(`${path} reaches past the Host (${found[0].trim()}): use ${instead}`);
    }
  }
  return broken;
}

describe('the house', () => {
  it.each(sources())('%s keeps to its room and to the seam', (path) => {
    expect(brokenRules(path, readFileSync(join(root, path), 'utf8'))).toEqual([]);
  });

  it('has no file that fills more than a head', () => {
    const lines = (path: string) => readFileSync(join(root, path), 'utf8').split('\n').length;
    expect(sources().filter((path) => lines(path) > mostLines)).toEqual([]);
  });

  it.each([
    ['p2p-core/src/ring/x.ts', "import { Report } from '@skep/contract';"],
    ['contract/src/x.ts', "import { toHex } from '@skep/p2p-core/bytes';"],
    ['sim/src/x.ts', "import { createDht } from '@skep/p2p-core/discovery/dht';"],
    ['sim/src/x.ts', "const { createNode } = await import('@skep/p2p-core');"],
    ['sim/src/x.ts', 'const { createNode } = await import(`@skep/p2p-core`);'],
    // biome-ignore lint/suspicious/noTemplateCurlyInString: what a file might have.
    ['sim/src/x.ts', 'await import(`@skep/${name}`);'],
    ['sim/src/x.ts', 'const module = await import(name);'],
    ['sim/src/x.ts', 'import "@skep/p2p-core/torrent";'],
    ['sim/src/x.ts', "export * from '@skep/p2p-core/wire';"],
    ['sim/src/host/x.ts', "import { x } from '../../../p2p-core/src/wire/index.ts';"],
    ['sim/src/x.ts', "import { x } from '../../node_modules/@skep/p2p-core/src/wire/index.ts';"],
    ['sim/src/x.ts', "import { x } from '/skep/p2p-core/src/wire/index.ts';"],
    ['sim/src/x.ts', "const url = import.meta.resolve('@skep/p2p-core/wire');"],
    ['node-agent/src/x.ts', "import { x } from '../../control-api/src/x.ts';"],
    ['p2p-core/src/torrent/x.ts', 'const now = Date.now();'],
    ['p2p-core/src/torrent/x.ts', "import { createHash } from 'node:crypto';"],
    ['control-api/src/x.ts', 'setTimeout(tick, 100);'],
    ['node-agent/src/x.ts', 'const answer = await fetch(url);'],
    ['control-api/src/routes.ts', 'const where = process.env.SKEP_STATE;'],
  ])('would catch %s with: %s', (path, text) => {
    expect(brokenRules(path, text)).not.toEqual([]);
  });
});

it('docs/architecture.md names files and folders that are there', () => {
  const page = readFileSync(join(root, 'docs/architecture.md'), 'utf8');
  const named = [...page.matchAll(/`([\w./-]+(?:\.(?:ts|md)|\/))`/g)].map((match) => match[1]!);
  const there = [...Object.keys(mayImport), 'test', 'bench', 'scenarios'].flatMap((folder) => [
    `/${folder}/`,
    ...readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
      .map(
        (entry) => `/${relative(root, join(entry.parentPath, entry.name))}${entry.isDirectory() ? '/' : ''}`,
      )
      .filter((path) => !path.includes('/node_modules/')),
  ]);
  expect(named.length).toBeGreaterThan(50);
  expect(named.filter((name) => !there.some((path) => path.endsWith(`/${name}`)))).toEqual([]);
});
