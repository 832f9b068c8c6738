/**
 * Where the machines of the process launcher live on disk:
 * `<root>/<cluster uid>/<slot>/data` is the slot's, kept across generations, so that a replaced peer resumes;
 * `<root>/<cluster uid>/<slot>/<generation>.<attempt>/` is one machine's: `agent.json`, `agent.log`, `machine.json`,
 * of a spare that has been assigned a slot `assigned.json`, and its `data`, for a spare's slot keeps nothing.
 */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';

export interface MachineName {
  readonly clusterUid: string;
  readonly slot: string;
  readonly generation: number;
  readonly attempt: number;
}

export class ProcessDirectories {
  readonly #root: string;

  constructor(root: string) {
    this.#root = root;
  }

  cluster(clusterUid: string): string {
    return join(this.#root, clusterUid);
  }

  slot({ clusterUid, slot }: Pick<MachineName, 'clusterUid' | 'slot'>): string {
    return join(this.#root, clusterUid, slot);
  }

  data(machine: Pick<MachineName, 'clusterUid' | 'slot'>): string {
    return join(this.slot(machine), 'data');
  }

  machine(machine: MachineName): string {
    return join(this.slot(machine), `${machine.generation}.${machine.attempt}`);
  }

  config(machine: MachineName): string {
    return join(this.machine(machine), 'agent.json');
  }

  log(machine: MachineName): string {
    return join(this.machine(machine), 'agent.log');
  }

  /** Made by exactly one: the process that is the machine, or the launcher when it calls the launch off. */
  claim(machine: MachineName): string {
    return join(this.machine(machine), 'machine.json');
  }

  /** A spare's own, which nobody shares with it. */
  spareData(machine: MachineName): string {
    return join(this.machine(machine), 'data');
  }

  /** Says which machine a spare was assigned to be; made once. */
  assignment(machine: MachineName): string {
    return join(this.machine(machine), 'assigned.json');
  }

  /** Every machine that there is a directory of, alive or not. */
  machines(clusterUid?: string): MachineName[] {
    const clusters = clusterUid === undefined ? entries(this.#root) : [clusterUid];
    return clusters.flatMap((uid) =>
      entries(this.cluster(uid)).flatMap((slot) =>
        entries(this.slot({ clusterUid: uid, slot })).flatMap((name) => {
          const [, generation, attempt] = /^(\d+)\.(\d+)$/.exec(name) ?? [];
          return attempt === undefined
            ? []
            : [{ clusterUid: uid, slot, generation: Number(generation), attempt: Number(attempt) }];
        }),
      ),
    );
  }
}

function entries(path: string): string[] {
  try {
    return readdirSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}
