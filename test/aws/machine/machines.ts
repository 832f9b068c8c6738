/**
 * Machines for user data to be run on: containers with systemd, cloud-init and a Docker engine of their own, in a network
 * with a registry. They are made as instances are, of an address and user data, and are off when they power themselves
 * off. What they print on their console is kept.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { baseImage } from '../../containers/image.ts';

const patienceMs = 300_000;
const pollMs = 500;

/** As far as this computer gives them to containers; what is missing of those of a machine, systemd does without. */
const machineRights = [
  ...['--cap-add', 'ALL', '--cap-drop', 'SYS_RESOURCE', '--cgroupns', 'private'],
  ...['seccomp', 'apparmor', 'systempaths'].flatMap((what) => ['--security-opt', `${what}=unconfined`]),
  ...['--device-cgroup-rule', 'a *:* rwm', '--tmpfs', '/run:exec', '--tmpfs', '/tmp:exec'],
];

/** The image that machines are containers of, built if it is not there; needs the base image. */
export function machineImage(): string {
  const files = readdirSync(import.meta.dirname).filter((name) => !name.endsWith('.ts'));
  const hash = createHash('sha256');
  for (const name of files.sort()) hash.update(readFileSync(join(import.meta.dirname, name)));
  const image = `skep-test-machine:${hash.digest('hex').slice(0, 16)}`;
  if (spawnSync('docker', ['image', 'inspect', image], { stdio: 'ignore' }).status !== 0) {
    docker(
      ...['build', '--quiet', '--network', 'host', '--build-arg', `BASE_IMAGE=${baseImage}`],
      ...['--tag', image, import.meta.dirname],
    );
  }
  return image;
}

export class Machine {
  readonly name: string;
  /** Starts at once. */
  constructor(
    name: string,
    { network, address, userData }: { network: string; address: string; userData: string },
  ) {
    this.name = name;
    docker(
      ...['create', '--tty', '--name', name, '--hostname', name, '--network', network, '--ip', address],
      ...machineRights,
      machineImage(),
    );
    try {
      this.#giveUserData(userData);
      this.start();
    } catch (error) {
      this.remove();
      throw error;
    }
  }

  #giveUserData(userData: string): void {
    const seed = mkdtempSync(join(tmpdir(), 'skep-seed-'));
    try {
      writeFileSync(join(seed, 'meta-data'), `instance-id: ${this.name}\n`);
      writeFileSync(join(seed, 'user-data'), userData, { mode: 0o600 });
      docker('cp', `${seed}/.`, `${this.name}:/var/lib/cloud/seed/nocloud/`);
    } finally {
      rmSync(seed, { recursive: true, force: true });
    }
  }

  /** Also again, after it was off. */
  start(): void {
    docker('start', this.name);
  }

  /** What a program prints that is run on it; rejects if it fails. */
  run(...command: string[]): string {
    return docker('exec', this.name, ...command);
  }

  /** What it printed on its console since it was made. */
  console(): string {
    return docker('logs', this.name);
  }

  /** A file of its disk, also while it is off. */
  read(path: string): string {
    return execFileSync('sh', ['-c', 'docker cp "$0:$1" - | tar --extract --to-stdout', this.name, path], {
      encoding: 'utf8',
    });
  }

  isOn(): boolean {
    return docker('inspect', '--format', '{{.State.Running}}', this.name).trim() === 'true';
  }

  /** Resolves once it has powered itself off. */
  off(): Promise<void> {
    return until(
      () => !this.isOn(),
      () => `${this.name} did not power itself off: ${this.console()}`,
    );
  }

  remove(): void {
    spawnSync('docker', ['rm', '--force', '--volumes', this.name], { stdio: 'ignore' });
  }
}

/** Resolves once it holds; rejects with what `otherwise` says if it does not for minutes. */
export async function until(holds: () => boolean | Promise<boolean>, otherwise: () => string): Promise<void> {
  const dueMs = performance.now() + patienceMs;
  while (!(await holds())) {
    if (performance.now() > dueMs) throw new Error(otherwise());
    await sleep(pollMs);
  }
}

/** Throws, with what it said, if it fails. */
export function docker(...words: string[]): string {
  const { status, stdout, stderr } = spawnSync('docker', words, { encoding: 'utf8', maxBuffer: 64_000_000 });
  if (status === 0) return stdout;
  throw new Error(`docker ${words[0]} ${words[1]} failed: ${stderr}${stdout}`);
}
