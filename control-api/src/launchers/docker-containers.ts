/** What a machine's container is made with: as little right as an agent needs, and no more of the computer than allowed. */
import type { AgentConfig } from '@skep/contract';
import type { ContainerCreateOptions } from 'dockerode';
import type { LaunchRequest, MachineRef } from '../ports/launcher.ts';
import type { ArchiveEntry } from './docker-archive.ts';
import { labels, machineLabels, networkName } from './docker-naming.ts';

export interface ContainerLimits {
  /** @default 512 MiB */
  readonly memoryBytes?: number | undefined;
  /** Of processor cores, as in 0.5. @default 1 */
  readonly cpus?: number | undefined;
}

/** As whom the image runs. */
const userId = 10001;
/** Where a slot's disk is in its container: what it keeps, and a folder for each of its machines. */
export const diskDirectory = '/data';
const dataDirectory = `${diskDirectory}/slot`;
const defaultMemoryBytes = 512 * 1024 ** 2;
const defaultCpus = 1;
const mostProcesses = 256;
const mostLogBytes = '8m';
const ownerOnly = 0o700;

const folderOf = ({ generation, attempt }: MachineRef) => `${generation}.${attempt}`;

export interface ContainerParts {
  readonly owner: string;
  readonly image: string;
  readonly limits: ContainerLimits;
  /** Files and folders of this computer that machines may read, each at its own path. */
  readonly content: readonly string[];
}

/** The container of a machine whose disk is this volume. */
export function containerOf(
  { owner, image, limits, content }: ContainerParts,
  { machine, config }: LaunchRequest,
  disk: string,
): ContainerCreateOptions {
  const memoryBytes = limits.memoryBytes ?? defaultMemoryBytes;
  const network = networkName(machine.clusterUid);
  return {
    Image: image,
    Cmd: ['agent'],
    Hostname: `${machine.slot}-${machine.generation}`,
    Labels: {
      ...machineLabels(owner, machine),
      [labels.clusterName]: config.cluster,
      [labels.disk]: disk,
    },
    Env: [`SKEP_CONFIG=${diskDirectory}/${folderOf(machine)}/agent.json`],
    NetworkingConfig: {
      EndpointsConfig: { [network]: { IPAMConfig: { IPv4Address: config.listen.host } } },
    },
    HostConfig: {
      NetworkMode: network,
      Mounts: [
        { Type: 'volume', Source: disk, Target: diskDirectory },
        ...content.map((path) => ({ Type: 'bind' as const, Source: path, Target: path, ReadOnly: true })),
      ],
      ReadonlyRootfs: true,
      Tmpfs: { '/tmp': 'rw,noexec,nosuid,nodev,size=16m' },
      CapDrop: ['ALL'],
      SecurityOpt: ['no-new-privileges'],
      Memory: memoryBytes,
      // None beside: what is too much shows at once.
      MemorySwap: memoryBytes,
      NanoCpus: Math.round((limits.cpus ?? defaultCpus) * 1e9),
      PidsLimit: mostProcesses,
      LogConfig: { Type: 'json-file', Config: { 'max-size': mostLogBytes, 'max-file': '2' } },
      RestartPolicy: { Name: 'no' },
    },
  };
}

/** Stands where a machine's container would, and is never started: its token will have no machine. */
export function tombstoneOf(
  { owner, image }: Pick<ContainerParts, 'owner' | 'image'>,
  machine: MachineRef,
): ContainerCreateOptions {
  return {
    Image: image,
    Labels: { ...machineLabels(owner, machine), [labels.calledOff]: 'true' },
    HostConfig: { NetworkMode: 'none' },
  };
}

/** The machine's configuration, which holds its join secret: put on its disk, readable by itself alone. */
export function configFiles({ machine, config, ephemeral }: LaunchRequest): ArchiveEntry[] {
  const whole: AgentConfig = {
    ...config,
    dataDirectory,
    ...(ephemeral ? { ephemeralDirectory: dataDirectory } : {}),
  };
  const folder = folderOf(machine);
  return [
    { path: 'slot/', mode: ownerOnly, userId },
    { path: `${folder}/`, mode: ownerOnly, userId },
    { path: `${folder}/agent.json`, mode: 0o600, userId, text: JSON.stringify(whole) },
  ];
}

/** The same for a container that waits for it, its disk being a folder of a volume. */
export function composeConfig(config: LaunchRequest['config'], disk: string): AgentConfig {
  return { ...config, dataDirectory: `${diskDirectory}/${disk}` };
}

/** What is known of an end, in words. */
export function evidenceOf(end: { exitCode: number; outOfMemory: boolean; memoryBytes: number }): string {
  if (end.outOfMemory)
    return `killed by the kernel: it needed more than its ${Math.round(end.memoryBytes / 1024 ** 2)} MiB of memory`;
  // Shells' convention, which the Engine and the image's init keep to: 128 and the signal's number.
  if (end.exitCode === 137) return 'killed by SIGKILL';
  if (end.exitCode === 143) return 'killed by SIGTERM';
  return `exit code ${end.exitCode}`;
}
