/**
 * One torrent of a node: finds peers, learns what the content is, fetches it, serves it.
 *
 * It composes the parts of this folder: `Swarm` is whom it is connected to, `MetadataSession` how it learns
 * what the content is, `LocalContent` what is on disk, `Transfer` what is fetched and served. States: checking → (metadata → checking →) downloading → seeding;
 * `error` when the disk fails, which `resume` leaves again; `stopped` at the end.
 */
import type { Address, HostError, Timer } from '../host/host.ts';
import type { TorrentInfo } from '../metainfo/index.ts';
import type { MetadataMessage } from '../wire/extension-messages.ts';
import { encodeHaves, type Handshake } from '../wire/peer-messages.ts';
import { Checkpoints } from './checkpoints.ts';
import { Figures } from './figures.ts';
import { type Greeting, greet, sendExtensions } from './greeting.ts';
import { LocalContent } from './local-content.ts';
import { MetadataSession } from './metadata-session.ts';
import { Peer, type PeerSwarm } from './peer.ts';
import type { PeerConnection } from './peer-connection.ts';
import type { PeerSource } from './peer-source.ts';
import type { PieceStore } from './piece-store.ts';
import { RateLimit, TokenBucket } from './rate.ts';
import { contentLost, diskError, readFailure, type TorrentState, type TorrentStatus } from './status.ts';
import { Swarm, type SwarmEvents } from './swarm.ts';
import type { TorrentComponents, TorrentOptions } from './torrent-options.ts';
import { Transfer } from './transfer.ts';
import { Waiters } from './waiters.ts';

const TICK_MS = 1_000;
/** How often it is looked after connections that need not be there, or are about to die of silence. */
const LOOK_MS = 5_000;

export class Torrent implements PeerSwarm {
  readonly infoHash: Uint8Array;
  readonly #parts: TorrentComponents;
  readonly #options: TorrentOptions;
  readonly #content: LocalContent;
  readonly #swarm: Swarm;
  readonly #metadata: MetadataSession;
  readonly #figures: Figures;
  readonly #checkpoints: Checkpoints;
  readonly #uploadLimit: RateLimit;
  readonly #downloadLimit: RateLimit;
  readonly #waiters = new Waiters(() => this.status());
  #state: TorrentState = 'checking';
  #error: TorrentStatus['error'];
  #transfer: Transfer | undefined;
  #sources: PeerSource[] = [];
  #tickTimer: Timer | undefined;
  #nextLookMs = 0;
  /** Peers are taken from the first need of them on: also while files are checked once the metadata has come. */
  #hasMetPeers = false;
  /** What leads to the transfer: never rejects. */
  #beginning: Promise<void> | undefined;
  #stopping: Promise<void> | undefined;

  constructor(components: TorrentComponents, options: TorrentOptions) {
    const { host } = components;
    const nowMs = host.clock.now();
    this.infoHash = options.infoHash;
    this.#parts = components;
    this.#options = options;
    this.#content = new LocalContent(host, options);
    this.#checkpoints = new Checkpoints({
      clock: host.clock,
      save: () => this.#content.checkpoint(() => this.#figures.toRemember()),
      onError: (error) => {
        if (this.#stopping === undefined) this.#onDiskError(error as HostError);
      },
    });
    const own = new TokenBucket(options.uploadBytesPerSecond, nowMs);
    this.#uploadLimit = new RateLimit(components.uploadLimit, own);
    this.#downloadLimit = new RateLimit(
      components.downloadLimit,
      new TokenBucket(options.downloadBytesPerSecond, nowMs),
    );
    const events: SwarmEvents = {
      isOpen: () => this.#isOpenToPeers(),
      isConnecting: () => this.#isOpenToPeers() && this.#state !== 'error',
      isSeeding: () => this.#state === 'seeding',
      makePeer: (connection) => new Peer(this, connection, host.clock.now()),
      onJoined: (peer) => this.#introduce(peer),
      onLeft: (peer) => this.#left(peer),
    };
    this.#metadata = new MetadataSession(
      {
        host,
        events: {
          onInfoBytes: (infoBytes) => this.#onInfo(infoBytes),
          onCulprit: (peer) => this.#swarm.ban(peer, 'The peer sent metadata that is not of this torrent.'),
        },
      },
      { infoHash: options.infoHash, infoBytes: options.info?.infoBytes },
    );
    const { peerId, supports } = components;
    const { infoHash, maxPeers } = options;
    this.#swarm = new Swarm({ host, events }, { infoHash, peerId, supports, maxPeers });
    this.#figures = new Figures(
      { clock: host.clock, content: this.#content, swarm: this.#swarm, transfer: () => this.#transfer },
      options,
    );
    this.#remember(options.peers);
  }

  // -------------------------------------------------------------- what its user sees

  get info(): TorrentInfo | undefined {
    return this.#content.info;
  }

  status(): TorrentStatus {
    return this.#figures.status(this.#state, this.#error);
  }

  /**
   * Resolves with the first status that fulfils `condition`, which is tried at every change of state, every
   * piece, and every second. Rejects with a TorrentError if the torrent fails or stops first.
   */
  waitFor(condition: (status: TorrentStatus) => boolean): Promise<TorrentStatus> {
    return this.#waiters.add(condition);
  }

  /** Tells of peers at these addresses; they are connected to as there is room. */
  addPeers(addresses: readonly Address[]): void {
    this.#remember(addresses);
    this.#swarm.connect();
  }

  /** A connection has shaken hands for this torrent: gives its peer, or the reason why it is not taken. */
  welcome(connection: PeerConnection, handshake: Handshake): Peer | string {
    return this.#swarm.welcome(connection, handshake);
  }

  /** Begins; to be called once. Failures show in the status. */
  start(): void {
    this.#tickTimer = this.#parts.host.clock.setTimer(TICK_MS, () => this.#tick());
    this.#beginning = this.#guard(() => this.#begin());
  }

  /** Goes on after an error, once its cause is removed. Without an error it does nothing. */
  resume(): void {
    if (this.#state !== 'error' || this.#stopping !== undefined) return;
    this.#error = undefined;
    if (this.#transfer === undefined) {
      this.#setState('checking');
      this.#beginning = this.#guard(() => this.#begin());
      return;
    }
    this.#setState(this.#transfer.picker.isComplete ? 'seeding' : 'downloading');
    this.#transfer.downloads.resume();
    this.#swarm.connect();
  }

  /** Says goodbye, saves what a restart needs, closes. Resolves when nothing is left. */
  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  /** Stops, and forgets the resume state; content stays. */
  async remove(): Promise<void> {
    await this.stop();
    await this.#content.forget();
  }

  // -------------------------------------------------------------- life

  async #begin(): Promise<void> {
    if (this.#content.info === undefined) {
      const infoBytes = await this.#content.recallInfo();
      if (infoBytes !== undefined) this.#metadata.provide(infoBytes);
    }
    if (this.#stopping !== undefined) return;
    if (this.#content.info !== undefined) return this.#open(this.#content.info);
    const peers = await this.#content.recallPeers();
    if (this.#stopping !== undefined) return;
    this.#remember(peers);
    this.#setState('metadata');
    this.#hasMetPeers = true;
    this.#startSources();
    this.#swarm.connect();
  }

  async #open(info: TorrentInfo): Promise<void> {
    this.#setState('checking');
    const store = await this.#content.open(info, {
      onPeers: (peers) => this.#remember(peers),
      onProgress: () => this.#waiters.tell(),
      isCancelled: () => this.#stopping !== undefined,
    });
    if (store === undefined || this.#stopping !== undefined) return;
    this.#checkpoints.changed();
    this.#beginTransfer(info, store);
  }

  #beginTransfer(info: TorrentInfo, store: PieceStore): void {
    const { host } = this.#parts;
    this.#transfer = new Transfer({
      host,
      info,
      store,
      suggests: this.#options.suggests,
      uploadLimit: this.#uploadLimit,
      downloadLimit: this.#downloadLimit,
      peers: this.#swarm.peers,
      events: {
        onPiece: () => {
          this.#checkpoints.changed();
          this.#waiters.tell();
        },
        onComplete: () => this.#onComplete(),
        onCulprit: (peer) => this.#swarm.ban(peer, 'The peer sent a corrupt piece.'),
        onStoreError: (error) => this.#onDiskError(error),
      },
    });
    this.#setState(this.#transfer.picker.isComplete ? 'seeding' : 'downloading');
    for (const peer of this.#swarm.peers) {
      // Told when they connected that we have nothing, and know nothing.
      peer.connection.sendBytes(encodeHaves([...store.have]));
      sendExtensions(peer, this.#greeting());
      this.#transfer.join(peer);
    }
    this.#hasMetPeers = true;
    this.#startSources();
    this.#swarm.connect();
    // At once, so that a log of what comes has a snapshot to add to.
    this.#checkpoints.tick(host.clock.now());
  }

  async #stop(): Promise<void> {
    this.#tickTimer?.cancel();
    const goodbyes = this.#sources.map((source) => source.stop().catch(() => undefined));
    this.#swarm.closeAll('The torrent was stopped.');
    this.#transfer?.close();
    await this.#beginning;
    await this.#transfer?.downloads.close();
    if (this.#transfer !== undefined) await this.#checkpoints.saveNow();
    await this.#content.close();
    await Promise.all(goodbyes);
    if (this.#state !== 'error') this.#setState('stopped');
    this.#waiters.tell();
  }

  /** Runs what may fail on the world; a failure becomes the torrent's error. */
  async #guard(work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      if (this.#stopping === undefined) this.#fail(error as Error & { code?: string });
    }
  }

  #fail(error: Error & { code?: string }): void {
    this.#error = { code: error.code ?? 'internal', message: error.message };
    this.#setState('error');
  }

  #setState(state: TorrentState): void {
    this.#state = state;
    this.#waiters.tell();
  }

  #startSources(): void {
    if (this.#sources.length > 0) return;
    const { peerId, listenPort, sources } = this.#parts;
    const feed = {
      infoHash: this.infoHash,
      peerId,
      listenPort,
      onPeers: (peers: readonly Address[]) => this.addPeers(peers),
      totals: () => this.#figures.totals(),
    };
    // The peers of a private torrent come from its trackers only (BEP 27).
    this.#sources = sources
      .filter(({ isPublic }) => !(isPublic && this.#content.info?.private === true))
      .map(({ start }) => start(feed));
  }

  // -------------------------------------------------------------- time

  #tick(): void {
    const { clock } = this.#parts.host;
    const nowMs = clock.now();
    this.#tickTimer = clock.setTimer(TICK_MS, () => this.#tick());
    if (nowMs >= this.#nextLookMs) {
      this.#nextLookMs = nowMs + LOOK_MS;
      for (const peer of this.#swarm.peers) peer.connection.tick(nowMs);
      if (this.#state === 'seeding') this.#leaveSeeds();
    }
    this.#transfer?.tick(nowMs);
    this.#metadata.requestMissing();
    this.#swarm.connect();
    this.#checkpoints.tick(nowMs);
    this.#waiters.tell();
  }

  // -------------------------------------------------------------- connections

  #remember(addresses: readonly Address[]): void {
    for (const address of addresses) this.#swarm.book.add(address);
  }

  #isOpenToPeers(): boolean {
    return this.#stopping === undefined && this.#hasMetPeers;
  }

  #introduce(peer: Peer): void {
    greet(peer, this.#greeting(), this.#transfer?.store.have);
    this.#transfer?.join(peer);
  }

  #greeting(): Greeting {
    const { supports, clientName, listenPort, dhtPort } = this.#parts;
    return { supports, clientName, listenPort, dhtPort, metadataSize: this.#content.info?.infoBytes.length };
  }

  #left(peer: Peer): void {
    this.#metadata.removePeer(peer);
    this.#transfer?.leave(peer);
  }

  // -------------------------------------------------------------- PeerSwarm

  get transfer(): Transfer | undefined {
    return this.#transfer;
  }

  onInterest(peer: Peer): void {
    this.#transfer?.interest(peer);
  }

  onExtensions(peer: Peer): void {
    this.#swarm.noteListening(peer);
    this.#metadata.onExtensions(peer);
  }

  onDhtNode(address: Address): void {
    if (this.#content.info?.private !== true) this.#parts.onDhtNode(address);
  }

  onClosed(peer: Peer, _reason: string, readError?: HostError): void {
    this.#swarm.closed(peer);
    if (readError !== undefined && this.#stopping === undefined)
      void this.#guard(() => this.#onReadError(readError));
  }

  onMetadata(peer: Peer, message: MetadataMessage): void {
    this.#metadata.onMessage(peer, message);
  }

  #onInfo(infoBytes: Uint8Array): void {
    let info: TorrentInfo;
    try {
      info = this.#content.learn(infoBytes);
    } catch (error) {
      this.#fail(error as Error);
      return;
    }
    this.#beginning = this.#guard(() => this.#open(info));
  }

  // -------------------------------------------------------------- content

  #onComplete(): void {
    if (this.#state !== 'downloading') return;
    for (const source of this.#sources) source.completed();
    this.#leaveSeeds();
    this.#setState('seeding');
  }

  /** They would only take the places of peers that want something. */
  #leaveSeeds(): void {
    for (const peer of this.#swarm.peers)
      if (peer.isSeed) peer.connection.close('Both sides have everything.');
  }

  /** Content has vanished: a seed goes on with the rest of it. */
  async #onReadError(error: HostError): Promise<void> {
    const { store } = this.#transfer!;
    const lost = this.#options.mode === 'seed' ? await store.forgetUnreadable() : { files: [], pieces: 0 };
    if (lost.files.length === 0 || store.have.count === 0) throw readFailure(error);
    // Without a piece it was an answer to what was asked before the loss was known.
    if (lost.pieces === 0 || this.#stopping !== undefined) return;
    this.#error = contentLost(lost.files, store.have.size - store.have.count);
    // They were told that it is all here; who connects again is told the truth.
    for (const peer of this.#swarm.peers) peer.connection.close('Some of the content is gone.');
    this.#waiters.tell();
  }

  #onDiskError(error: HostError): void {
    this.#transfer?.downloads.pause();
    this.#fail(diskError(error));
  }
}
