/** A fetch-shaped HTTP server over node:http and node:https: bounded request bodies, streamed answers, an end to everything. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { formatAddress } from '../address.ts';
import type { Address, HttpHandler, HttpServer, HttpServerOptions } from '../host.ts';
import { listening, plainAddress } from './tcp.ts';

const DEFAULT_BODY_BYTES = 2 ** 20;
/** A body over the limit is read and forgotten for so much more, so that its sender gets to hear the answer. */
const DISCARD_BYTES = 16 * 2 ** 20;

/** Serves at `local`. What the handler throws is told to `report` and answered with status 500. */
export async function serveHttp(
  local: Address,
  handler: HttpHandler,
  report: (error: unknown) => void,
  { maxBodyBytes = DEFAULT_BODY_BYTES, tls }: HttpServerOptions = {},
): Promise<HttpServer> {
  const onRequest = (request: IncomingMessage, response: ServerResponse): void => {
    const serving = { handler, report, maxBodyBytes, scheme: tls === undefined ? 'http' : 'https' };
    answer(request, response, serving).catch((error: unknown) => {
      report(error);
      response.destroy();
    });
  };
  const server =
    tls === undefined
      ? createServer(onRequest)
      : createTlsServer({ key: tls.key, cert: tls.certificate, minVersion: 'TLSv1.3' }, onRequest);
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
  });
  await listening(server, local);
  server.on('error', report);
  server.on('clientError', refuseBytes);
  const { address, port } = server.address() as AddressInfo;
  let closed: Promise<void> | undefined;
  const close = (): Promise<void> => {
    closed ??= new Promise((resolve) => {
      server.close(() => resolve());
      // Those in the middle of a TLS handshake are not the server's connections yet.
      for (const socket of sockets) socket.destroy();
    });
    return closed;
  };
  return { local: plainAddress(address, port), close };
}

interface Serving {
  readonly handler: HttpHandler;
  readonly report: (error: unknown) => void;
  readonly maxBodyBytes: number;
  readonly scheme: string;
}

async function answer(
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  { handler, report, maxBodyBytes, scheme }: Serving,
): Promise<void> {
  const gone = new AbortController();
  outgoing.on('close', () => gone.abort());
  // A connection that breaks is an end like any other, told by 'close'.
  incoming.on('error', () => {});
  outgoing.on('error', () => {});
  const body = await readBody(incoming, maxBodyBytes);
  if (body === 'broken') return void outgoing.destroy();
  if (body === 'too-large')
    return sendProblem(outgoing, 413, `a request body has at most ${maxBodyBytes} bytes`);
  const request = makeRequest(incoming, scheme, body, gone.signal);
  if (request === undefined)
    return sendProblem(outgoing, 400, 'the request line or a header cannot be understood');
  const { remoteAddress, remotePort } = incoming.socket;
  let response: Response;
  try {
    response = await handler(request, plainAddress(remoteAddress ?? '0.0.0.0', remotePort ?? 0));
  } catch (error) {
    report(error);
    return sendProblem(outgoing, 500, 'the server failed at this request; its log says why');
  }
  await send(response, outgoing, incoming.method === 'HEAD', report);
}

/** All of a request's body. Over the limit nothing is kept. */
function readBody(
  incoming: IncomingMessage,
  maxBytes: number,
): Promise<Uint8Array<ArrayBuffer> | 'too-large' | 'broken'> {
  return new Promise((resolve) => {
    let chunks: Uint8Array[] = [];
    let length = 0;
    incoming.on('data', (chunk: Uint8Array) => {
      length += chunk.length;
      if (length <= maxBytes) chunks.push(chunk);
      else chunks = [];
      if (length > maxBytes + DISCARD_BYTES) resolve('broken');
    });
    incoming.on('end', () => resolve(length > maxBytes ? 'too-large' : Buffer.concat(chunks)));
    incoming.on('close', () => resolve('broken'));
  });
}

/** The request as the Web has it; undefined if its method, target or headers are not the Web's. */
function makeRequest(
  incoming: IncomingMessage,
  scheme: string,
  body: Uint8Array<ArrayBuffer>,
  signal: AbortSignal,
): Request | undefined {
  const { localAddress, localPort } = incoming.socket;
  const own = formatAddress(plainAddress(localAddress ?? '127.0.0.1', localPort ?? 80));
  const target = incoming.url ?? '/';
  try {
    const headers = new Headers();
    for (let at = 0; at + 1 < incoming.rawHeaders.length; at += 2)
      headers.append(incoming.rawHeaders[at]!, incoming.rawHeaders[at + 1]!);
    const url = target.startsWith('/')
      ? `${scheme}://${incoming.headers.host ?? own}${target}`
      : new URL(target).href;
    const method = incoming.method ?? 'GET';
    const bodiless = method === 'GET' || method === 'HEAD';
    return new Request(url, { method, headers, body: bodiless ? null : body, signal });
  } catch {
    return undefined;
  }
}

async function send(
  response: Response,
  outgoing: ServerResponse,
  head: boolean,
  report: (error: unknown) => void,
): Promise<void> {
  if (outgoing.destroyed || head || response.body === null) {
    await response.body?.cancel();
    if (!outgoing.destroyed) writeHead(response, outgoing).end();
    return;
  }
  const reader = response.body.getReader();
  // Until the body says its first word it may be long in coming; the headers do not wait for it.
  writeHead(response, outgoing).flushHeaders();
  const leave = (): void => void reader.cancel().catch(() => {});
  outgoing.on('close', leave);
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      if (!outgoing.write(value)) await drained(outgoing);
    }
    outgoing.off('close', leave);
    outgoing.end();
  } catch (error) {
    outgoing.off('close', leave);
    // The status is out already; a broken connection is the one way left to say that this is not all.
    report(error);
    outgoing.destroy();
  }
}

function writeHead(response: Response, outgoing: ServerResponse): ServerResponse {
  outgoing.statusCode = response.status;
  if (response.statusText !== '') outgoing.statusMessage = response.statusText;
  for (const [name, value] of response.headers)
    if (name === 'set-cookie') outgoing.appendHeader(name, value);
    else outgoing.setHeader(name, value);
  return outgoing;
}

/** The connection takes more, or is gone. */
function drained(outgoing: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    const go = (): void => {
      outgoing.off('drain', go);
      outgoing.off('close', go);
      resolve();
    };
    outgoing.on('drain', go);
    outgoing.on('close', go);
    if (outgoing.destroyed) go();
  });
}

/** What the server itself refuses, as RFC 9457 problem documents: status, code, title. */
const refusals = {
  400: ['bad-request', 'The request is malformed'],
  408: ['bad-request', 'The request did not come in time'],
  413: ['too-large', 'The request is too large'],
  431: ['too-large', 'The headers are too large'],
  500: ['internal', 'Internal error'],
} as const;

function problemText(status: keyof typeof refusals, detail: string): string {
  const [code, title] = refusals[status];
  return JSON.stringify({ type: 'about:blank', title, status, code, detail });
}

const problemHeaders = { 'content-type': 'application/problem+json', connection: 'close' };

function sendProblem(outgoing: ServerResponse, status: keyof typeof refusals, detail: string): void {
  outgoing.writeHead(status, problemHeaders);
  outgoing.end(problemText(status, detail));
}

/** Answers what is not HTTP, and ends the connection. */
function refuseBytes(error: Error & { code?: string }, socket: Duplex): void {
  if (!socket.writable || error.code === 'ECONNRESET') {
    socket.destroy();
    return;
  }
  const [status, detail] =
    error.code === 'HPE_HEADER_OVERFLOW'
      ? ([431, 'send fewer or shorter headers'] as const)
      : error.code === 'ERR_HTTP_REQUEST_TIMEOUT'
        ? ([408, 'send the whole request at once'] as const)
        : ([400, 'what was sent is not HTTP/1.1'] as const);
  const text = problemText(status, detail);
  const head = Object.entries(problemHeaders).map(([name, value]) => `${name}: ${value}\r\n`);
  socket.end(
    `HTTP/1.1 ${status} ${refusals[status][1]}\r\n${head.join('')}content-length: ${text.length}\r\n\r\n${text}`,
  );
}
