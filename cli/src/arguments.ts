/** Strict parsers of option values, in the form commander wants them. Each refuses with a sentence. */
import { isAbsolute, resolve } from 'node:path';
import type { Address } from '@skep/p2p-core/host';
import { parseAddress } from '@skep/p2p-core/host';
import { InvalidArgumentError } from 'commander';

const suffixes: Record<string, number> = { '': 1, K: 1024, M: 1024 ** 2, G: 1024 ** 3, T: 1024 ** 4 };

/** `512`, `64K`, `1.5M`, `2G`: bytes, suffixes are powers of 1024. */
export function parseSize(text: string): number {
  const match = /^(\d{1,15}(?:\.\d{1,6})?)([KMGT]?)$/i.exec(text);
  if (match === null) throw new InvalidArgumentError('Write bytes as in 512, 64K, 1.5M or 2G.');
  const bytes = Math.round(Number(match[1]) * (suffixes[match[2]?.toUpperCase() ?? ''] ?? 1));
  if (!Number.isSafeInteger(bytes)) throw new InvalidArgumentError('That is too large.');
  return bytes;
}

/** A rate in bytes a second, written as a size; 0 is unlimited. */
export function parseRate(text: string): number {
  const rate = parseSize(text);
  if (rate !== 0 && rate < 1024) {
    throw new InvalidArgumentError('The least limit is 1K (bytes a second); 0 is unlimited.');
  }
  return rate;
}

/** A whole number within bounds, written in decimal digits only. */
export function parseWhole(least: number, most: number): (text: string) => number {
  return (text) => {
    const value = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
    if (!(value >= least && value <= most)) {
      throw new InvalidArgumentError(`Give a whole number from ${least} to ${most}.`);
    }
    return value;
  };
}

export const parsePort = parseWhole(0, 65_535);

const hourUnits: Record<string, number> = { m: 1 / 60, h: 1, d: 24 };

/** `30m`, `8h`, `2d`: hours, from 10 minutes to 30 days. */
export function parseTimeToLive(text: string): number {
  const match = /^(\d{1,5}(?:\.\d{1,2})?)([mhd])$/.exec(text);
  const hours = match === null ? Number.NaN : Number(match[1]) * (hourUnits[match[2] ?? ''] ?? Number.NaN);
  if (!(hours >= 1 / 6 && hours <= 720)) {
    throw new InvalidArgumentError('Write a time as in 30m, 8h or 2d, from 10m to 30d.');
  }
  return hours;
}

/** `HOST:PORT`; the host may be a name, which is resolved later. */
export interface HostAndPort {
  readonly host: string;
  readonly port: number;
}

/** `127.0.0.1:6881`, `[::1]:6881`, `router.example:6881`. */
export function parseHostAndPort(text: string): HostAndPort {
  const literal: Address | undefined = parseAddress(text);
  if (literal !== undefined && literal.port > 0) return literal;
  const match = /^([a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?):(\d{1,5})$/i.exec(text);
  const port = Number(match?.[2]);
  const host = match?.[1] ?? '';
  if (match === null || !(port >= 1 && port <= 65_535) || /^[\d.]+$/.test(host)) {
    throw new InvalidArgumentError('Write it as HOST:PORT, for instance 127.0.0.1:6881 or [::1]:6881.');
  }
  return { host, port };
}

/** For options that may be given more than once. */
export function collected<T>(parse: (text: string) => T): (text: string, previous?: readonly T[]) => T[] {
  return (text, previous = []) => [...previous, parse(text)];
}

/** An HTTP(S) URL of a tracker or an API. */
export function parseHttpUrl(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || (url.protocol !== 'http:' && url.protocol !== 'https:')) {
    throw new InvalidArgumentError('Give an http:// or https:// URL.');
  }
  return text.replace(/\/+$/, '');
}

/** Trackers keep their URL exactly as written: a slash at its end can matter. */
export function parseTracker(text: string): string {
  parseHttpUrl(text);
  return text;
}

/** An absolute path, by the directory the command was run in. */
export function absolutePath(text: string): string {
  if (text === '' || text.includes('\0')) throw new InvalidArgumentError('Give a path.');
  return isAbsolute(text) ? text : resolve(text);
}

/** A piece length: a power of two from 16K to 16M. */
export function parsePieceLength(text: string): number {
  const length = parseSize(text);
  if (length < 16_384 || length > 16_777_216 || (length & (length - 1)) !== 0) {
    throw new InvalidArgumentError('Give a power of two from 16K to 16M.');
  }
  return length;
}
