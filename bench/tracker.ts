/** The least tracker that serves one torrent on loopback: tells each peer of the others (BEP 3, 23). */
import { createServer } from 'node:http';

export interface BenchTracker {
  readonly url: string;
  /** Resolves once a peer that has everything has announced itself. */
  readonly seedIsThere: Promise<void>;
  stop(): Promise<void>;
}

export async function startTracker(host: string): Promise<BenchTracker> {
  const peers = new Map<string, Buffer>();
  let onSeed = () => {};
  const seedIsThere = new Promise<void>((resolve) => {
    onSeed = resolve;
  });
  const server = createServer((request, response) => {
    const port = Number(/[?&]port=(\d+)/.exec(request.url ?? '')?.[1]);
    const ip = request.socket.remoteAddress ?? host;
    const key = `${ip}:${port}`;
    peers.set(key, Buffer.from([...ip.split('.').map(Number), port >> 8, port & 0xff]));
    const others = Buffer.concat([...peers].filter(([other]) => other !== key).map(([, compact]) => compact));
    const head = Buffer.from(`d8:intervali2e5:peers${others.length}:`);
    response.end(Buffer.concat([head, others, Buffer.from('e')]));
    if (/[?&]left=0(&|$)/.test(request.url ?? '')) onSeed();
  });
  server.listen(0, host);
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address() as { port: number };
  const stop = () =>
    new Promise<void>((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
  return { url: `http://${host}:${port}/announce`, seedIsThere, stop };
}
