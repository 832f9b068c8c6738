/**
 * One torrent of a node: finds peers, learns what the content is, fetches it, serves it.
 *
 * It composes the parts of this folder, each of which decides one thing: `PeerBook` whom to connect to,
 * `MetadataExchange` the info dictionary, `Picker` and `Downloads` what to fetch, `Choker` and `Uploads` whom to
 * serve, `PieceStore` what is on disk. States: checking → (metadata → checking →) downloading → seeding;
 * `error` when the disk fails, which `resume` leaves again; `stopped` at the end.
 */
import { equalBytes, toHex } from '../bytes.ts';
import { type Address, type Host, HostError, type Timer } from '../host/host.ts';
import { parseInfo, pieceLengthAt, type TorrentInfo } from '../metainfo/index.ts';
import {
  type ExtensionHandshake,
  encodeExtensionHandshake,
  encodeMetadataMessage,
  LOCAL_EXTENSIONS,
  METADATA_PIECE_LENGTH,
  type MetadataMessage,
} from '../wire/extension-messages.ts';
import { encodeHaves, type Handshake, type HandshakeFlags, WireError } from '../wire/peer-messages.ts';
import { Choker } from './choker.ts';
import { Downloads } from './downloads.ts';
import { MetadataExchange } from './metadata-exchange.ts';
import { Peer, type PeerSwarm, type Transfer } from './peer.ts';
import { PeerBook } from './peer-book.ts';
import { PeerConnection } from './peer-connection.ts';
import type { PeerSource, PeerSourceKind, SourceTotals } from './peer-source.ts';
import { Picker } from './picker.ts';
import { PieceStore } from './piece-store.ts';
import { RateLimit, TokenBucket } from './rate.ts';
import { ResumeFiles } from './resume.ts';
import { TorrentError, type TorrentState, type TorrentStatus } from './status.ts';
import { MAX_QUEUED_REQUESTS, Uploads } from './uploads.ts';

const TICK_MS = 1_000;
const CHECKPOINT_MS = 2_000;
/** A checkpoint is at most this part of the time: one that takes long comes seldom. */
const CHECKPOINT_PART = 10;
const MAX_CONNECTING = 20;
/** Payload held in memory while pieces are fetched and stored. */
const MAX_BUFFERED_BYTES = 256 * 1024 * 1024;
const MAX_BUFFERED_PIECES = 512;
const PEERS_REMEMBERED = 200;
/** Connections that cross within this time are one meeting: both sides keep the same one. */
const CROSSING_MS = 5_000;

/** What a torrent shares with the others of its node. */
export interface TorrentComponents {
  readonly host: Host;
  /** 20 bytes. */
  readonly peerId: Uint8Array;
  readonly supports: HandshakeFlags;
  readonly listenPort: number;
  readonly clientName: string;
  readonly uploadLimit: TokenBucket;
  readonly downloadLimit: TokenBucket;
  readonly sources: readonly PeerSourceKind[];
  readonly dhtPort: number | undefined;
  readonly onDhtNode: (address: Address) => void;
}

export interface TorrentOptions {
  /** 20 bytes. */
  readonly infoHash: Uint8Array;
  /** Left out for a magnet. */
  readonly info?: TorrentInfo;
  readonly displayName?: string;
  readonly contentRoot: string;
  /** Left out, nothing is remembered: what is on disk is hashed at every start. */
  readonly stateDirectory?: string;
  /** `seed` never writes content; `download` fetches what is missing. */
  readonly mode: 'seed' | 'download';
  readonly peers: readonly Address[];
  readonly maxPeers: number;
  /** Of this torrent alone; Infinity is none. */
  readonly uploadBytesPerSecond: number;
  readonly downloadBytesPerSecond: number;
}

interface Waiter {
  readonly condition: (status: TorrentStatus) => boolean;
  readonly resolve: (status: TorrentStatus) => void;
  readonly reject: (error: TorrentError) => void;
}

export class Torrent implements PeerSwarm {
  readonly infoHash: Uint8Array;
  readonly #parts: TorrentComponents;
  readonly #options: TorrentOptions;
  readonly #resume: ResumeFiles | undefined;
  readonly #book = new PeerBook();
  readonly #peers = new Set<Peer>();
  readonly #connecting = new Set<PeerConnection>();
  readonly #choker: Choker<Peer>;
  readonly #uploadLimit: RateLimit;
  readonly #downloadLimit: RateLimit;
  readonly #waiters = new Set<Waiter>();
  #state: TorrentState = 'checking';
  #error: TorrentStatus['error'];
  #info: TorrentInfo | undefined;
  #metadata: MetadataExchange<Peer> | undefined;
  #store: PieceStore | undefined;
  #transfer: Transfer | undefined;
  #sources: PeerSource[] = [];
  #checked = { done: 0, total: 0 };
  #earlier = { uploadedBytes: 0, downloadedBytes: 0 };
  #tickTimer: Timer | undefined;
  #isDirty = false;
  #nextCheckpointMs = 0;
  #checkpoint: Promise<void> | undefined;
  #stopping: Promise<void> | undefined;

  constructor(components: TorrentComponents, options: TorrentOptions) {
    const { host } = components;
    const nowMs = host.clock.now();
    this.infoHash = options.infoHash;
    this.#parts = components;
    this.#options = options;
    this.#info = options.info;
    this.#resume = options.stateDirectory
      ? new ResumeFiles(host, { directory: options.stateDirectory, infoHash: options.infoHash })
      : undefined;
    const own = new TokenBucket(options.uploadBytesPerSecond, nowMs);
    this.#uploadLimit = new RateLimit(components.uploadLimit, own);
    this.#downloadLimit = new RateLimit(
      components.downloadLimit,
      new TokenBucket(options.downloadBytesPerSecond, nowMs),
    );
    this.#choker = new Choker(host, {
      uploadBytesPerSecond: Math.min(components.uploadLimit.rateBytesPerSecond, options.uploadBytesPerSecond),
    });
    for (const address of options.peers) this.#book.add(address);
  }

  // -------------------------------------------------------------- what its user sees

  get info(): TorrentInfo | undefined {
    return this.#info;
  }

  status(): TorrentStatus {
    const nowMs = this.#parts.host.clock.now();
    const total = this.#info?.pieceCount ?? 0;
    const have = this.#store?.have;
    const haveBytes = this.#haveBytes();
    const totals = this.#totals();
    return {
      infoHash: toHex(this.infoHash),
      name: this.#info?.name ?? this.#options.displayName,
      state: this.#state,
      error: this.#error,
      progress:
        this.#state === 'checking'
          ? this.#checked.done / Math.max(1, this.#checked.total)
          : haveBytes / Math.max(1, this.#info?.length ?? 1),
      pieces: { have: have?.count ?? 0, total },
      bytes: { have: haveBytes, total: this.#info?.length ?? 0 },
      downloadedBytes: this.#earlier.downloadedBytes + totals.downloadedBytes,
      uploadedBytes: this.#earlier.uploadedBytes + totals.uploadedBytes,
      wastedBytes: this.#transfer?.downloads.wastedBytes ?? 0,
      corruptBytes: this.#transfer?.downloads.corruptBytes ?? 0,
      downloadBytesPerSecond: this.#transfer?.downloads.meter.bytesPerSecond(nowMs) ?? 0,
      uploadBytesPerSecond: this.#transfer?.uploads.meter.bytesPerSecond(nowMs) ?? 0,
      peers: {
        connected: this.#peers.size,
        seeds: [...this.#peers].filter((peer) => peer.isSeed).length,
        unchoked: [...this.#peers].filter((peer) => !peer.amChoking).length,
        known: this.#book.size,
      },
    };
  }

  /**
   * Resolves with the first status that fulfils `condition`, which is tried at every change of state, every
   * piece, and every second. Rejects with a TorrentError if the torrent fails or stops first.
   */
  waitFor(condition: (status: TorrentStatus) => boolean): Promise<TorrentStatus> {
    return new Promise((resolve, reject) => {
      this.#waiters.add({ condition, resolve, reject });
      this.#tellWaiters();
    });
  }

  /** Tells of peers at these addresses; they are connected to as there is room. */
  addPeers(addresses: readonly Address[]): void {
    for (const address of addresses) this.#book.add(address);
    this.#connect();
  }

  /** Begins; to be called once. Failures show in the status. */
  start(): void {
    this.#tickTimer = this.#parts.host.clock.setTimer(TICK_MS, () => this.#tick());
    void this.#guard(() => this.#begin());
  }

  /** Goes on after an error, once its cause is removed. Without an error it does nothing. */
  resume(): void {
    if (this.#state !== 'error' || this.#stopping !== undefined) return;
    this.#error = undefined;
    if (this.#transfer === undefined) {
      this.#setState('checking');
      void this.#guard(() => this.#begin());
      return;
    }
    this.#setState(this.#transfer.picker.isComplete ? 'seeding' : 'downloading');
    this.#transfer.downloads.resume();
    this.#connect();
  }

  /** Says goodbye, saves what a restart needs, closes. Resolves when nothing is left. */
  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  /** Stops, and forgets the resume state; content stays. */
  async remove(): Promise<void> {
    await this.stop();
    await this.#resume?.remove();
  }

  // -------------------------------------------------------------- life

  async #begin(): Promise<void> {
    if (this.#info === undefined) {
      const infoBytes = await this.#resume?.loadInfo();
      if (infoBytes !== undefined) this.#info = parseInfo(this.#parts.host.compute, infoBytes);
    }
    if (this.#stopping !== undefined) return;
    if (this.#info !== undefined) return this.#open(this.#info);
    this.#metadata ??= new MetadataExchange<Peer>(this.#parts.host, this.infoHash);
    const loaded = await this.#resume?.load();
    if (this.#stopping !== undefined) return;
    for (const address of loaded?.snapshot.peers ?? []) this.#book.add(address);
    this.#setState('metadata');
    this.#startSources();
    this.#connect();
  }

  async #open(info: TorrentInfo): Promise<void> {
    const { host } = this.#parts;
    const { contentRoot, mode } = this.#options;
    this.#setState('checking');
    const opened = await PieceStore.open(
      { host, resume: this.#resume },
      { info, contentRoot, readOnly: mode === 'seed' },
    );
    const { store, unproven, snapshot } = opened;
    this.#store = store;
    if (snapshot !== undefined) {
      this.#earlier = { uploadedBytes: snapshot.uploadedBytes, downloadedBytes: snapshot.downloadedBytes };
      for (const address of snapshot.peers) this.#book.add(address);
    }
    this.#checked = { done: 0, total: unproven.length };
    await store.verify(unproven, {
      onProgress: (done) => {
        this.#checked.done = done;
        this.#tellWaiters();
      },
      isCancelled: () => this.#stopping !== undefined,
    });
    if (this.#stopping !== undefined) return;
    if (mode === 'seed' && !store.have.isFull) {
      const missing = info.pieceCount - store.have.count;
      throw new TorrentError(
        'content-incomplete',
        `${missing} of ${info.pieceCount} pieces are missing or differ in ${contentRoot}; seed the original, or download what is missing.`,
      );
    }
    if (mode === 'download') {
      await host.files.makeDirectory(contentRoot);
      await store.content.createFiles();
    }
    await this.#resume?.saveInfo(info.infoBytes);
    this.#isDirty = true;
    if (this.#stopping === undefined) this.#beginTransfer(info, store);
  }

  #beginTransfer(info: TorrentInfo, store: PieceStore): void {
    const { host } = this.#parts;
    const maxPieces = Math.floor(MAX_BUFFERED_BYTES / info.pieceLength);
    const picker = new Picker<Peer>(
      { random: host.random, allocate: (length) => host.payload.allocatePiece(length), have: store.have },
      {
        pieceCount: info.pieceCount,
        pieceLength: info.pieceLength,
        length: info.length,
        maxPieces: Math.max(2, Math.min(MAX_BUFFERED_PIECES, maxPieces)),
      },
    );
    const { clock } = host;
    const uploads = new Uploads({ clock, info, store, limit: this.#uploadLimit });
    const events = {
      onVerified: (index: number) => this.#onVerified(index),
      onCorrupt: (_index: number, culprits: readonly Peer[]) => {
        for (const peer of culprits) this.#ban(peer, 'The peer sent a corrupt piece.');
      },
      onStoreError: (error: HostError) => this.#onDiskError(error),
    };
    const downloads = new Downloads({ clock, picker, store, limit: this.#downloadLimit, events });
    this.#transfer = { picker, store, downloads, uploads };
    this.#setState(picker.isComplete ? 'seeding' : 'downloading');
    for (const peer of this.#peers) {
      // Told when they connected that we have nothing, and know nothing.
      peer.connection.sendBytes(encodeHaves([...store.have]));
      this.#sendExtensions(peer);
      peer.join(this.#transfer, info.pieceCount);
    }
    this.#startSources();
    this.#connect();
  }

  async #stop(): Promise<void> {
    this.#tickTimer?.cancel();
    const goodbyes = this.#sources.map((source) => source.stop().catch(() => undefined));
    for (const peer of [...this.#peers]) peer.connection.close('The torrent was stopped.');
    for (const connection of [...this.#connecting]) connection.close('The torrent was stopped.');
    this.#transfer?.uploads.close();
    await this.#transfer?.downloads.close();
    await this.#checkpoint;
    if (this.#transfer !== undefined) await this.#saveState();
    await this.#store?.close();
    await Promise.all(goodbyes);
    if (this.#state !== 'error') this.#setState('stopped');
    this.#tellWaiters();
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
    this.#tellWaiters();
  }

  #tellWaiters(): void {
    if (this.#waiters.size === 0) return;
    const status = this.status();
    const isOver = status.state === 'error' || status.state === 'stopped';
    for (const waiter of this.#waiters) {
      if (waiter.condition(status)) waiter.resolve(status);
      else if (isOver) {
        const { code, message } = this.#error ?? { code: 'stopped', message: 'The torrent was stopped.' };
        waiter.reject(new TorrentError(code, message));
      } else continue;
      this.#waiters.delete(waiter);
    }
  }

  #startSources(): void {
    if (this.#sources.length > 0) return;
    const { peerId, listenPort, sources } = this.#parts;
    const feed = {
      infoHash: this.infoHash,
      peerId,
      listenPort,
      onPeers: (peers: readonly Address[]) => this.addPeers(peers),
      totals: () => this.#totals(),
    };
    // The peers of a private torrent come from its trackers only (BEP 27).
    this.#sources = sources
      .filter(({ isPublic }) => !(isPublic && this.#info?.private === true))
      .map(({ start }) => start(feed));
  }

  #totals(): SourceTotals {
    return {
      uploadedBytes: this.#transfer?.uploads.meter.total ?? 0,
      downloadedBytes: this.#transfer?.downloads.meter.total ?? 0,
      leftBytes: this.#info === undefined ? undefined : this.#info.length - this.#haveBytes(),
    };
  }

  #haveBytes(): number {
    const info = this.#info;
    const have = this.#store?.have;
    if (info === undefined || have === undefined || have.count === 0) return 0;
    const last = info.pieceCount - 1;
    const shortfall = have.has(last) ? info.pieceLength - pieceLengthAt(info, last) : 0;
    return have.count * info.pieceLength - shortfall;
  }

  // -------------------------------------------------------------- time

  #tick(): void {
    const { clock } = this.#parts.host;
    const nowMs = clock.now();
    this.#tickTimer = clock.setTimer(TICK_MS, () => this.#tick());
    for (const peer of this.#peers) peer.connection.tick(nowMs);
    this.#transfer?.downloads.tick(nowMs);
    if (this.#choker.tick(this.#peers, this.#state === 'seeding', nowMs)) this.#applyChoking();
    this.#requestMetadata();
    this.#connect();
    if (this.#isDirty && nowMs >= this.#nextCheckpointMs && this.#checkpoint === undefined) {
      this.#checkpoint = this.#saveState();
    }
    this.#tellWaiters();
  }

  async #saveState(): Promise<void> {
    const { clock } = this.#parts.host;
    const startedMs = clock.now();
    this.#isDirty = false;
    try {
      await this.#store?.checkpoint(() => {
        const totals = this.#totals();
        return {
          uploadedBytes: this.#earlier.uploadedBytes + totals.uploadedBytes,
          downloadedBytes: this.#earlier.downloadedBytes + totals.downloadedBytes,
          peers: this.#book.worthKeeping(PEERS_REMEMBERED),
        };
      });
    } catch (error) {
      this.#isDirty = true;
      if (!(error instanceof HostError)) throw error;
      if (this.#stopping === undefined) this.#onDiskError(error);
    }
    const tookMs = clock.now() - startedMs;
    this.#nextCheckpointMs = clock.now() + Math.max(CHECKPOINT_MS, tookMs * CHECKPOINT_PART);
    this.#checkpoint = undefined;
  }

  // -------------------------------------------------------------- connections

  #isOpenToPeers(): boolean {
    return (
      this.#stopping === undefined &&
      this.#state !== 'checking' &&
      (this.#transfer ?? this.#metadata) !== undefined
    );
  }

  #connect(): void {
    if (!this.#isOpenToPeers() || this.#state === 'error') return;
    const { host } = this.#parts;
    const room = this.#options.maxPeers - this.#peers.size - this.#connecting.size;
    const count = Math.min(room, MAX_CONNECTING - this.#connecting.size);
    for (const address of this.#book.take(count, this.#state === 'seeding', host.clock.now())) {
      const connection = new PeerConnection(host, {
        infoHash: this.infoHash,
        peerId: this.#parts.peerId,
        supports: this.#parts.supports,
        welcome: (ready, handshake) => this.welcome(ready, handshake),
        onEnd: (ended) => this.#outgoingEnded(ended, address),
      });
      this.#connecting.add(connection);
      connection.attach(host.net.connectTcp(address, connection, { timeoutMs: 10_000 }));
    }
  }

  #outgoingEnded(connection: PeerConnection, address: Address): void {
    if (this.#connecting.delete(connection)) this.#bookEnded(address, { failed: true, isSeed: false });
    this.#connect();
  }

  #bookEnded(address: Address, outcome: { failed: boolean; isSeed: boolean }): void {
    const { clock, random } = this.#parts.host;
    this.#book.ended(address, outcome, clock.now(), random.float());
  }

  /** A connection has shaken hands for this torrent: gives its peer, or throws WireError with why not. */
  welcome(connection: PeerConnection, handshake: Handshake): Peer {
    const { host, peerId } = this.#parts;
    const nowMs = host.clock.now();
    const address = connection.remoteAddress;
    if (equalBytes(handshake.peerId, peerId)) {
      if (connection.isOutgoing) this.#book.ban(address, undefined);
      throw new WireError('bad-handshake', 'That is ourselves.');
    }
    if (!this.#isOpenToPeers()) throw new WireError('bad-handshake', 'The torrent is not ready for peers.');
    if (this.#book.isBanned(address, connection.peerIdHex))
      throw new WireError('bad-handshake', 'The peer is banned.');
    const double = [...this.#peers].find((peer) =>
      equalBytes(peer.connection.handshake.peerId, handshake.peerId),
    );
    if (double !== undefined) this.#settleDouble(double, connection, nowMs);
    if (this.#peers.size >= this.#options.maxPeers)
      throw new WireError('bad-handshake', 'There is no room for more peers.');

    this.#connecting.delete(connection);
    const peer = new Peer(this, connection, nowMs);
    this.#peers.add(peer);
    if (peer.listenAddress !== undefined) this.#book.connected(peer.listenAddress);
    this.#introduce(peer);
    return peer;
  }

  /** Of two connections with one peer, keeps the one that both sides will choose. Throws if it is not the new one. */
  #settleDouble(old: Peer, connection: PeerConnection, nowMs: number): void {
    const isOursHigher = toHex(this.#parts.peerId) > connection.peerIdHex;
    const isCrossing =
      nowMs - old.connectedMs < CROSSING_MS && old.connection.isOutgoing !== connection.isOutgoing;
    if (!isCrossing || connection.isOutgoing !== isOursHigher) {
      throw new WireError('bad-handshake', 'The peer is connected already.');
    }
    old.connection.close('The peer connected twice.');
    this.#forgetPeer(old);
  }

  #introduce(peer: Peer): void {
    const { connection } = peer;
    const { supports, dhtPort } = this.#parts;
    const have = this.#transfer?.store.have;
    if (connection.isFast && (have === undefined || have.count === 0)) connection.send({ type: 'have-none' });
    else if (connection.isFast && have?.isFull) connection.send({ type: 'have-all' });
    else if (have !== undefined && have.count > 0)
      connection.send({ type: 'bitfield', bits: have.toBytes() });
    this.#sendExtensions(peer);
    if (dhtPort !== undefined && supports.dht && connection.handshake.supports.dht) {
      connection.send({ type: 'port', port: dhtPort });
    }
    if (this.#transfer !== undefined) peer.join(this.#transfer, this.#info!.pieceCount);
  }

  #sendExtensions(peer: Peer): void {
    if (!peer.connection.handshake.supports.extensions) return;
    const handshake: ExtensionHandshake = {
      ids: new Map(Object.entries(LOCAL_EXTENSIONS)),
      client: this.#parts.clientName,
      listenPort: this.#parts.listenPort,
      metadataSize: this.#info?.infoBytes.length,
      requestQueue: MAX_QUEUED_REQUESTS,
    };
    peer.connection.send({ type: 'extended', id: 0, payload: encodeExtensionHandshake(handshake) });
  }

  #ban(peer: Peer, reason: string): void {
    this.#book.ban(peer.listenAddress ?? peer.connection.remoteAddress, peer.connection.peerIdHex);
    peer.connection.close(reason);
  }

  #forgetPeer(peer: Peer): void {
    if (!this.#peers.delete(peer)) return;
    this.#choker.gone(peer);
    this.#metadata?.removePeer(peer);
    this.#transfer?.uploads.drop(peer);
    if (peer.picks !== undefined) this.#transfer?.downloads.removePeer(peer);
  }

  #applyChoking(): void {
    for (const peer of this.#peers) {
      if (this.#choker.unchoked.has(peer)) peer.unchoke();
      else peer.choke();
    }
  }

  // -------------------------------------------------------------- PeerSwarm

  get transfer(): Transfer | undefined {
    return this.#transfer;
  }

  onInterest(peer: Peer): void {
    if (peer.isInterested && this.#choker.interested(peer, this.#parts.host.clock.now())) peer.unchoke();
  }

  onExtensions(peer: Peer, handshake: ExtensionHandshake): void {
    if (peer.listenAddress !== undefined) this.#book.connected(peer.listenAddress);
    const { metadataSize } = handshake;
    if (this.#info !== undefined || this.#metadata === undefined || metadataSize === undefined) return;
    if (handshake.ids.has('ut_metadata') && this.#metadata.addPeer(peer, metadataSize))
      this.#requestMetadata();
  }

  onDhtNode(address: Address): void {
    if (this.#info?.private !== true) this.#parts.onDhtNode(address);
  }

  onClosed(peer: Peer, _reason: string, readError?: HostError): void {
    const isSeed = peer.isSeed;
    this.#forgetPeer(peer);
    if (peer.listenAddress !== undefined) this.#bookEnded(peer.listenAddress, { failed: false, isSeed });
    if (readError !== undefined && this.#stopping === undefined) {
      this.#fail(new TorrentError(readError.code, `The content can no longer be read: ${readError.message}`));
    }
    this.#connect();
  }

  onMetadata(peer: Peer, message: MetadataMessage): void {
    const nowMs = this.#parts.host.clock.now();
    if (message.type === 'request') this.#serveMetadata(peer, message.piece);
    else if (message.type === 'reject') this.#metadata?.rejected(peer, message.piece, nowMs);
    else if (message.type === 'data' && this.#info === undefined && this.#metadata !== undefined) {
      const outcome = this.#metadata.data(peer, message.piece, message.data);
      if (outcome.type === 'complete') this.#onInfo(outcome.infoBytes);
      else if (outcome.type === 'corrupt' && outcome.culprit !== undefined) {
        this.#ban(outcome.culprit, 'The peer sent metadata that is not of this torrent.');
      }
      this.#requestMetadata();
    }
  }

  #serveMetadata(peer: Peer, piece: number): void {
    const id = peer.extensions?.ids.get('ut_metadata');
    if (id === undefined) return;
    const { tcp } = peer.connection;
    const infoBytes = this.#info?.infoBytes;
    const from = piece * METADATA_PIECE_LENGTH;
    const isServed =
      infoBytes !== undefined && from < infoBytes.length && tcp.queuedBytes < tcp.highWaterBytes;
    const payload = isServed
      ? encodeMetadataMessage({
          type: 'data',
          piece,
          totalSize: infoBytes.length,
          data: infoBytes.subarray(from, from + METADATA_PIECE_LENGTH),
        })
      : encodeMetadataMessage({ type: 'reject', piece });
    peer.connection.send({ type: 'extended', id, payload });
  }

  #requestMetadata(): void {
    if (this.#info !== undefined || this.#metadata === undefined) return;
    for (const { peer, piece } of this.#metadata.requests(this.#parts.host.clock.now())) {
      const id = peer.extensions!.ids.get('ut_metadata')!;
      const payload = encodeMetadataMessage({ type: 'request', piece });
      peer.connection.send({ type: 'extended', id, payload });
    }
  }

  #onInfo(infoBytes: Uint8Array): void {
    try {
      this.#info = parseInfo(this.#parts.host.compute, infoBytes);
    } catch (error) {
      this.#fail(error as Error);
      return;
    }
    const info = this.#info;
    void this.#guard(() => this.#open(info));
  }

  // -------------------------------------------------------------- pieces

  #onVerified(index: number): void {
    this.#isDirty = true;
    const have = encodeHaves([index]);
    for (const peer of this.#peers) {
      peer.connection.sendBytes(have);
      peer.updateInterest();
    }
    if (this.#transfer!.picker.isComplete && this.#state === 'downloading') this.#onComplete();
    else this.#tellWaiters();
  }

  #onComplete(): void {
    for (const source of this.#sources) source.completed();
    for (const peer of this.#peers) if (peer.isSeed) peer.connection.close('Both sides have everything.');
    this.#setState('seeding');
  }

  #onDiskError(error: HostError): void {
    this.#transfer?.downloads.pause();
    const advice: Partial<Record<HostError['code'], string>> = {
      'disk-full': 'The disk is full; free some space and resume the torrent. Nothing verified was lost.',
      permission: 'The content may not be written; correct the permissions and resume the torrent.',
      'not-found': 'The directory of the content has vanished; restore it and resume the torrent.',
    };
    this.#fail(new TorrentError(error.code, advice[error.code] ?? `Storing failed: ${error.message}`));
  }
}
