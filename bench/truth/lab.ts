/**
 * A laboratory of network namespaces: each machine has a link of its own to a router, shaped both ways by
 * `tbf`, and all that crosses the router is delayed by a small relay (this takes root, iproute2 and python3).
 * Packets go nowhere else.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';

export interface LabOptions {
  readonly machines: number;
  readonly upBytesPerSecond: (machine: number) => number;
  readonly downBytesPerSecond: (machine: number) => number;
  /** One way, between any two machines. */
  readonly delayMs: number;
}

export interface Lab {
  addressOf(machine: number): string;
  /** Put before a command line, to run it on that machine. */
  enter(machine: number): readonly string[];
  close(): Promise<void>;
}

/** As a home router has: some packets, and not a second's worth. */
const queueMs = 100;
const delayed = 'delayed';

export async function openLab(options: LabOptions): Promise<Lab> {
  const router = `skeplab-${process.pid}`;
  const nameOf = (machine: number) => `${router}-${machine}`;
  const addressOf = (machine: number) => `10.214.${machine}.2`;
  const made: string[] = [];
  let relay: ChildProcess | undefined;
  const close = async () => {
    if (relay !== undefined && relay.exitCode === null) {
      relay.stdin!.end();
      await once(relay, 'exit');
    }
    for (const name of made) ip('netns', 'del', name);
  };
  try {
    ip('netns', 'add', router);
    made.push(router);
    const within = (...args: string[]) => ip('-n', router, ...args);
    ip('netns', 'exec', router, 'sysctl', '-qw', 'net.ipv4.ip_forward=1', 'net.ipv4.conf.all.rp_filter=0');
    relay = spawn(
      'ip',
      [
        'netns',
        'exec',
        router,
        'python3',
        join(import.meta.dirname, 'delay_relay.py'),
        delayed,
        String(options.delayMs),
      ],
      { stdio: ['pipe', 'pipe', 'inherit'] },
    );
    await once(relay.stdout!, 'data');
    within('link', 'set', delayed, 'mtu', '1500', 'txqueuelen', '10000', 'up');
    within('route', 'add', 'default', 'dev', delayed, 'table', '100');
    for (let machine = 0; machine < options.machines; machine++) {
      const name = nameOf(machine);
      ip('netns', 'add', name);
      made.push(name);
      const port = `to${machine}`;
      within('link', 'add', 'name', port, 'type', 'veth', 'peer', 'name', 'uplink', 'netns', name);
      within('address', 'add', `10.214.${machine}.1/30`, 'dev', port);
      within('link', 'set', port, 'up');
      within('rule', 'add', 'iif', port, 'lookup', '100');
      const inside = (...args: string[]) => ip('-n', name, ...args);
      inside('address', 'add', `${addressOf(machine)}/30`, 'dev', 'uplink');
      inside('link', 'set', 'uplink', 'up');
      inside('link', 'set', 'lo', 'up');
      inside('route', 'add', 'default', 'via', `10.214.${machine}.1`, 'congctl', 'cubic');
      shape(name, 'uplink', options.upBytesPerSecond(machine));
      shape(router, port, options.downBytesPerSecond(machine));
    }
  } catch (error) {
    await close();
    throw error;
  }
  return { addressOf, enter: (machine) => ['ip', 'netns', 'exec', nameOf(machine)], close };
}

function shape(namespace: string, device: string, bytesPerSecond: number): void {
  if (bytesPerSecond === Number.POSITIVE_INFINITY) return;
  const rate = `${Math.round(bytesPerSecond * 8)}bit`;
  run('tc', [
    '-n',
    namespace,
    'qdisc',
    'add',
    'dev',
    device,
    'root',
    'tbf',
    'rate',
    rate,
    'burst',
    '16kb',
    'latency',
    `${queueMs}ms`,
  ]);
}

function ip(...args: string[]): void {
  run('ip', args);
}

function run(program: string, args: readonly string[]): void {
  execFileSync(program, args, { stdio: ['ignore', 'ignore', 'inherit'] });
}
