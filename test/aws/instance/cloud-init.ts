/**
 * cloud-init's part: user data fetched by version 2 of the metadata service, then its files written and its commands run.
 * The document itself is held to cloud-init's own schema where it is rendered, in lambdas/ and infra/.
 * https://cloudinit.readthedocs.io/en/latest/reference/modules.html
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { parse } from 'yaml';

interface CloudConfig {
  readonly write_files?: readonly {
    readonly path: string;
    readonly permissions?: string;
    readonly content?: string;
  }[];
  /** A list is a program with its arguments, text is the shell's. */
  readonly runcmd?: readonly (string | readonly string[])[];
}

const tokenLifeSeconds = '300';

export async function runUserData(metadata: string): Promise<void> {
  const userData = await fetchUserData(metadata);
  if (userData === undefined) return;
  if (userData.startsWith('#cloud-config\n')) return apply(parse(userData) as CloudConfig);
  if (!userData.startsWith('#!')) throw new Error('the user data is neither a script nor #cloud-config');
  const script = '/var/lib/cloud-user-data';
  writeFileSync(script, userData, { mode: 0o700 });
  await run(script, []);
}

async function fetchUserData(metadata: string): Promise<string | undefined> {
  const token = await fetch(`${metadata}/latest/api/token`, {
    method: 'PUT',
    headers: { 'x-aws-ec2-metadata-token-ttl-seconds': tokenLifeSeconds },
  });
  const answer = await fetch(`${metadata}/latest/user-data`, {
    headers: { 'x-aws-ec2-metadata-token': await token.text() },
  });
  if (answer.status === 404) return undefined;
  if (!answer.ok) throw new Error(`the metadata service answered ${answer.status}`);
  return answer.text();
}

async function apply({ write_files: files = [], runcmd: commands = [] }: CloudConfig): Promise<void> {
  for (const { path, permissions = '0644', content = '' } of files) {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, content);
    chmodSync(path, Number.parseInt(permissions, 8));
  }
  for (const command of commands) {
    const [program, ...args] = typeof command === 'string' ? ['sh', '-c', command] : command;
    await run(program!, args);
  }
}

/** One that fails is said, and the next is run, as cloud-init does. */
async function run(program: string, args: readonly string[]): Promise<void> {
  const child = spawn(program, args, { stdio: ['ignore', 'inherit', 'inherit'] });
  const [status] = await Promise.race([
    once(child, 'exit'),
    once(child, 'error').then(([error]) => [(error as Error).message]),
  ]);
  if (status !== 0) console.log(`cloud-init: ${program} failed (${status})`);
}
