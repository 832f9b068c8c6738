#!/usr/bin/env node
// The `skep` command. Plain JavaScript that any Node can read: Skep's TypeScript is run by Node 24 itself, so
// an older Node looks for the one that npm installed beside Skep and hands over to it.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { constants } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const neededMajor = 24;
const main = new URL('../src/main.ts', import.meta.url);

function installedNode() {
  try {
    const manifest = createRequire(import.meta.url).resolve('node/package.json');
    const program = join(dirname(manifest), 'bin', process.platform === 'win32' ? 'node.exe' : 'node');
    return existsSync(program) ? program : undefined;
  } catch {
    return undefined;
  }
}

function handOver(program) {
  // The channel tells the child when this process is killed: it then ends too instead of living on unseen.
  const child = spawn(program, [fileURLToPath(main), ...process.argv.slice(2)], {
    stdio: ['inherit', 'inherit', 'inherit', 'ipc'],
  });
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
  child.on('error', (error) => {
    console.error(`skep: ${program} could not be started (${error.message}): run npm install again`);
    process.exitCode = 1;
  });
  child.on('exit', (code, signal) => {
    process.exitCode = code ?? 128 + (constants.signals[signal] ?? 0);
  });
}

if (Number.parseInt(process.versions.node, 10) >= neededMajor) {
  await import(main);
} else {
  const program = installedNode();
  if (program) {
    handOver(program);
  } else {
    console.error(
      `skep: Node ${neededMajor} or newer is needed, this is ${process.version}: run npm install in Skep's folder, which brings it, or install a newer Node`,
    );
    process.exitCode = 1;
  }
}
