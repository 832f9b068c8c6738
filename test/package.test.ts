/** The library as a stranger gets it: packed, installed from the tarball, type-checked and run. */
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';

const root = join(import.meta.dirname, '..');
const scratch = mkdtempSync(join(tmpdir(), 'skep-package-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

it('packs with types, and runs from its tarball', { timeout: 120_000 }, () => {
  // From a copy: while npm packs, the package's exports name compiled files, which other tests must not see.
  const copy = join(scratch, 'workspace');
  for (const name of ['p2p-core', 'tsconfig.json', 'LICENSE']) {
    cpSync(join(root, name), join(copy, name), {
      recursive: true,
      filter: (path) => !/\/(dist|node_modules)$/.test(path),
    });
  }
  symlinkSync(join(root, 'node_modules'), join(copy, 'node_modules'));
  execFileSync('npm', ['pack', '--silent', '--pack-destination', scratch], {
    cwd: join(copy, 'p2p-core'),
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  const tarball = readdirSync(scratch).find((name) => name.endsWith('.tgz'));
  expect(tarball).toBeDefined();
  const installed = join(scratch, 'node_modules/@skep/p2p-core');
  mkdirSync(installed, { recursive: true });
  execFileSync('tar', ['-xzf', join(scratch, tarball!), '-C', installed, '--strip-components=1']);
  for (const dependency of ['bencode', 'uint8-util', '@types']) {
    symlinkSync(join(root, 'node_modules', dependency), join(scratch, 'node_modules', dependency));
  }
  writeFileSync(
    join(scratch, 'consumer.ts'),
    `import { createNode, type Node } from '@skep/p2p-core';
     import { createNodeHost } from '@skep/p2p-core/host/node';
     const host = createNodeHost();
     const node: Node = await createNode({ host }, { listen: { host: '127.0.0.1', port: 0 }, dht: false });
     console.log(typeof node.listen.port);
     await node.close();
     await host.close();
    `,
  );
  writeFileSync(
    join(scratch, 'tsconfig.json'),
    JSON.stringify({
      compilerOptions: {
        module: 'nodenext',
        target: 'es2024',
        lib: ['es2024'],
        types: ['node'],
        strict: true,
        outDir: 'out',
        rootDir: '.',
      },
      files: ['consumer.ts'],
    }),
  );
  writeFileSync(join(scratch, 'package.json'), JSON.stringify({ type: 'module' }));
  execFileSync(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '-p', scratch], {
    stdio: 'inherit',
  });
  const output = execFileSync(process.execPath, [join(scratch, 'out/consumer.js')], { encoding: 'utf8' });
  expect(output.trim()).toBe('number');
});
