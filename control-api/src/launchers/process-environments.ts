/** Finds processes by an entry of the environment that they were started with. */
import { readdirSync, readFileSync } from 'node:fs';

/**
 * Whether a living process of ours was started with this `NAME=value`. Where there is no /proc it cannot be
 * known, and the answer is no.
 */
export function isStartedWith(entry: string): boolean {
  let names: string[];
  try {
    names = readdirSync('/proc');
  } catch {
    return false;
  }
  return names.some((name) => {
    if (!/^\d+$/.test(name)) return false;
    try {
      return readFileSync(`/proc/${name}/environ`, 'utf8').split('\0').includes(entry);
    } catch {
      return false;
    }
  });
}
