/**
 * The peers a torrent knows of: where they are, when to try them again, and whom never to. Pure.
 *
 * A failed connection doubles the wait before the next try. A peer that corrupted data is banned by peer
 * id, by address, and by host unless that is a loopback one, which many nodes of one machine share.
 */
import { formatAddress } from '../host/address.ts';
import type { Address } from '../host/host.ts';

const FIRST_RETRY_MS = 1_000;
const MAX_RETRY_MS = 5 * 60_000;
const MAX_KNOWN = 2_000;
const MAX_BANNED = 10_000;

interface Entry {
  readonly address: Address;
  failures: number;
  nextTryMs: number;
  isBusy: boolean;
  /** It was a seed when last seen: of no use to a seed. */
  isSeed: boolean;
  wasConnected: boolean;
}

export class PeerBook {
  readonly #entries = new Map<string, Entry>();
  readonly #banned = new Set<string>();

  get size(): number {
    return this.#entries.size;
  }

  /** Adds an address, if it is one that can be connected to. True if it is new. */
  add(address: Address): boolean {
    if (address.port < 1 || address.port > 65535 || this.isBanned(address)) return false;
    const key = formatAddress(address);
    if (this.#entries.has(key)) return false;
    if (this.#entries.size >= MAX_KNOWN && !this.#evict()) return false;
    this.#entries.set(key, {
      address,
      failures: 0,
      nextTryMs: 0,
      isBusy: false,
      isSeed: false,
      wasConnected: false,
    });
    return true;
  }

  /** Up to `count` addresses to try now, those that failed least first; each is busy until told otherwise. */
  take(count: number, isSeeding: boolean, nowMs: number): Address[] {
    if (count <= 0) return [];
    const ready = [...this.#entries.values()].filter(
      (entry) => !entry.isBusy && entry.nextTryMs <= nowMs && !(isSeeding && entry.isSeed),
    );
    const chosen = ready.sort((a, b) => a.failures - b.failures).slice(0, count);
    for (const entry of chosen) entry.isBusy = true;
    return chosen.map((entry) => entry.address);
  }

  /** A connection with the peer that listens there is up. */
  connected(address: Address): void {
    this.add(address);
    const entry = this.#entries.get(formatAddress(address));
    if (entry === undefined) return;
    entry.isBusy = true;
    entry.wasConnected = true;
  }

  /** The connection, or the try, has ended. `chance` in [0, 1) spreads retries, so that two peers do not stay in step. */
  ended(
    address: Address,
    outcome: { failed: boolean; isSeed: boolean },
    nowMs: number,
    chance: number,
  ): void {
    const entry = this.#entries.get(formatAddress(address));
    if (entry === undefined) return;
    entry.isBusy = false;
    entry.isSeed = outcome.isSeed;
    entry.failures = outcome.failed ? entry.failures + 1 : 0;
    const waitMs = Math.min(MAX_RETRY_MS, FIRST_RETRY_MS * 2 ** entry.failures);
    entry.nextTryMs = nowMs + waitMs * (0.5 + chance);
  }

  /** `peerIdHex` may be missing, `address` is where the peer listens. */
  ban(address: Address, peerIdHex: string | undefined): void {
    if (this.#banned.size >= MAX_BANNED) return;
    this.#banned.add(formatAddress(address));
    if (!isLoopback(address.host)) this.#banned.add(address.host);
    if (peerIdHex !== undefined) this.#banned.add(peerIdHex);
    this.#entries.delete(formatAddress(address));
  }

  /** That address is of no use, whoever else is on its host. */
  avoid(address: Address): void {
    if (this.#banned.size < MAX_BANNED) this.#banned.add(formatAddress(address));
    this.#entries.delete(formatAddress(address));
  }

  isBanned(address: Address, peerIdHex?: string): boolean {
    return (
      this.#banned.has(formatAddress(address)) ||
      this.#banned.has(address.host) ||
      (peerIdHex !== undefined && this.#banned.has(peerIdHex))
    );
  }

  /** Addresses worth going back to after a restart, those that were connected first. */
  worthKeeping(count: number): Address[] {
    return [...this.#entries.values()]
      .filter((entry) => entry.wasConnected || entry.failures < 3)
      .sort((a, b) => Number(b.wasConnected) - Number(a.wasConnected))
      .slice(0, count)
      .map((entry) => entry.address);
  }

  #evict(): boolean {
    let worst: [string, Entry] | undefined;
    for (const item of this.#entries) {
      const [, entry] = item;
      if (!entry.isBusy && (worst === undefined || entry.failures > worst[1].failures)) worst = item;
    }
    return worst !== undefined && this.#entries.delete(worst[0]);
  }
}

function isLoopback(host: string): boolean {
  return host.startsWith('127.') || host === '::1';
}
