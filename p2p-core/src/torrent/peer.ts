/**
 * One peer of a torrent: what each side has said to the other, and what its messages lead to. Until the
 * info dictionary is known, what the peer claims to have is kept as it was said; `join` gives it meaning.
 */
import type { Address, HostError, PieceBuffer } from '../host/host.ts';
import {
  decodeExtensionHandshake,
  decodeMetadataMessage,
  type ExtensionHandshake,
  LOCAL_EXTENSIONS,
  type MetadataMessage,
} from '../wire/extension-messages.ts';
import { type Block, encodeBlocks, WireError } from '../wire/peer-messages.ts';
import { Bitfield } from './bitfield.ts';
import type { ChokerPeer } from './choker.ts';
import type { Downloads } from './downloads.ts';
import type { PeerConnection, PeerSession, SessionMessage } from './peer-connection.ts';
import type { Picker, PickerPeer } from './picker.ts';
import type { PieceStore } from './piece-store.ts';
import { RateMeter } from './rate.ts';
import { RequestPipeline } from './request-pipeline.ts';
import type { Uploads } from './uploads.ts';

/** Dropped bytes that are forgiven beyond as many as were of use. */
const MAX_DROPPED_BYTES = 64 * 1024 * 1024;
/** Pieces that may be claimed or allowed before it is known how many there are. */
const MAX_EARLY_PIECES = 1 << 20;
const MAX_ALLOWED_FAST = 1024;

/** What moves pieces, there once a torrent's metadata is known and its files were checked. */
export interface Transfer {
  readonly picker: Picker<Peer>;
  readonly store: PieceStore;
  readonly downloads: Downloads;
  readonly uploads: Uploads;
}

/** What a peer needs of its torrent. */
export interface PeerSwarm {
  readonly transfer: Transfer | undefined;
  onInterest(peer: Peer): void;
  /** `peer.extensions` was set. */
  onExtensions(peer: Peer): void;
  onMetadata(peer: Peer, message: MetadataMessage): void;
  /** The peer runs a DHT node. */
  onDhtNode(address: Address): void;
  onClosed(peer: Peer, reason: string, readError?: HostError): void;
}

export class Peer implements PeerSession, ChokerPeer {
  readonly connection: PeerConnection;
  readonly connectedMs: number;
  /** Where it can be connected to, if known. */
  listenAddress: Address | undefined;
  extensions: ExtensionHandshake | undefined;
  amChoking = true;
  amInterested = false;
  isInterested = false;
  isSnubbed = false;
  picks: PickerPeer<Peer> | undefined;
  /** Requests of its own that wait for being served. */
  readonly incoming: Block[] = [];
  readonly pipeline: RequestPipeline;
  lastBlockMs: number;
  /** When the block that is arriving began to. */
  blockBegunMs: number;
  readonly #swarm: PeerSwarm;
  readonly #down: RateMeter;
  readonly #up: RateMeter;
  readonly #early = {
    isChoking: true,
    all: false,
    bits: undefined as Uint8Array | undefined,
    haves: undefined as Bitfield | undefined,
  };
  readonly #earlyAllowed = new Set<number>();
  #hasClaimed = false;
  #hasToldDhtPort = false;
  #droppedBytes = 0;

  constructor(swarm: PeerSwarm, connection: PeerConnection, nowMs: number) {
    this.#swarm = swarm;
    this.connection = connection;
    this.connectedMs = nowMs;
    this.lastBlockMs = nowMs;
    this.blockBegunMs = nowMs;
    this.pipeline = new RequestPipeline(nowMs);
    this.#down = new RateMeter(nowMs);
    this.#up = new RateMeter(nowMs);
    if (connection.isOutgoing) this.listenAddress = connection.remoteAddress;
  }

  get isSeed(): boolean {
    return this.picks === undefined ? this.#early.all : this.picks.has.isFull;
  }

  downloadRate(nowMs: number): number {
    return this.#down.bytesPerSecond(nowMs);
  }

  uploadRate(nowMs: number): number {
    return this.#up.bytesPerSecond(nowMs);
  }

  // -------------------------------------------------------------- what we tell it

  /** Metadata and files are there: what was claimed so far is taken at its word from here on. */
  join(transfer: Transfer, pieceCount: number): void {
    const { all, bits, haves, isChoking } = this.#early;
    const has = all
      ? Bitfield.full(pieceCount)
      : bits === undefined
        ? new Bitfield(pieceCount)
        : Bitfield.from(bits, pieceCount);
    if (has === undefined) {
      this.connection.close('The peer sent a bitfield of the wrong size.');
      return;
    }
    for (const index of haves ?? []) {
      if (index >= pieceCount) break;
      has.set(index);
    }
    this.picks = transfer.picker.addPeer(this, has);
    this.picks.isChoking = isChoking;
    for (const index of this.#earlyAllowed) if (index < pieceCount) this.picks.allowedFast.add(index);
    transfer.downloads.addPeer(this);
    this.updateInterest();
  }

  /** Tells the peer whether it has anything that we want, if that has changed. */
  updateInterest(): void {
    const isInteresting = (this.picks?.interesting ?? 0) > 0;
    if (isInteresting !== this.amInterested) {
      this.amInterested = isInteresting;
      this.connection.send({ type: isInteresting ? 'interested' : 'not-interested' });
    }
    if (isInteresting) this.#swarm.transfer?.downloads.fill(this);
  }

  choke(): void {
    if (this.amChoking) return;
    this.amChoking = true;
    this.connection.send({ type: 'choke' });
    this.#swarm.transfer?.uploads.drop(this);
  }

  unchoke(): void {
    if (!this.amChoking) return;
    this.amChoking = false;
    this.connection.send({ type: 'unchoke' });
  }

  /** Says that `blocks` will not be served, if the peer understands that. */
  reject(blocks: readonly Block[]): void {
    if (blocks.length > 0 && this.connection.isFast)
      this.connection.sendBytes(encodeBlocks('reject', blocks));
  }

  // -------------------------------------------------------------- counting

  blockReceived(bytes: number, nowMs: number): void {
    this.#down.add(bytes, nowMs);
    this.lastBlockMs = nowMs;
    this.isSnubbed = false;
    this.pipeline.blockArrived(nowMs);
  }

  blockDropped(bytes: number): void {
    this.#droppedBytes += bytes;
    if (this.#droppedBytes > this.#down.total + MAX_DROPPED_BYTES) {
      throw new WireError('bad-field', 'The peer sends blocks that nobody asked for.');
    }
  }

  blocksSent(bytes: number, nowMs: number): void {
    this.#up.add(bytes, nowMs);
  }

  snub(): void {
    this.isSnubbed = true;
    this.pipeline.stalled();
  }

  /** Payload in both directions. */
  get transferredBytes(): number {
    return this.#down.total + this.#up.total;
  }

  // -------------------------------------------------------------- PeerSession

  onBlock(block: Block): { buffer: PieceBuffer; offset: number } | undefined {
    if (this.picks === undefined) {
      this.blockDropped(block.length);
      return undefined;
    }
    const arrival = this.#swarm.transfer!.downloads.arriving(this, block);
    return arrival.discard === undefined ? arrival : undefined;
  }

  onBlockArrived(): void {
    this.#swarm.transfer?.downloads.arrived(this);
  }

  onTurnEnd(): void {
    if (this.incoming.length > 0) this.#swarm.transfer?.uploads.pump(this);
  }

  onDrain(): void {
    this.onTurnEnd();
  }

  onClose(reason: string, readError?: HostError): void {
    this.#swarm.onClosed(this, reason, readError);
  }

  onMessage(message: SessionMessage): void {
    const transfer = this.#swarm.transfer;
    switch (message.type) {
      case 'choke':
      case 'unchoke':
        this.#early.isChoking = message.type === 'choke';
        if (this.picks === undefined) return;
        this.picks.isChoking = this.#early.isChoking;
        if (this.#early.isChoking) transfer!.downloads.choked(this);
        else transfer!.downloads.fill(this);
        return;
      case 'interested':
      case 'not-interested':
        this.isInterested = message.type === 'interested';
        this.#swarm.onInterest(this);
        return;
      case 'have':
        this.#onHave(message.index);
        return;
      case 'bitfield':
        this.#onClaim(message.bits);
        return;
      case 'have-all':
      case 'have-none':
        if (!this.connection.isFast)
          throw new WireError('bad-field', 'The peer uses an extension it did not offer.');
        this.#onClaim(message.type === 'have-all');
        return;
      case 'request':
        if (transfer === undefined) this.reject([message]);
        else transfer.uploads.request(this, message);
        return;
      case 'cancel':
        transfer?.uploads.cancel(this, message);
        return;
      case 'reject':
        if (this.picks !== undefined) transfer!.downloads.rejected(this, message);
        return;
      case 'allowed-fast':
        this.#onAllowedFast(message.index);
        return;
      case 'suggest':
        return;
      case 'port':
        if (message.port === 0 || this.#hasToldDhtPort) return;
        this.#hasToldDhtPort = true;
        this.#swarm.onDhtNode({ host: this.connection.remoteAddress.host, port: message.port });
        return;
      case 'extended':
        this.#onExtended(message.id, message.payload);
        return;
    }
  }

  #onClaim(claim: boolean | Uint8Array): void {
    const transfer = this.#swarm.transfer;
    if (this.picks !== undefined && transfer !== undefined && this.#hasClaimed) {
      this.#addClaim(claim, transfer);
      return;
    }
    this.#hasClaimed = true;
    if (typeof claim === 'boolean') this.#early.all = claim;
    else this.#early.bits = claim.slice();
    if (this.picks === undefined || transfer === undefined) return;
    // The first words of a peer: start over with all it has, which is cheaper than piece by piece.
    this.#early.haves = this.picks.has;
    for (const index of this.picks.allowedFast) this.#earlyAllowed.add(index);
    transfer.downloads.removePeer(this);
    this.join(transfer, transfer.store.have.size);
  }

  /** aria2 sends a bitfield again in place of many haves. */
  #addClaim(claim: boolean | Uint8Array, transfer: Transfer): void {
    const { size } = transfer.store.have;
    const has =
      typeof claim === 'boolean'
        ? claim
          ? Bitfield.full(size)
          : new Bitfield(size)
        : Bitfield.from(claim, size);
    if (has === undefined) throw new WireError('bad-field', 'The peer sent a bitfield of the wrong size.');
    for (const index of has) transfer.picker.peerHas(this.picks!, index);
    this.updateInterest();
  }

  #onHave(index: number): void {
    const transfer = this.#swarm.transfer;
    if (this.picks === undefined || transfer === undefined) {
      if (index >= MAX_EARLY_PIECES) return;
      this.#early.haves ??= new Bitfield(MAX_EARLY_PIECES);
      this.#early.haves.set(index);
      return;
    }
    if (index >= this.picks.has.size)
      throw new WireError('bad-field', 'The peer has a piece that does not exist.');
    transfer.picker.peerHas(this.picks, index);
    this.updateInterest();
  }

  #onAllowedFast(index: number): void {
    const allowed = this.picks?.allowedFast ?? this.#earlyAllowed;
    if (allowed.size >= MAX_ALLOWED_FAST || index >= (this.picks?.has.size ?? MAX_EARLY_PIECES)) return;
    allowed.add(index);
    if (this.picks !== undefined) this.#swarm.transfer!.downloads.fill(this);
  }

  #onExtended(id: number, payload: Uint8Array): void {
    if (id === 0) {
      const handshake = decodeExtensionHandshake(payload);
      if (handshake === undefined)
        throw new WireError('bad-field', 'The extension handshake cannot be read.');
      this.extensions = handshake;
      if (handshake.requestQueue !== undefined) this.pipeline.setLimit(handshake.requestQueue);
      if (handshake.listenPort !== undefined) {
        this.listenAddress ??= { host: this.connection.remoteAddress.host, port: handshake.listenPort };
      }
      this.#swarm.onExtensions(this);
    } else if (id === LOCAL_EXTENSIONS.ut_metadata) {
      const message = decodeMetadataMessage(payload);
      if (message !== undefined) this.#swarm.onMetadata(this, message);
    }
  }
}
