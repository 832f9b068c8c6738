/** Real peers on the laboratory's machines: how a swarm of them is run, and how long each of its leeches took. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Lab } from './lab.ts';

/**
 * By default libtorrent asks a seed for 3 s ahead, before it knows what others will bring; in so small a swarm
 * the seed then sends much of it twice. With 1 s it asks for about as much as Skep does.
 */
export type Client = 'skep' | 'libtorrent' | 'libtorrent-1s';

export interface Swarm {
  /** Machine 0 seeds, the others leech. */
  readonly clients: readonly Client[];
  /** Below it each machine has a directory of its number; the seed's holds the content. */
  readonly directory: string;
  readonly torrentPath: string;
}

// Debian's Python has the module, whatever other Python comes first.
const libtorrent = ['/usr/bin/python3', join(import.meta.dirname, 'libtorrent_peer.py')];

const programs: Record<Client, readonly string[]> = {
  skep: [process.execPath, join(import.meta.dirname, 'skep_peer.ts')],
  libtorrent: [...libtorrent, '3'],
  'libtorrent-1s': [...libtorrent, '1'],
};

interface Peer {
  readonly child: ChildProcess;
  readonly lines: AsyncIterator<string>;
}

/** Seconds from the start, at one moment for all, to the last verified piece, for each leech. */
export async function runSwarm(lab: Lab, { clients, directory, torrentPath }: Swarm): Promise<number[]> {
  const peers: Peer[] = clients.map((client, machine) => {
    const itsDirectory = join(directory, String(machine));
    mkdirSync(itsDirectory, { recursive: true });
    // Each connects to those before it: one connection a pair.
    const others = Array.from({ length: machine }, (_, other) => lab.addressOf(other));
    const [program, ...args] = [
      ...lab.enter(machine),
      ...programs[client],
      torrentPath,
      itsDirectory,
      lab.addressOf(machine),
      ...others,
    ] as [string, ...string[]];
    const child = spawn(program, args, { stdio: ['pipe', 'pipe', 'inherit'] });
    return { child, lines: createInterface(child.stdout!)[Symbol.asyncIterator]() };
  });
  try {
    for (const { lines } of peers) await expectLine(lines, /^ready$/);
    for (const { child } of peers) child.stdin!.write('begin\n');
    const seconds: number[] = [];
    for (const { lines } of peers) seconds.push(Number((await expectLine(lines, /^complete ([\d.]+)$/))[1]));
    return seconds.slice(1);
  } finally {
    for (const { child } of peers) {
      child.stdin!.end();
      if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
    }
  }
}

async function expectLine(lines: AsyncIterator<string>, pattern: RegExp): Promise<RegExpExecArray> {
  const { value, done } = await lines.next();
  const match = done === true ? null : pattern.exec(value);
  if (match === null) throw new Error(`a peer said ${JSON.stringify(value)} where ${pattern} was expected`);
  return match;
}
