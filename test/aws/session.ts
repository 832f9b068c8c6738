/**
 * A port on the loopback of an instance, on this machine's: what `AWS-StartPortForwardingSession` gives its user. Each
 * connection goes to whichever instance there is then, so that the session outlives the instance.
 */
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { sessionDoorPort } from './instance/session-door.ts';

export interface SessionOptions {
  /** Of the instance; undefined while there is none. */
  readonly address: () => string | undefined;
  /** On its loopback. */
  readonly port: number;
  /** @default any free one */
  readonly localPort?: number;
}

export interface Session {
  /** On 127.0.0.1. */
  readonly port: number;
  close(): Promise<void>;
}

const loopback = '127.0.0.1';

export async function openSession({ address, port, localPort = 0 }: SessionOptions): Promise<Session> {
  const sockets = new Set<Socket>();
  const server = createServer((client) => {
    const host = address();
    if (host === undefined) {
      client.destroy();
      return;
    }
    const door = connect(sessionDoorPort, host);
    for (const [socket, other] of [
      [client, door],
      [door, client],
    ] as const) {
      sockets.add(socket);
      socket.on('error', () => other.destroy());
      socket.on('close', () => {
        sockets.delete(socket);
        other.destroy();
      });
    }
    door.write(`${port}\n`);
    client.pipe(door).pipe(client);
  });
  server.listen(localPort, loopback);
  await once(server, 'listening');
  return {
    port: (server.address() as { port: number }).port,
    close: async () => {
      const closed = once(server, 'close');
      server.close();
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}
