/** HTTP between clients and MiniStack: what the front answers itself is taken out, all else goes through as it is. */
import { once } from 'node:events';
import { createServer, type IncomingMessage, request, type Server, type ServerResponse } from 'node:http';
import type { Builds } from './builds.ts';
import type { Ec2 } from './ec2.ts';
import type { ScalingGroups } from './scaling-groups.ts';

export interface ProxyOptions {
  /** Of MiniStack. */
  readonly upstream: string;
}

const codeBuild = 'CodeBuild_20161006';

export class MiniStackProxy {
  readonly #ec2: Ec2;
  readonly #builds: Builds;
  readonly #groups: ScalingGroups;
  readonly #upstream: URL;
  readonly #servers: Server[] = [];

  constructor(components: { ec2: Ec2; builds: Builds; groups: ScalingGroups }, { upstream }: ProxyOptions) {
    this.#ec2 = components.ec2;
    this.#builds = components.builds;
    this.#groups = components.groups;
    this.#upstream = new URL(upstream);
  }

  /** Listens at one more address. */
  async listen(host: string, port: number): Promise<void> {
    const server = createServer((incoming, outgoing) => {
      this.#handle(incoming, outgoing).catch(() => outgoing.destroy());
    });
    // Functions are waited for up to 15 minutes.
    server.requestTimeout = 0;
    server.listen(port, host);
    await once(server, 'listening');
    this.#servers.push(server);
  }

  async close(): Promise<void> {
    for (const server of this.#servers.splice(0)) {
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    }
  }

  async #handle(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    const service = serviceOf(incoming);
    if (service === 'ec2') {
      const form = await textOf(incoming);
      const answer = await this.#ec2.answer(form);
      if (answer === undefined) return this.#forward(incoming, outgoing, form);
      outgoing.writeHead(answer.status, { 'content-type': 'text/xml;charset=UTF-8' }).end(answer.body);
      return;
    }
    if (service === 'autoscaling') {
      return this.#corrected(incoming, outgoing, (_, answer) => this.#groups.corrected(answer));
    }
    const target = incoming.headers['x-amz-target'];
    if (target === `${codeBuild}.StartBuild`) {
      return this.#corrected(incoming, outgoing, (asked, answer) =>
        JSON.stringify(this.#builds.started(JSON.parse(asked), JSON.parse(answer))),
      );
    }
    if (target === `${codeBuild}.BatchGetBuilds`) {
      return this.#corrected(incoming, outgoing, (_, answer) =>
        JSON.stringify(this.#builds.got(JSON.parse(answer))),
      );
    }
    return this.#forward(incoming, outgoing);
  }

  async #corrected(
    incoming: IncomingMessage,
    outgoing: ServerResponse,
    correct: (asked: string, answer: string) => string,
  ): Promise<void> {
    const asked = await textOf(incoming);
    const answer = await this.#ask(incoming, asked);
    const body = await textOf(answer);
    const corrected = answer.statusCode === 200 ? correct(asked, body) : body;
    const { 'content-length': _, ...headers } = answer.headers;
    outgoing.writeHead(answer.statusCode!, headers).end(corrected);
  }

  async #forward(incoming: IncomingMessage, outgoing: ServerResponse, body?: string): Promise<void> {
    const answer = await this.#ask(incoming, body);
    outgoing.writeHead(answer.statusCode!, answer.statusMessage, answer.headers);
    answer.pipe(outgoing);
  }

  /** With the request's own body, unless that was read already. */
  async #ask(incoming: IncomingMessage, body?: string): Promise<IncomingMessage> {
    const asking = request({
      host: this.#upstream.hostname,
      port: this.#upstream.port,
      method: incoming.method,
      path: incoming.url,
      headers: incoming.headers,
    });
    incoming.on('close', () => {
      if (!incoming.complete) asking.destroy();
    });
    if (body === undefined) incoming.pipe(asking);
    else asking.end(body);
    const [answer] = (await once(asking, 'response')) as [IncomingMessage];
    return answer;
  }
}

/** By whose key the request is signed. */
function serviceOf({ headers }: IncomingMessage): string | undefined {
  return /Credential=[^/]+\/\d+\/[^/]+\/([^/]+)\/aws4_request/.exec(headers.authorization ?? '')?.[1];
}

async function textOf(stream: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString('utf8');
}
