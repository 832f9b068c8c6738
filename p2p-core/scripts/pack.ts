/**
 * Called by npm around `npm pack`: in the workspace Node runs the sources as they are, but it strips no types
 * below node_modules, so the package carries compiled JavaScript and declarations, and its exports name those.
 */
import { execFileSync } from 'node:child_process';
import { copyFileSync, existsSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const folder = join(import.meta.dirname, '..');
const manifest = join(folder, 'package.json');
const saved = join(folder, 'package.source.json');

/** Compiles to dist/ and points the exports at it. */
function prepare(): void {
  restore();
  rmSync(join(folder, 'dist'), { recursive: true, force: true });
  const compiler = join(folder, '../node_modules/typescript/bin/tsc');
  execFileSync(process.execPath, [compiler, '-p', join(folder, 'tsconfig.build.json')], { stdio: 'inherit' });
  copyFileSync(join(folder, '../LICENSE'), join(folder, 'LICENSE'));
  copyFileSync(manifest, saved);
  const contents = JSON.parse(readFileSync(manifest, 'utf8'));
  contents.exports = Object.fromEntries(
    Object.entries<string>(contents.exports).map(([name, source]) => {
      const compiled = source.replace('./src/', './dist/');
      return [name, { types: compiled.replace(/\.ts$/, '.d.ts'), default: compiled.replace(/\.ts$/, '.js') }];
    }),
  );
  delete contents.scripts;
  writeFileSync(manifest, `${JSON.stringify(contents, null, 2)}\n`);
}

function restore(): void {
  if (existsSync(saved)) renameSync(saved, manifest);
  rmSync(join(folder, 'LICENSE'), { force: true });
}

if (process.argv[2] === 'restore') restore();
else prepare();
