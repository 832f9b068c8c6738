/** Finds free loopback ports by binding them, TCP and UDP alike, outside the range that systems hand out themselves. */
import { createSocket } from 'node:dgram';
import { createServer } from 'node:net';
import { type Random, shuffle } from '@skep/p2p-core/host';

const lowest = 15_000;
const highest = 32_700;

/**
 * `count` distinct ports, none of them `taken` or in `used`, to which they are added. Undefined if they can't be
 * had; then `used` is as it was.
 */
export async function findFreePorts(
  random: Random,
  host: string,
  count: number,
  used: Set<number>,
  taken: ReadonlySet<number> = new Set(),
): Promise<number[] | undefined> {
  const candidates: number[] = [];
  for (let port = lowest; port < highest; port++) {
    if (!used.has(port) && !taken.has(port)) candidates.push(port);
  }
  const found: number[] = [];
  for (const port of shuffle(random, candidates)) {
    if (found.length === count) break;
    if (used.has(port)) continue;
    // Taken while it is tried, so that others who look meanwhile try others.
    used.add(port);
    if ((await isTcpFree(host, port)) && (await isUdpFree(host, port))) found.push(port);
    else used.delete(port);
  }
  if (found.length === count) return found;
  for (const port of found) used.delete(port);
  return undefined;
}

function isTcpFree(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen({ host, port, exclusive: true }, () => server.close(() => resolve(true)));
  });
}

function isUdpFree(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createSocket(host.includes(':') ? 'udp6' : 'udp4');
    socket.once('error', () => {
      socket.close();
      resolve(false);
    });
    socket.bind({ address: host, port, exclusive: true }, () => socket.close(() => resolve(true)));
  });
}
