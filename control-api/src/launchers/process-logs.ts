/** Keeps a machine's log from filling the disk. Its writer appends, so the file can be emptied under it. */
import { copyFileSync, statSync, truncateSync } from 'node:fs';

const mostBytes = 16 * 1024 * 1024;

/** Once the log is too long, it becomes `<path>.1`, in place of an older one, and begins anew. */
export function boundLog(path: string): void {
  try {
    if (statSync(path).size <= mostBytes) return;
    copyFileSync(path, `${path}.1`);
    truncateSync(path);
  } catch {
    // A log that cannot be bounded now is looked at again; it is nothing to end a machine for.
  }
}
