/** Finds free loopback ports by binding them, TCP and UDP alike, outside the range that systems hand out themselves. */
import { createSocket } from 'node:dgram';
import { createServer } from 'node:net';
import { type Random, randomInt } from '@skep/p2p-core/host';

const lowest = 15_000;
const highest = 32_700;
const mostTries = 5_000;

/** `count` distinct ports, none of them in `used`, to which those found are added. Undefined if they can't be had. */
export async function findFreePorts(
  random: Random,
  host: string,
  count: number,
  used: Set<number>,
): Promise<number[] | undefined> {
  const found: number[] = [];
  for (let tries = 0; tries < mostTries && found.length < count; tries++) {
    const port = lowest + randomInt(random, highest - lowest);
    if (used.has(port)) continue;
    used.add(port);
    if ((await isTcpFree(host, port)) && (await isUdpFree(host, port))) found.push(port);
  }
  return found.length === count ? found : undefined;
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
