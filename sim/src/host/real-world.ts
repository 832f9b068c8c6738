/**
 * Where the real world can be reached from JavaScript under Node: the functions that everything else goes
 * through. Not complete against malice; complete against what a line of Skep or of a library of its would do.
 */
import * as childProcess from 'node:child_process';
import * as crypto from 'node:crypto';
import * as dgram from 'node:dgram';
import * as dns from 'node:dns';
import * as fs from 'node:fs';
import * as http from 'node:http';
import * as https from 'node:https';
import * as net from 'node:net';
import * as os from 'node:os';
import * as timers from 'node:timers';
import * as timersPromises from 'node:timers/promises';
import * as workerThreads from 'node:worker_threads';
import * as zlib from 'node:zlib';

/** By name, or all functions whose name fits. */
export type Keys = readonly string[] | ((key: string) => boolean);

export interface Chokepoint {
  readonly owner: object;
  readonly keys: Keys;
  /** How its owner is called in messages; empty for globals. */
  readonly as: string;
  /** A class is trapped at its construction, and stays one. @default function */
  readonly make?: 'class';
}

/** The object that `require` gives, whose functions can be replaced; the namespace of an import cannot. */
const exportsOf = (module: object): object => (module as { default: object }).default;

const any = () => true;
const isAsynchronous = (key: string) => /^[a-z_]/.test(key) && !key.endsWith('Sync');
const isLookup = (key: string) => /^(lookup|resolve|reverse)/.test(key);
const isLocal = (key: string) => key.startsWith('toLocale') || key === 'localeCompare';
/** Of a date: what depends on the time zone. */
const isOfTheZone = (key: string) =>
  /^(get|set)(Date|Day|FullYear|Hours|Milliseconds|Minutes|Month|Seconds|TimezoneOffset|Year)$/.test(key) ||
  /^to(String|DateString|TimeString)$/.test(key) ||
  isLocal(key);

export function chokepoints(): readonly Chokepoint[] {
  return [
    // Time.
    { owner: globalThis, keys: ['setTimeout', 'setInterval', 'setImmediate'], as: '' },
    { owner: exportsOf(timers), keys: ['setTimeout', 'setInterval', 'setImmediate'], as: 'timers' },
    { owner: exportsOf(timersPromises), keys: any, as: 'timers/promises' },
    { owner: Object.getPrototypeOf(performance), keys: ['now'], as: 'performance' },
    { owner: process.hrtime, keys: ['bigint'], as: 'process.hrtime' },
    { owner: process, keys: ['hrtime', 'uptime'], as: 'process' },
    { owner: AbortSignal, keys: ['timeout'], as: 'AbortSignal' },
    // Chance, and cryptography on threads.
    { owner: Math, keys: ['random'], as: 'Math' },
    { owner: Crypto.prototype, keys: ['getRandomValues', 'randomUUID'], as: 'crypto' },
    { owner: SubtleCrypto.prototype, keys: any, as: 'crypto.subtle' },
    {
      owner: exportsOf(crypto),
      keys: (key) =>
        /^(random|generateKey|getRandomValues|generatePrime)/.test(key) || /^(pbkdf2|scrypt|hkdf)$/.test(key),
      as: 'crypto',
    },
    // Network.
    { owner: globalThis, keys: ['fetch'], as: '' },
    { owner: globalThis, keys: ['WebSocket', 'EventSource'], as: '', make: 'class' },
    { owner: net.Socket.prototype, keys: ['connect'], as: 'net.Socket' },
    { owner: net.Server.prototype, keys: ['listen'], as: 'net.Server' },
    { owner: dgram.Socket.prototype, keys: ['bind', 'connect', 'send'], as: 'dgram.Socket' },
    { owner: exportsOf(http), keys: ['request', 'get'], as: 'http' },
    { owner: exportsOf(https), keys: ['request', 'get'], as: 'https' },
    { owner: exportsOf(dns), keys: isLookup, as: 'dns' },
    { owner: dns.promises, keys: isLookup, as: 'dns.promises' },
    // Files, threads, processes: whatever comes back through the event loop.
    { owner: exportsOf(fs), keys: isAsynchronous, as: 'fs' },
    { owner: fs.promises, keys: any, as: 'fs.promises' },
    { owner: exportsOf(workerThreads), keys: ['Worker'], as: 'worker_threads', make: 'class' },
    { owner: globalThis, keys: ['Worker', 'MessageChannel', 'BroadcastChannel'], as: '', make: 'class' },
    { owner: exportsOf(childProcess), keys: (key) => /^(spawn|exec|fork)/.test(key), as: 'child_process' },
    { owner: exportsOf(zlib), keys: isAsynchronous, as: 'zlib' },
    { owner: globalThis, keys: ['CompressionStream', 'DecompressionStream'], as: '', make: 'class' },
    // The machine, and the place it stands in.
    { owner: exportsOf(os), keys: ['freemem', 'hostname', 'loadavg', 'uptime'], as: 'os' },
    { owner: Date.prototype, keys: isOfTheZone, as: 'Date' },
    { owner: String.prototype, keys: isLocal, as: 'String' },
    { owner: Number.prototype, keys: isLocal, as: 'Number' },
    { owner: BigInt.prototype, keys: isLocal, as: 'BigInt' },
    { owner: Array.prototype, keys: isLocal, as: 'Array' },
    { owner: Intl, keys: (key) => /^[A-Z]/.test(key), as: 'Intl', make: 'class' },
  ];
}
