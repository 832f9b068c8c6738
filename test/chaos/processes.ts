/** What really runs: agents as the process list knows them, by the configuration that their environment names. */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, sep } from 'node:path';
import { identifyProcess, type ProcessIdentity } from '@skep/p2p-core/process-identity';

export interface MachineProcess {
  readonly slot: string;
  readonly generation: number;
  readonly attempt: number;
  readonly process: ProcessIdentity;
}

/**
 * Every living agent whose SKEP_CONFIG lies below `directory`, which is a launcher's: cluster, slot, machine. A spare
 * that was assigned a slot is that slot's machine.
 */
export function machinesBelow(directory: string): MachineProcess[] {
  return processesWith('SKEP_CONFIG=').flatMap(({ process, value }) => {
    const [, slot, life, ...rest] = relative(directory, dirname(value)).split(sep);
    const [, generation, attempt] = /^(\d+)\.(\d+)$/.exec(life ?? '') ?? [];
    if (slot === undefined || attempt === undefined || rest.length > 0) return [];
    const launched = { slot, generation: Number(generation), attempt: Number(attempt) };
    return [{ ...(assignedIn(dirname(value)) ?? launched), process }];
  });
}

/** What a spare was assigned to be. */
function assignedIn(machine: string): Omit<MachineProcess, 'process'> | undefined {
  try {
    const [slot, generation, attempt] = JSON.parse(readFileSync(join(machine, 'assigned.json'), 'utf8'));
    return { slot, generation, attempt };
  } catch {
    return undefined;
  }
}

/** Living processes that have an entry with this prefix in their environment, and what follows it there. */
export function processesWith(prefix: string): { process: ProcessIdentity; value: string }[] {
  return readdirSync('/proc').flatMap((name) => {
    if (!/^\d+$/.test(name)) return [];
    try {
      const environment = readFileSync(`/proc/${name}/environ`, 'utf8').split('\0');
      const entry = environment.find((candidate) => candidate.startsWith(prefix));
      const process = entry === undefined ? undefined : identifyProcess(Number(name));
      return process === undefined ? [] : [{ process, value: entry!.slice(prefix.length) }];
    } catch {
      return [];
    }
  });
}
