/** The guard: whatever reaches for the real world fails the run, by whichever way it came. */
import { spawn } from 'node:child_process';
import { pbkdf2, randomBytes, randomInt, randomUUID, subtle } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { lookup } from 'node:dns';
import { lookup as lookupSoon } from 'node:dns/promises';
import { readFile, stat } from 'node:fs';
import { readFile as readFileSoon } from 'node:fs/promises';
import { createServer as createHttpServer, get } from 'node:http';
import { connect, createServer } from 'node:net';
import { hostname } from 'node:os';
import { setTimeout as setTimeoutOfTimers } from 'node:timers';
import { setTimeout as waitSoon } from 'node:timers/promises';
import { promisify } from 'node:util';
import { Worker } from 'node:worker_threads';
import { createGzip, gzip } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { SimWorld } from './sim-world.ts';

const bytes = new Uint8Array(8);
const nothing = () => undefined;

const reaches: Record<string, () => unknown> = {
  'Date.now': () => Date.now(),
  'new Date()': () => new Date(),
  'Date()': () => Date(),
  'performance.now': () => performance.now(),
  'process.hrtime': () => process.hrtime(),
  'process.hrtime.bigint': () => process.hrtime.bigint(),
  setTimeout: () => setTimeout(nothing, 0),
  setInterval: () => setInterval(nothing, 1),
  setImmediate: () => setImmediate(nothing),
  'timers.setTimeout': () => setTimeoutOfTimers(nothing, 0),
  'timers/promises.setTimeout': () => waitSoon(0),
  'AbortSignal.timeout': () => AbortSignal.timeout(1),
  'Math.random': () => Math.random(),
  'crypto.getRandomValues': () => crypto.getRandomValues(bytes),
  'crypto.randomUUID': () => crypto.randomUUID(),
  'crypto.randomBytes': () => randomBytes(8),
  'crypto.randomInt': () => randomInt(8),
  'node:crypto randomUUID': () => randomUUID(),
  'crypto.pbkdf2': () => pbkdf2('a', 'b', 1, 8, 'sha256', nothing),
  'crypto.subtle.digest': () => crypto.subtle.digest('SHA-256', bytes),
  'crypto.subtle.generateKey': () => subtle.generateKey({ name: 'AES-GCM', length: 128 }, true, ['encrypt']),
  fetch: () => fetch('http://127.0.0.1:1/'),
  WebSocket: () => new WebSocket('ws://127.0.0.1:1/'),
  'net.Socket.connect': () => connect({ host: '127.0.0.1', port: 1 }),
  'net.Server.listen': () => createServer().listen(0),
  'the server of http': () => createHttpServer().listen(0),
  'http.get': () => get('http://127.0.0.1:1/'),
  'dgram.Socket.bind': () => createSocket('udp4').bind(0),
  'dgram.Socket.send': () => createSocket('udp4').send('x', 1, '127.0.0.1'),
  'dns.lookup': () => lookup('localhost', nothing),
  'dns.promises.lookup': () => lookupSoon('localhost'),
  'fs.readFile': () => readFile('/', nothing),
  'fs.stat': () => stat('/', nothing),
  'fs.promises.readFile': () => readFileSoon('/'),
  'worker_threads.Worker': () => new Worker('', { eval: true }),
  MessageChannel: () => new MessageChannel(),
  'child_process.spawn': () => spawn('true'),
  'zlib.gzip': () => gzip('x', nothing),
  'zlib.createGzip': () => createGzip(),
  CompressionStream: () => new CompressionStream('gzip'),
  'os.hostname': () => hostname(),
  'String.localeCompare': () => ['b', 'a'].sort((one, other) => one.localeCompare(other)),
  'String.toLocaleUpperCase': () => 'i'.toLocaleUpperCase(),
  'Number.toLocaleString': () => (1_234.5).toLocaleString(),
  'Date.toLocaleString': () => new Date(0).toLocaleString(),
  'Date.getHours': () => new Date(0).getHours(),
  'Date.toString': () => String(new Date(0)),
  'new Date() of local time': () => new Date(2026, 1, 1),
  'Intl.Collator': () => new Intl.Collator(),
  'Intl.DateTimeFormat': () => Intl.DateTimeFormat(),
};

const allowed: Record<string, () => unknown> = {
  'a date that is given': () => new Date(5).toISOString(),
  'a date that names its zone': () => Date.parse('2026-01-01T00:00:00Z'),
  queueMicrotask: () => queueMicrotask(nothing),
  'sorting by code units': () => ['b', 'a'].sort(),
  'hashing at once': () => structuredClone({ a: 1 }),
};

async function within(reach: () => unknown): Promise<void> {
  const world = new SimWorld({ seed: 1 });
  world.createHost({ address: '10.0.0.1' }).clock.setTimer(1, () => {
    // Libraries swallow what is thrown at them; the run fails all the same.
    try {
      void Promise.resolve(reach()).catch(nothing);
    } catch {}
  });
  await world.run();
}

describe('the guard', () => {
  test.each(Object.entries(reaches))('%s fails the run', async (_name, reach) => {
    await expect(within(reach)).rejects.toMatchObject({ code: 'real-world-access' });
  });

  test.each(Object.entries(allowed))('%s is let through', async (_name, reach) => {
    await within(reach);
  });

  test('code that goes on after an await is guarded too', async () => {
    const world = new SimWorld({ seed: 1 });
    const { clock } = world.createHost({ address: '10.0.0.1' });
    void new Promise<void>((resolve) => clock.setTimer(1, resolve)).then(() => Math.random()).catch(nothing);
    await expect(world.run()).rejects.toThrow('Math.random');
  });

  test('outside of a run all is as it was', async () => {
    await expect(within(() => Date.now())).rejects.toThrow();
    expect(Date.now()).toBeGreaterThan(0);
    expect(new Date()).toBeInstanceOf(Date);
    expect(new Date(2026, 1, 1).getFullYear()).toBe(2026);
    expect('a'.localeCompare('b')).toBe(-1);
    expect(process.hrtime.bigint()).toBeGreaterThan(0n);
    expect(new Intl.NumberFormat('en').format(1)).toBe('1');
    expect(await crypto.subtle.digest('SHA-256', bytes)).toBeInstanceOf(ArrayBuffer);
    expect(await promisify(setTimeout)(0, 'later')).toBe('later');
    expect((await readFileSoon(import.meta.filename)).length).toBeGreaterThan(0);
  });
});
