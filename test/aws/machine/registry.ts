/** A registry that machines pull from, as they do from ECR: Debian's `docker-registry`, on a free port. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { docker, until } from './machines.ts';

const program = 'docker-registry';

export function hasRegistry(): boolean {
  return spawnSync(program, ['--help'], { stdio: 'ignore' }).error === undefined;
}

export class Registry {
  readonly #child: ChildProcess;
  readonly #directory: string;
  readonly port: number;

  private constructor(child: ChildProcess, directory: string, port: number) {
    this.#child = child;
    this.#directory = directory;
    this.port = port;
  }

  /** One with nothing in it. */
  static async start(): Promise<Registry> {
    const directory = mkdtempSync(join(tmpdir(), 'skep-registry-'));
    const port = await freePort();
    const settings = {
      version: 0.1,
      log: { level: 'error' },
      storage: { filesystem: { rootdirectory: directory } },
      http: { addr: `0.0.0.0:${port}` },
    };
    writeFileSync(join(directory, 'settings.yml'), JSON.stringify(settings));
    const child = spawn(
      'setpriv',
      ['--pdeathsig', 'KILL', '--', program, 'serve', join(directory, 'settings.yml')],
      { stdio: 'ignore' },
    );
    const url = `http://127.0.0.1:${port}/v2/`;
    const serves = () =>
      fetch(url)
        .then((answer) => answer.ok)
        .catch(() => false);
    await until(serves, () => `${program} does not answer`);
    return new Registry(child, directory, port);
  }

  /** Its name for machines that reach this computer at `host`: by its digest. */
  push(image: string, host: string): string {
    const name = `127.0.0.1:${this.port}/skep:pushed`;
    docker('tag', image, name);
    try {
      const digest = /digest: (sha256:[0-9a-f]{64})/.exec(docker('push', name))?.[1];
      if (digest === undefined) throw new Error(`${image} was pushed without a digest`);
      return `${host}:${this.port}/skep@${digest}`;
    } finally {
      docker('rmi', name);
    }
  }

  async stop(): Promise<void> {
    const ended = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await ended;
    rmSync(this.#directory, { recursive: true, force: true });
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0);
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}
