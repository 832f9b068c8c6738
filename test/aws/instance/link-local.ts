/** Link-local services of an instance: what comes to their addresses goes to the front, and its answers come back. */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { connect, createServer } from 'node:net';

export interface Endpoint {
  readonly address: string;
  readonly port: number;
}

const answerWithinMs = 10_000;

export async function forwardStreams(from: Endpoint, to: Endpoint): Promise<void> {
  const server = createServer((client) => {
    const front = connect(to.port, to.address);
    client.on('error', () => front.destroy());
    front.on('error', () => client.destroy());
    client.pipe(front).pipe(client);
  });
  server.listen(from.port, from.address);
  await once(server, 'listening');
}

/** One socket a question, so that each answer finds its way. */
export async function forwardDatagrams(from: Endpoint, to: Endpoint): Promise<void> {
  const service = createSocket('udp4');
  service.on('message', (question, asker) => {
    const front = createSocket('udp4');
    const timer = setTimeout(() => front.close(), answerWithinMs);
    front.on('message', (answer) => {
      service.send(answer, asker.port, asker.address);
      clearTimeout(timer);
      front.close();
    });
    front.send(question, to.port, to.address);
  });
  service.bind(from.port, from.address);
  await once(service, 'listening');
}
