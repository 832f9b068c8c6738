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
import type { ChokerPeer } from './choker.ts';
import { claimed, EarlyClaims } from './early-claims.ts';
import type { PeerConnection, PeerSession, SessionMessage } from './peer-connection.ts';
import type { PickerPeer } from './picks.ts';
import { RateMeter } from './rate.ts';
import { RequestPipeline } from './request-pipeline.ts';
import type { Transfer } from './transfer.ts';

/** Dropped bytes that are forgiven beyond as many as were of use. */
const MAX_DROPPED_BYTES = 64 * 1024 * 1024;
const MAX_ALLOWED_FAST = 1024;

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
  /** How many of the pieces that came since it was told what we have, it was told of. */
  toldHaves = 0;
  /** Of its requests that were taken. */
  lastAskedPiece = -1;
  readonly pipeline: RequestPipeline;
  lastBlockMs: number;
  /** When the block that is arriving began to. */
  blockBegunMs: number;
  readonly #swarm: PeerSwarm;
  readonly #down: RateMeter;
  readonly #up: RateMeter;
  /** Until `join`. */
  #early: EarlyClaims | undefined = new EarlyClaims();
  #hasToldDhtPort = false;
  /** It told of pieces, and we have not looked yet whether we want them. */
  #hasNews = false;
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
    return this.picks?.has.isFull ?? this.#early!.isSeed;
  }

  /** As far as it has said. */
  hasPiece(index: number): boolean {
    return this.picks?.has.has(index) === true;
  }

  downloadRate(nowMs: number): number {
    return this.#down.bytesPerSecond(nowMs);
  }

  uploadRate(nowMs: number): number {
    return this.#up.bytesPerSecond(nowMs);
  }

  // -------------------------------------------------------------- what we tell it

  /** Metadata and files are there: what was claimed so far is taken at its word from here on. */
  join({ picker, downloads, info }: Transfer): void {
    const early = this.#early!;
    const has = early.resolve(info.pieceCount);
    if (has === undefined) {
      this.connection.close('The peer sent a bitfield of the wrong size.');
      return;
    }
    this.picks = picker.addPeer(this, has);
    this.#early = undefined;
    picker.setChoking(this.picks, early.isChoking);
    for (const index of early.allowedFast) picker.allow(this.picks, index);
    downloads.addPeer(this);
    this.#follow();
  }

  /** Tells the peer whether it has anything that we want, if that has changed. */
  updateInterest(): void {
    const isInteresting = (this.picks?.interesting ?? 0) > 0;
    if (isInteresting === this.amInterested) return;
    this.amInterested = isInteresting;
    this.connection.send({ type: isInteresting ? 'interested' : 'not-interested' });
  }

  /** The peer has more than before: perhaps something to ask for. */
  #follow(): void {
    this.#hasNews = false;
    if (this.picks!.interesting === 0) return;
    this.updateInterest();
    this.#swarm.transfer?.downloads.fill(this);
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
    if (this.#hasNews) this.#follow();
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
        this.#onChoking(message.type === 'choke');
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
        if (this.picks !== undefined && message.index < this.picks.has.size)
          transfer!.picker.suggested(this.picks, message.index);
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

  #onChoking(isChoking: boolean): void {
    if (this.picks === undefined) {
      this.#early!.isChoking = isChoking;
      return;
    }
    const { picker, downloads } = this.#swarm.transfer!;
    picker.setChoking(this.picks, isChoking);
    if (isChoking) downloads.choked(this);
    else downloads.fill(this);
  }

  /** Besides what it has claimed before: aria2 sends a bitfield again in place of many haves. */
  #onClaim(claim: boolean | Uint8Array): void {
    if (this.picks === undefined) {
      this.#early!.claim(claim);
      return;
    }
    const has = claimed(claim, this.picks.has.size);
    if (has === undefined) throw new WireError('bad-field', 'The peer sent a bitfield of the wrong size.');
    this.#swarm.transfer!.picker.peerHasAll(this.picks, has);
    this.#follow();
  }

  #onHave(index: number): void {
    if (this.picks === undefined) {
      this.#early!.have(index);
      return;
    }
    if (index >= this.picks.has.size)
      throw new WireError('bad-field', 'The peer has a piece that does not exist.');
    this.#swarm.transfer!.picker.peerHas(this.picks, index);
    // Haves come in runs: what they lead to is asked for once, at the turn's end.
    this.#hasNews = true;
  }

  #onAllowedFast(index: number): void {
    if (this.picks === undefined) {
      this.#early!.allow(index, MAX_ALLOWED_FAST);
      return;
    }
    const isTaken = index < this.picks.has.size && (this.picks.allowedFast?.size ?? 0) < MAX_ALLOWED_FAST;
    if (!isTaken) return;
    this.#swarm.transfer!.picker.allow(this.picks, index);
    this.#swarm.transfer!.downloads.fill(this);
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
