/**
 * Keeps one torrent announced at its trackers: AnnounceSchedule decides, this makes the requests over the Host and
 * hands on the peers that come back.
 */
import { toHex } from '../../bytes.ts';
import type { Address, Host, Timer } from '../../host/host.ts';
import { type Announce, AnnounceSchedule, type AnnounceScheduleOptions } from './announce-schedule.ts';
import { type AnnounceResponse, announce, isHttpTracker, TrackerError } from './http-tracker.ts';

export interface TransferCounts {
  readonly uploadedBytes: number;
  readonly downloadedBytes: number;
  readonly leftBytes: number;
}

export interface TrackerAnnouncerOptions {
  /** 20 bytes. */
  readonly infoHash: Uint8Array;
  /** 20 bytes. */
  readonly peerId: Uint8Array;
  /** Where this peer accepts connections. */
  readonly port: number;
  /** Tiers of URLs (BEP 12); those of other schemes than http and https are left out. */
  readonly trackers: readonly (readonly string[])[];
  /** Read at each announce. */
  readonly counts: () => TransferCounts;
  /** Peers that a tracker sent, this one possibly among them. */
  readonly onPeers: (peers: readonly Address[], trackerUrl: string) => void;
  /** The outcome of each announce, for logs and status. */
  readonly onOutcome?: (trackerUrl: string, outcome: AnnounceResponse | TrackerError) => void;
  readonly peersWanted?: number;
  readonly timeoutMs?: number;
  readonly schedule?: AnnounceScheduleOptions;
}

const DEFAULT_PEERS_WANTED = 80;
const DEFAULT_TIMEOUT_MS = 20_000;
/** Leaving is not worth waiting long for. */
const STOP_TIMEOUT_MS = 3000;

export class TrackerAnnouncer {
  readonly #host: Pick<Host, 'http' | 'clock'>;
  readonly #options: TrackerAnnouncerOptions;
  readonly #schedule: AnnounceSchedule;
  readonly #key: string;
  readonly #trackerIds = new Map<string, Uint8Array>();
  readonly #abort = new AbortController();
  #timer: Timer | undefined;
  #stopped: Promise<void> | undefined;

  /** Announces `started` soon after it is made. */
  constructor(host: Pick<Host, 'http' | 'clock' | 'random'>, options: TrackerAnnouncerOptions) {
    this.#host = host;
    this.#options = options;
    this.#key = toHex(host.random.bytes(4));
    const tiers = options.trackers
      .map((tier) => tier.filter(isHttpTracker))
      .filter((tier) => tier.length > 0);
    this.#schedule = new AnnounceSchedule(host, tiers, host.clock.now(), options.schedule);
    this.#arm();
  }

  /** The download became complete. */
  completed(): void {
    this.#schedule.completed(this.#host.clock.now());
    this.#arm();
  }

  /** Asks for peers sooner than the interval, as far as the tracker allows. */
  wantPeers(): void {
    this.#schedule.wantPeers(this.#host.clock.now());
    this.#arm();
  }

  /** Ends what is under way and tells the trackers; resolves when they answered, or after 3 s. Never rejects. */
  stop(): Promise<void> {
    this.#stopped ??= this.#leave();
    return this.#stopped;
  }

  #arm(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    if (this.#stopped !== undefined) return;
    const { dueAt } = this.#schedule;
    if (dueAt === Number.POSITIVE_INFINITY) return;
    const delayMs = Math.max(0, dueAt - this.#host.clock.now());
    this.#timer = this.#host.clock.setTimer(delayMs, () => {
      const due = this.#schedule.next(this.#host.clock.now());
      if (due === undefined) this.#arm();
      else void this.#run(due);
    });
  }

  async #run(due: Announce): Promise<void> {
    const outcome = await this.#announce(
      due,
      this.#options.timeoutMs ?? DEFAULT_TIMEOUT_MS,
      this.#abort.signal,
    );
    if (this.#stopped !== undefined) return;
    const now = this.#host.clock.now();
    if (outcome instanceof TrackerError) this.#schedule.failed(due, now);
    else this.#schedule.succeeded(due, now, outcome);
    this.#arm();
    this.#options.onOutcome?.(due.url, outcome);
    if (!(outcome instanceof TrackerError) && outcome.peers.length > 0) {
      this.#options.onPeers(outcome.peers, due.url);
    }
  }

  async #leave(): Promise<void> {
    this.#timer?.cancel();
    this.#abort.abort();
    this.#schedule.stop();
    const now = this.#host.clock.now();
    const farewells: Promise<unknown>[] = [];
    for (let due = this.#schedule.next(now); due !== undefined; due = this.#schedule.next(now)) {
      farewells.push(this.#announce(due, STOP_TIMEOUT_MS));
      this.#schedule.succeeded(due, now);
    }
    await Promise.all(farewells);
  }

  async #announce(
    due: Announce,
    timeoutMs: number,
    signal?: AbortSignal,
  ): Promise<AnnounceResponse | TrackerError> {
    const { infoHash, peerId, port, counts, peersWanted = DEFAULT_PEERS_WANTED } = this.#options;
    const request = {
      ...counts(),
      infoHash,
      peerId,
      port,
      event: due.event,
      peersWanted: due.event === 'stopped' ? 0 : peersWanted,
      key: this.#key,
      trackerId: this.#trackerIds.get(due.url),
    };
    try {
      const response = await announce(this.#host.http, due.url, request, { timeoutMs, signal });
      if (response.trackerId !== undefined) this.#trackerIds.set(due.url, response.trackerId);
      return response;
    } catch (error) {
      if (error instanceof TrackerError) return error;
      return new TrackerError('unreachable', 'The announce failed.', { cause: error });
    }
  }
}
