/** What a user has installed to open tunnels with, for a PATH of a test's own: tunnel-stand-in.js by both names. */
import { chmodSync, copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** Makes the directory, with the programs in it. */
export function layOutTunnelPrograms(directory: string): string {
  mkdirSync(directory);
  for (const program of ['aws', 'session-manager-plugin']) {
    copyFileSync(join(import.meta.dirname, 'tunnel-stand-in.js'), join(directory, program));
    chmodSync(join(directory, program), 0o755);
  }
  // The stand-in is an ES module wherever it is copied to.
  writeFileSync(join(directory, 'package.json'), '{"type":"module"}');
  return directory;
}
