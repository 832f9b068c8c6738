/** NodeHost's https, with the certificates that control APIs have. Node has one list of those trusted: each file its own process. */
import { once } from 'node:events';
import { connect } from 'node:net';
import type { HttpServer, ServerIdentity } from '@skep/p2p-core/host';
import { createNodeHost } from '@skep/p2p-core/host/node';
import { afterAll, expect, it } from 'vitest';
import { serverIdentity } from '../control-api/src/main/certificate.ts';

const loopback = '127.0.0.1';
const known = serverIdentity(new Uint8Array(32).fill(1), loopback);
const stranger = serverIdentity(new Uint8Array(32).fill(2), loopback);
const elsewhere = serverIdentity(new Uint8Array(32).fill(3), 'control-api.bees.skep.internal');
const host = createNodeHost({ trustedCertificates: [known.certificate, elsewhere.certificate] });

afterAll(() => host.close());

const serve = (tls?: ServerIdentity): Promise<HttpServer> =>
  host.http.serve({ host: loopback, port: 0 }, (request) => new Response(request.url), tls && { tls });
const ask = (server: HttpServer, scheme: 'http' | 'https') =>
  host.http.fetch(`${scheme}://${loopback}:${server.local.port}/where`);

it('is answered by a server whose certificate is trusted', async () => {
  const server = await serve(known);
  const answer = await ask(server, 'https');
  expect(await answer.text()).toBe(`https://${loopback}:${server.local.port}/where`);
});

it.each([
  ['has a certificate of its own', stranger, 'https', 'untrusted', /not among those trusted/],
  ['has the certificate of another name', elsewhere, 'https', 'untrusted', /for another name/],
  ['does not speak TLS', undefined, 'https', 'refused', /does not speak TLS/],
  ['speaks TLS only', known, 'http', 'reset', /dropped the connection/],
] as const)('asks no server that %s', async (_, tls, scheme, code, message) => {
  const server = await serve(tls);
  const error = await ask(server, scheme).catch((reason: unknown) => reason);
  expect(error).toMatchObject({ code, message: expect.stringMatching(message) });
  // A server that refuses one goes on with others.
  if (tls === known) expect((await ask(server, 'https')).status).toBe(200);
});

it('ends a handshake under way when it is closed', async () => {
  const server = await serve(known);
  const socket = connect(server.local.port, loopback);
  await once(socket, 'connect');
  const ended = once(socket, 'close');
  socket.on('error', () => undefined);
  await server.close();
  await ended;
});
