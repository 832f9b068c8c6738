/**
 * Which container of a compose project is, or was, which machine: a file for each token, made once. A container is
 * many machines in its time, so a machine is a container and the time that it was started at.
 */
import type { Files } from '@skep/p2p-core/host';
import { HostError } from '@skep/p2p-core/host';
import * as z from 'zod';
import type { MachineRef } from '../ports/launcher.ts';

const Machine = z.object({
  clusterUid: z.string(),
  slot: z.string(),
  generation: z.int(),
  attempt: z.int(),
  token: z.string(),
});

const MachineRecord = z.discriminatedUnion('kind', [
  /** It will have no machine. */
  z.object({ kind: z.literal('called-off'), machine: Machine }),
  z.object({
    kind: z.literal('launched'),
    machine: Machine,
    containerId: z.string(),
    startedAt: z.string(),
    /** The slot's folder of what it keeps. */
    disk: z.string(),
  }),
]);
export type MachineRecord = z.infer<typeof MachineRecord>;
export type LaunchedRecord = Extract<MachineRecord, { kind: 'launched' }>;

const mostRecordBytes = 10_000;

export class ComposeRecords {
  readonly #files: Files;
  readonly #directory: string;

  constructor(components: { files: Files }, options: { directory: string }) {
    this.#files = components.files;
    this.#directory = options.directory;
  }

  /** False if the token has one already, which stays. */
  async add(record: MachineRecord): Promise<boolean> {
    const text = new TextEncoder().encode(JSON.stringify(record));
    await this.#files.makeDirectory(`${this.#directory}/${record.machine.clusterUid}`);
    try {
      await this.#files.createExclusive(this.#path(record.machine), text);
      return true;
    } catch (error) {
      if (error instanceof HostError && error.code === 'exists') return false;
      throw error;
    }
  }

  async find(machine: Pick<MachineRef, 'clusterUid' | 'token'>): Promise<MachineRecord | undefined> {
    return this.#read(this.#path(machine));
  }

  /** Of one cluster or of all. */
  async launched(clusterUid?: string): Promise<LaunchedRecord[]> {
    const clusters = clusterUid === undefined ? await this.#names(this.#directory) : [clusterUid];
    const records: LaunchedRecord[] = [];
    for (const cluster of clusters) {
      for (const name of await this.#names(`${this.#directory}/${cluster}`)) {
        const record = await this.#read(`${this.#directory}/${cluster}/${name}`);
        if (record?.kind === 'launched') records.push(record);
      }
    }
    return records;
  }

  async forget(clusterUid: string): Promise<void> {
    await this.#files.remove(`${this.#directory}/${clusterUid}`);
  }

  #path({ clusterUid, token }: Pick<MachineRef, 'clusterUid' | 'token'>): string {
    return `${this.#directory}/${clusterUid}/${token}.json`;
  }

  async #names(directory: string): Promise<string[]> {
    try {
      return (await this.#files.list(directory)).map(({ name }) => name);
    } catch (error) {
      if (error instanceof HostError && error.code === 'not-found') return [];
      throw error;
    }
  }

  /** One that was not written to its end was handed to nobody. */
  async #read(path: string): Promise<MachineRecord | undefined> {
    try {
      const text = new TextDecoder().decode(await this.#files.read(path, mostRecordBytes));
      const record = MachineRecord.safeParse(JSON.parse(text));
      return record.success ? record.data : undefined;
    } catch (error) {
      if (error instanceof SyntaxError || (error instanceof HostError && error.code === 'not-found'))
        return undefined;
      throw error;
    }
  }
}
