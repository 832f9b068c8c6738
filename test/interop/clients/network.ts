/**
 * A network of the tests' own: a network namespace that other people's clients run in, joined to ours by a
 * pair of virtual interfaces. Transmission takes no peers from 127.0.0.0/8, and no packet leaves the machine.
 * Where that can't be had (it takes root and iproute2), all is on loopback.
 */
import { execFileSync, spawnSync } from 'node:child_process';

export interface TestNetwork {
  /** Where our side listens. */
  readonly host: string;
  /** Where the clients listen. */
  readonly clientHost: string;
  /** Put before a client's command line, to run it on its side. */
  readonly enter: readonly string[];
  readonly isLoopback: boolean;
  close(): void;
}

const ip = (...args: string[]) =>
  execFileSync('ip', args, { stdio: ['ignore', 'pipe', 'ignore'], encoding: 'utf8' });

/** Also removes what test runs that were killed have left. */
export function openTestNetwork(): TestNetwork {
  if (process.getuid?.() !== 0 || spawnSync('ip', ['netns', 'list']).status !== 0) return loopback;
  for (const name of ip('netns', 'list').match(/skep-\d+/g) ?? []) {
    if (!isAlive(Number(name.slice('skep-'.length)))) ip('netns', 'del', name);
  }
  const name = `skep-${process.pid}`;
  const inside = `skep${process.pid}i`;
  // A /30 of 10.213.0.0/16 that is ours as long as our pid is.
  const subnet = `10.213.${(process.pid >> 6) & 255}`;
  const first = (process.pid & 63) * 4;
  const [host, clientHost] = [`${subnet}.${first + 1}`, `${subnet}.${first + 2}`];
  const within = (...args: string[]) => ip('-n', name, ...args);
  ip('netns', 'add', name);
  try {
    ip('link', 'add', `skep${process.pid}`, 'type', 'veth', 'peer', 'name', inside, 'netns', name);
    ip('address', 'add', `${host}/30`, 'dev', `skep${process.pid}`);
    ip('link', 'set', `skep${process.pid}`, 'up');
    within('address', 'add', `${clientHost}/30`, 'dev', inside);
    within('link', 'set', inside, 'up');
    within('link', 'set', 'lo', 'up');
  } catch {
    ip('netns', 'del', name);
    return loopback;
  }
  return {
    host,
    clientHost,
    enter: ['ip', 'netns', 'exec', name],
    isLoopback: false,
    close: () => ip('netns', 'del', name),
  };
}

const loopback: TestNetwork = {
  host: '127.0.0.1',
  clientHost: '127.0.0.1',
  enter: [],
  isLoopback: true,
  close: () => undefined,
};

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}
