#!/usr/bin/env node
/**
 * Docker's part on an instance that is a container itself, and has no engine: `pull` asks the registry for the image by its
 * digest, and takes it only if it is the one that this instance was made with; `run` runs that image's program right here,
 * as the image's user, with its environment, its mounts as links, without capabilities; `rm --force` kills it. What an
 * engine confines (file system, memory, processes) is not confined: the tests of the image do that with a real one.
 */
import { spawn, spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

interface ImageConfig {
  readonly Env: readonly string[];
  readonly User: string;
  readonly WorkingDir: string;
  readonly Entrypoint: readonly string[];
  readonly Cmd: readonly string[];
}

const state = '/run/emulated-docker';
const manifestType = 'application/vnd.docker.distribution.manifest.v2+json';

const [command, ...rest] = withoutConfig(process.argv.slice(2));
if (command === 'pull') await pull(rest.at(-1)!);
else if (command === 'run') await run(rest);
else if (command === 'rm') remove(rest.at(-1)!);
else fail(`docker ${command} has no stand-in here`);

function withoutConfig(args: string[]): string[] {
  return args[0] === '--config' ? args.slice(2) : args;
}

async function pull(reference: string): Promise<void> {
  const [name, digest] = reference.split('@');
  const [registry, ...repository] = name!.split('/');
  const login = JSON.parse(
    spawnSync('docker-credential-ecr-login', ['get'], { input: registry, encoding: 'utf8' }).stdout,
  );
  const fromRegistry = async (kind: string, of: string) => {
    const authorization = `Basic ${Buffer.from(`${login.Username}:${login.Secret}`).toString('base64')}`;
    const url = `${process.env.AWS_ENDPOINT_URL}/v2/${repository.join('/')}/${kind}/${of}`;
    const answer = await fetch(url, { headers: { authorization, accept: manifestType } });
    if (!answer.ok) return fail(`${reference}: the registry answered ${answer.status} for its ${kind}`);
    return answer.json() as Promise<unknown>;
  };
  const manifest = (await fromRegistry('manifests', digest!)) as { config: { digest: string } };
  const held = readFileSync('/opt/instance/product-image-id', 'utf8').trim();
  if (manifest.config.digest !== held) {
    fail(`${reference} is the image ${manifest.config.digest}, and this instance can run ${held} alone`);
  }
  const { config } = (await fromRegistry('blobs', held)) as { config: ImageConfig };
  mkdirSync(state, { recursive: true });
  writeFileSync(imageFile(reference), JSON.stringify(config));
  console.log(reference);
}

async function run(args: string[]): Promise<void> {
  const flag = { type: 'boolean' } as const;
  const one = { type: 'string' } as const;
  const many = { type: 'string', multiple: true } as const;
  const unconfined = { pull: one, network: one, tmpfs: many, ulimit: many, memory: one, 'pids-limit': one };
  const logging = { 'log-driver': one, 'log-opt': many };
  const confinement = { 'read-only': flag, 'cap-drop': many, 'security-opt': many };
  const at = args.findIndex((arg) => arg.includes('@sha256:'));
  const reference = args[at]!;
  const { values } = parseArgs({
    args: args.slice(0, at),
    options: {
      ...{ ...unconfined, ...logging, ...confinement },
      ...{ name: one, env: many, 'env-file': one, mount: many, user: one },
    },
  });
  const image = JSON.parse(readFileSync(imageFile(reference), 'utf8')) as ImageConfig;
  for (const mount of values.mount ?? []) link(mount);
  const command = args.slice(at + 1);
  const given = values['env-file'] === undefined ? [] : readFileSync(values['env-file'], 'utf8').split('\n');
  const environment = [...image.Env, ...given.filter(Boolean), ...(values.env ?? []), ...emulated()];
  const [uid, gid] = (values.user ?? image.User).split(':');
  const child = spawn(
    'setpriv',
    [
      ...['--reuid', uid!, '--regid', gid!, '--clear-groups', '--no-new-privs'],
      ...['--inh-caps=-all', '--bounding-set=-all', '--pdeathsig', 'KILL', '--'],
      ...[...image.Entrypoint, ...(command.length > 0 ? command : image.Cmd)],
    ],
    {
      cwd: image.WorkingDir,
      env: Object.fromEntries(environment.map(variable)),
      // A process group of its own, which `rm` kills whole.
      detached: true,
      stdio: ['ignore', 'inherit', 'inherit'],
    },
  );
  writeFileSync(pidFile(values.name!), String(child.pid));
  process.on('SIGTERM', () => child.kill('SIGTERM'));
  child.on('exit', (status, signal) => {
    rmSync(pidFile(values.name!), { force: true });
    process.exit(status ?? (signal === 'SIGKILL' ? 137 : 143));
  });
}

/**
 * Where the SDK finds AWS here; on AWS it knows. HOME is what Docker gives a user without a name, and the image's init
 * is told that it is not the first process.
 */
function emulated(): string[] {
  const endpoint = ['AWS_ENDPOINT_URL', 'AWS_REGION'].map((name) => `${name}=${process.env[name]}`);
  return [...endpoint, 'HOME=/', 'TINI_SUBREAPER=1'];
}

function variable(text: string): [string, string] {
  const at = text.indexOf('=');
  return [text.slice(0, at), text.slice(at + 1)];
}

function link(mount: string): void {
  const { source, target } = Object.fromEntries(mount.split(',').map(variable)) as Record<string, string>;
  rmSync(target!, { recursive: true, force: true });
  symlinkSync(source!, target!);
}

function remove(name: string): void {
  try {
    // Its program's init, and all that this started.
    process.kill(-Number(readFileSync(pidFile(name), 'utf8')), 'SIGKILL');
    rmSync(pidFile(name), { force: true });
  } catch {
    fail(`there is no container ${name}`);
  }
}

function imageFile(reference: string): string {
  return join(state, `${reference.split('@sha256:')[1]}.json`);
}

function pidFile(name: string): string {
  return join(state, `${name}.pid`);
}

function fail(sentence: string): never {
  console.error(sentence);
  process.exit(1);
}
