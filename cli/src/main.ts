/**
 * Where `skep` starts. Node compiles TypeScript anew in each process; a cluster is many processes, so what was
 * compiled is kept in the user's cache directory, for them too. That must be set up before anything is imported.
 */
import { enableCompileCache } from 'node:module';
import { homedir } from 'node:os';
import { join } from 'node:path';

const { directory } = enableCompileCache(
  join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'skep'),
);
if (directory !== undefined) process.env.NODE_COMPILE_CACHE ??= directory;

await import('./command-line.ts');
