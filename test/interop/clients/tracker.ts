/** The least tracker that serves: remembers who announced what, and tells each of the others (BEP 3, 23). */
import { createServer } from 'node:http';
import { isIPv4 } from 'node:net';

export async function startTracker(host: string): Promise<{ url: string; stop: () => Promise<void> }> {
  const swarms = new Map<string, Map<string, Buffer>>();
  const server = createServer((request, response) => {
    const query = request.url!.slice(request.url!.indexOf('?') + 1);
    const fields = new Map(query.split('&').map((pair) => pair.split('=', 2) as [string, string]));
    const infoHash = unescape(fields.get('info_hash') ?? '');
    const ip = request.socket.remoteAddress!.replace('::ffff:', '');
    const port = Number(fields.get('port'));
    const swarm = swarms.get(infoHash) ?? new Map<string, Buffer>();
    swarms.set(infoHash, swarm);
    const key = `${ip}:${port}`;
    if (fields.get('event') === 'stopped') swarm.delete(key);
    else if (isIPv4(ip)) swarm.set(key, Buffer.from([...ip.split('.').map(Number), port >> 8, port & 0xff]));
    const peers = Buffer.concat([...swarm].filter(([other]) => other !== key).map(([, compact]) => compact));
    const body = Buffer.concat([
      Buffer.from(`d8:intervali2e5:peers${peers.length}:`),
      peers,
      Buffer.from('e'),
    ]);
    response.end(body);
  });
  server.listen(0, host);
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address() as { port: number };
  const stop = () =>
    new Promise<void>((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
  return { url: `http://${host}:${port}/announce`, stop };
}
