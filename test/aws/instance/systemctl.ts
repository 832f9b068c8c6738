#!/usr/bin/env node
/**
 * systemd's part on an instance that is a container: services are run from their unit files, started again or followed by
 * the instance's end as those say, and print to the console. Timers are taken and not run. What else is asked for is
 * done already, for nothing here was started at boot.
 * https://www.freedesktop.org/software/systemd/man/latest/systemd.service.html (`Restart=`), systemd.unit (`SuccessAction=`)
 */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, openSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

interface Unit {
  readonly ExecStart: string;
  readonly Restart?: string;
  /** Seconds. */
  readonly RestartSec?: string;
  readonly SuccessAction?: string;
  readonly FailureAction?: string;
}

const console = '/proc/1/fd/1';
const supervise = '--supervise';

const [verb, ...rest] = process.argv.slice(2);
const names = rest.filter((word) => !word.startsWith('--'));
if (verb === supervise) await run(readUnit(names[0]!));
else if (verb === 'cat') process.exit(names.every((name) => existsSync(fileOf(name))) ? 0 : 1);
else if (verb === 'start') for (const name of names) start(name);
else if (!['daemon-reload', 'enable', 'mask'].includes(verb ?? '')) {
  process.stderr.write(`systemctl ${verb} has no stand-in here\n`);
  process.exit(1);
}

function start(name: string): void {
  if (!name.endsWith('.service') || !existsSync(fileOf(name))) return;
  const output = openSync(console, 'a');
  spawn(process.execPath, [import.meta.filename, supervise, name], {
    detached: true,
    stdio: ['ignore', output, output],
  }).unref();
}

async function run(unit: Unit): Promise<void> {
  const { ExecStart, Restart, RestartSec = '0.1', SuccessAction, FailureAction } = unit;
  for (;;) {
    const [status] = await once(spawn(ExecStart, { stdio: ['ignore', 'inherit', 'inherit'] }), 'exit');
    if (Restart === 'always') {
      await sleep(Number(RestartSec) * 1_000);
      continue;
    }
    if ((status === 0 ? SuccessAction : FailureAction) === 'poweroff') spawnSync('poweroff');
    return;
  }
}

function readUnit(name: string): Unit {
  const settings = [...readFileSync(fileOf(name), 'utf8').matchAll(/^(\w+)=(.*)$/gm)];
  return Object.fromEntries(settings.map(([, key, value]) => [key, value])) as unknown as Unit;
}

function fileOf(name: string): string {
  return `/etc/systemd/system/${name}`;
}
