/**
 * What the docker launcher asks of an Engine, in its terms: answers instead of status codes, and no more of the
 * Engine's API than is needed. The only file here that speaks to it.
 */
import Dockerode from 'dockerode';
import { type ArchiveEntry, archiveOf } from './docker-archive.ts';
import { EngineError } from './docker-engine-error.ts';
import type { Labels } from './docker-naming.ts';

export interface EngineContainer {
  readonly id: string;
  readonly name: string;
  readonly labels: Labels;
  readonly state: ContainerState;
  /** By network: the address that it has, or is to have when it runs. */
  readonly addresses: Readonly<Record<string, string>>;
}

/** `created` was never started. */
export type ContainerState = 'created' | 'running' | 'paused' | 'restarting' | 'removing' | 'exited' | 'dead';

export interface ContainerDetails extends EngineContainer {
  readonly exitCode: number;
  /** The kernel ended it because it reached its limit of memory. */
  readonly outOfMemory: boolean;
  readonly memoryBytes: number;
  /** As the Engine writes it; another at each start. */
  readonly startedAt: string;
  readonly finishedAt: string;
}

/** That a container died, or was told to end by whoever it was. */
export interface ContainerEnding {
  readonly what: 'died' | 'told';
  readonly id: string;
  readonly labels: Labels;
  /** By the Engine's clock, ms since the Unix epoch. */
  readonly atMs: number;
}

export interface EngineNetwork {
  readonly id: string;
  readonly name: string;
  readonly labels: Labels;
  /** IPv4 ranges, as in 10.64.4.0/22. */
  readonly subnets: readonly string[];
}

const isLiving: readonly ContainerState[] = ['running', 'paused', 'restarting'];

export function isAlive(state: ContainerState): boolean {
  return isLiving.includes(state);
}

/** Rejects with EngineError unless a method says otherwise. */
export class DockerEngine {
  readonly #docker: Dockerode;

  /** At DOCKER_HOST, or this computer's own socket; `socketPath` names another. */
  constructor(options: { socketPath?: string } = {}) {
    this.#docker = new Dockerode(options);
  }

  /** Whether it answers and has the image. */
  async hasImage(image: string): Promise<boolean> {
    return (await this.#unless([404], this.#docker.getImage(image).inspect())) !== undefined;
  }

  // ---- containers

  /** Its id; undefined if there is one of this name. */
  async create(name: string, spec: Dockerode.ContainerCreateOptions): Promise<string | undefined> {
    const made = await this.#unless([409], this.#docker.createContainer({ ...spec, name }));
    return made?.id;
  }

  /** Undefined if there is none of this name or id. */
  async find(nameOrId: string): Promise<ContainerDetails | undefined> {
    const found = await this.#unless([404], this.#docker.getContainer(nameOrId).inspect());
    if (found === undefined) return undefined;
    return {
      id: found.Id,
      name: found.Name.replace(/^\//, ''),
      labels: found.Config.Labels,
      state: found.State.Status as ContainerState,
      addresses: addressesOf(found.NetworkSettings.Networks),
      startedAt: found.State.StartedAt,
      finishedAt: found.State.FinishedAt,
      exitCode: found.State.ExitCode,
      outOfMemory: found.State.OOMKilled,
      memoryBytes: found.HostConfig.Memory ?? 0,
    };
  }

  /** Those that have all of these labels; the dead too. */
  async containers(having: Labels = {}): Promise<EngineContainer[]> {
    const filters = { label: labelFilter(having) };
    const found = await this.#asked(this.#docker.listContainers({ all: true, filters }));
    return found.map(({ Id, Names, Labels, State, NetworkSettings }) => ({
      id: Id,
      name: Names[0]?.replace(/^\//, '') ?? '',
      labels: Labels,
      state: State as ContainerState,
      addresses: addressesOf(NetworkSettings.Networks),
    }));
  }

  /** Harmless if it runs. */
  async start(id: string): Promise<void> {
    await this.#unless([304], this.#docker.getContainer(id).start());
  }

  /** Tells it to end, waits so long, ends it. Harmless if it has ended, or there is none. */
  async stop(id: string, graceMs: number): Promise<void> {
    const seconds = Math.ceil(graceMs / 1000);
    await this.#unless([304, 404], this.#docker.getContainer(id).stop({ t: seconds }));
  }

  /** Ends it at once. Harmless if it does not run, or there is none. */
  async kill(id: string): Promise<void> {
    await this.#unless([404, 409], this.#docker.getContainer(id).kill({ signal: 'SIGKILL' }));
  }

  /** Harmless if it does not run, stands still already, or there is none. */
  async pause(id: string): Promise<void> {
    await this.#unless([404, 409], this.#docker.getContainer(id).pause());
  }

  /** Harmless if it does not stand still, which some Engines tell as a failure of theirs, or there is none. */
  async resume(id: string): Promise<void> {
    await this.#unless([404, 409, 500], this.#docker.getContainer(id).unpause());
  }

  /** Without `force` one that lives is left alone. Harmless if there is none. */
  async remove(id: string, { force = false }: { force?: boolean } = {}): Promise<void> {
    await this.#unless([404, 409], this.#docker.getContainer(id).remove({ force, v: true }));
  }

  /** Puts files into a directory that the container may write. */
  async putFiles(id: string, directory: string, entries: readonly ArchiveEntry[]): Promise<void> {
    const archive = Buffer.from(archiveOf(entries));
    await this.#asked(this.#docker.getContainer(id).putArchive(archive, { path: directory }));
  }

  /** Runs a program in it that reads this, and gives its exit code; undefined if the container does not run. */
  async execute(id: string, command: readonly string[], input = ''): Promise<number | undefined> {
    const attached = { AttachStdin: true, AttachStdout: true, AttachStderr: true };
    const asked = this.#docker.getContainer(id).exec({ Cmd: [...command], ...attached });
    const execution = await this.#unless([404, 409], asked);
    if (execution === undefined) return undefined;
    const stream = await this.#unless([404, 409], execution.start({ hijack: true, stdin: true }));
    if (stream === undefined) return undefined;
    await new Promise((resolve) => {
      stream.on('close', resolve).on('error', resolve).resume();
      stream.end(input);
    });
    return (await this.#asked(execution.inspect())).ExitCode ?? undefined;
  }

  /** The last `tailBytes` of its output between two times, standard output and error as they came. Empty if there is none. */
  async logs(
    nameOrId: string,
    tailBytes: number,
    between: { since?: string; until?: string } = {},
  ): Promise<string> {
    const asked = { ...between, stdout: true, stderr: true, follow: false, tail: tailBytes } as const;
    const frames = await this.#unless([404], this.#docker.getContainer(nameOrId).logs(asked));
    return frames === undefined ? '' : tailOf(frames, tailBytes);
  }

  // ---- networks and volumes

  async networks(having: Labels = {}): Promise<EngineNetwork[]> {
    const filters = { label: labelFilter(having) };
    const found = await this.#asked(this.#docker.listNetworks({ filters }));
    return found.map(({ Id, Name, Labels, IPAM }) => ({
      id: Id,
      name: Name,
      labels: Labels ?? {},
      subnets: (IPAM?.Config ?? []).flatMap(({ Subnet }) =>
        Subnet === undefined || Subnet.includes(':') ? [] : [Subnet],
      ),
    }));
  }

  /** Harmless if there is one of this name. */
  async createNetwork(spec: Dockerode.NetworkCreateOptions): Promise<void> {
    await this.#unless([409], this.#docker.createNetwork({ ...spec, CheckDuplicate: true }));
  }

  /** Harmless if there is none. */
  async removeNetwork(id: string): Promise<void> {
    await this.#unless([404], this.#docker.getNetwork(id).remove());
  }

  /** Gives a container this address in a network that it is in, or any. */
  async readdress(networkId: string, containerId: string, address?: string): Promise<void> {
    const network = this.#docker.getNetwork(networkId);
    await this.#asked(network.disconnect({ Container: containerId, Force: true }));
    const asked = address === undefined ? {} : { EndpointConfig: { IPAMConfig: { IPv4Address: address } } };
    await this.#asked(network.connect({ Container: containerId, ...asked }));
  }

  /** Harmless if it is there. */
  async createVolume(name: string, having: Labels): Promise<void> {
    await this.#asked(this.#docker.createVolume({ Name: name, Labels: { ...having } }));
  }

  /** Names. */
  async volumes(having: Labels): Promise<string[]> {
    const asked = { filters: JSON.stringify({ label: labelFilter(having) }) };
    // Its types know listVolumes with callbacks only, and take a filter for what it is before it is text.
    const list = this.#docker.listVolumes.bind(this.#docker) as (
      options: typeof asked,
    ) => Promise<{ Volumes: { Name: string }[] | null }>;
    const { Volumes } = await this.#asked(list(asked));
    return (Volumes ?? []).map(({ Name }) => Name);
  }

  /** Harmless if there is none. */
  async removeVolume(name: string): Promise<void> {
    await this.#unless([404], this.#docker.getVolume(name).remove());
  }

  // ---- events

  /**
   * Tells of the ends of containers with these labels from `sinceMs` (of the wall clock) on. Resolves once the Engine
   * tells, with what ends that; `onEnd` is called when it stops to by itself.
   */
  async endings(
    having: Labels,
    sinceMs: number,
    onEnding: (ending: ContainerEnding) => void,
    onEnd: () => void,
  ): Promise<() => void> {
    const filters = { type: ['container'], event: ['die', 'kill'], label: labelFilter(having) };
    const stream = await this.#asked(
      this.#docker.getEvents({ since: Math.floor(sinceMs / 1000), filters } as Dockerode.GetEventsOptions),
    );
    let rest = '';
    stream.setEncoding('utf8');
    stream.on('data', (chunk: string) => {
      const lines = (rest + chunk).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) {
        if (line.trim() === '') continue;
        const ending = endingOf(JSON.parse(line) as EngineEvent);
        if (ending !== undefined) onEnding(ending);
      }
    });
    let ended = false;
    const end = () => {
      if (!ended) onEnd();
      ended = true;
    };
    stream.on('error', end).on('end', end).on('close', end);
    return () => {
      ended = true;
      (stream as unknown as { destroy(): void }).destroy();
    };
  }

  async #asked<T>(answer: Promise<T>): Promise<T> {
    try {
      return await answer;
    } catch (error) {
      throw engineError(error);
    }
  }

  /** Undefined if the Engine answers with one of these instead. */
  async #unless<T>(statuses: readonly number[], answer: Promise<T>): Promise<T | undefined> {
    try {
      return await answer;
    } catch (error) {
      const failure = engineError(error);
      if (failure.status !== undefined && statuses.includes(failure.status)) return undefined;
      throw failure;
    }
  }
}

interface EngineEvent {
  readonly id: string;
  readonly Action: string;
  readonly Actor: { readonly Attributes: Labels };
  readonly timeNano: number;
}

const terminate = '15';

/** Undefined for signals that tell nobody to end in good order. */
function endingOf({ id, Action, Actor, timeNano }: EngineEvent): ContainerEnding | undefined {
  if (Action === 'kill' && Actor.Attributes.signal !== terminate) return undefined;
  const what = Action === 'kill' ? 'told' : 'died';
  return { what, id, labels: Actor.Attributes, atMs: timeNano / 1e6 };
}

function addressesOf(
  networks: Readonly<Record<string, { IPAMConfig?: { IPv4Address?: string } | null; IPAddress?: string }>>,
): Record<string, string> {
  return Object.fromEntries(
    Object.entries(networks).map(([name, { IPAMConfig, IPAddress }]) => [
      name,
      IPAMConfig?.IPv4Address ?? IPAddress ?? '',
    ]),
  );
}

function labelFilter(having: Labels): string[] {
  return Object.entries(having).map(([name, value]) => `${name}=${value}`);
}

function engineError(error: unknown): EngineError {
  const { statusCode, json, message } = error as {
    statusCode?: number;
    json?: { message?: string };
    message?: string;
  };
  if (statusCode === undefined) {
    return new EngineError(
      `the Docker engine does not answer (${message ?? String(error)}): see that it runs and that you may use it, as with \`docker version\``,
      undefined,
      { cause: error },
    );
  }
  return new EngineError(`the Docker engine refused: ${json?.message ?? message}`, statusCode, {
    cause: error,
  });
}

const frameHeaderBytes = 8;

/** The Engine sends output in frames, each with a header that says which stream it is and how long. */
function tailOf(frames: Uint8Array, tailBytes: number): string {
  const view = new DataView(frames.buffer, frames.byteOffset, frames.byteLength);
  const parts: Uint8Array[] = [];
  for (let at = 0; at + frameHeaderBytes <= frames.length; ) {
    const length = view.getUint32(at + 4);
    parts.push(frames.subarray(at + frameHeaderBytes, at + frameHeaderBytes + length));
    at += frameHeaderBytes + length;
  }
  const whole = Buffer.concat(parts);
  return new TextDecoder().decode(whole.subarray(Math.max(0, whole.length - tailBytes)));
}
