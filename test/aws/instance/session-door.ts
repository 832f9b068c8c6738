/**
 * The part of Session Manager's agent in forwarding a port: who connects names a port of this instance in a first line,
 * and is connected with it on the loopback. Only this machine reaches the network that instances are in.
 * https://docs.aws.amazon.com/systems-manager/latest/userguide/session-manager-working-with-sessions-start.html
 */
import { once } from 'node:events';
import { connect, createServer } from 'node:net';

export const sessionDoorPort = 1022;
const loopback = '127.0.0.1';

export async function openSessionDoor(): Promise<void> {
  const server = createServer((client) => {
    client.on('error', () => client.destroy());
    client.once('data', (first) => {
      const end = first.indexOf('\n');
      const service = connect(Number(first.subarray(0, end).toString()), loopback);
      service.on('error', () => client.destroy());
      client.on('error', () => service.destroy());
      service.write(first.subarray(end + 1));
      client.pipe(service).pipe(client);
    });
  });
  server.listen(sessionDoorPort);
  await once(server, 'listening');
}
