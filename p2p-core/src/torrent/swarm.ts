/**
 * A torrent's connections: to whom to open one, whose to accept, which of two with the same peer to keep.
 * What is then said on them is the torrent's business.
 */
import { equalBytes, toHex } from '../bytes.ts';
import type { Address, Host } from '../host/host.ts';
import type { Handshake, HandshakeFlags } from '../wire/peer-messages.ts';
import type { Peer } from './peer.ts';
import { PeerBook } from './peer-book.ts';
import { PeerConnection } from './peer-connection.ts';

const MAX_CONNECTING = 20;
const CONNECT_TIMEOUT_MS = 10_000;
/** Connections that cross within this time are one meeting: both sides keep the same one. */
const CROSSING_MS = 5_000;
const SHORT_LIFE_MS = 10_000;

export interface SwarmOptions {
  /** 20 bytes. */
  readonly infoHash: Uint8Array;
  /** 20 bytes, our own. */
  readonly peerId: Uint8Array;
  readonly supports: HandshakeFlags;
  readonly maxPeers: number;
}

/** What the torrent decides. */
export interface SwarmEvents {
  /** Peers may come. */
  isOpen(): boolean;
  /** We look for peers ourselves. */
  isConnecting(): boolean;
  isSeeding(): boolean;
  makePeer(connection: PeerConnection): Peer;
  /** The peer was accepted: the first words are ours to say. */
  onJoined(peer: Peer): void;
  /** The peer no longer counts; its connection is closed or closing. */
  onLeft(peer: Peer): void;
}

export class Swarm {
  readonly book = new PeerBook();
  readonly peers = new Set<Peer>();
  /** The same, by peer id in hex. */
  readonly #byId = new Map<string, Peer>();
  readonly #host: Host;
  readonly #events: SwarmEvents;
  readonly #options: SwarmOptions;
  readonly #connecting = new Set<PeerConnection>();

  constructor(components: { host: Host; events: SwarmEvents }, options: SwarmOptions) {
    this.#host = components.host;
    this.#events = components.events;
    this.#options = options;
  }

  /** Opens connections to known addresses, as far as there is room. */
  connect(): void {
    if (!this.#events.isConnecting()) return;
    const { infoHash, peerId, supports, maxPeers } = this.#options;
    const room = maxPeers - this.peers.size - this.#connecting.size;
    const count = Math.min(room, MAX_CONNECTING - this.#connecting.size);
    for (const address of this.book.take(count, this.#events.isSeeding(), this.#host.clock.now())) {
      const connection = new PeerConnection(this.#host, {
        infoHash,
        peerId,
        supports,
        welcome: (ready, handshake) => this.welcome(ready, handshake),
        onEnd: (ended) => {
          if (this.#connecting.delete(ended)) this.#noteEnd(address, { failed: true, isSeed: false });
          this.connect();
        },
      });
      this.#connecting.add(connection);
      connection.attach(this.#host.net.connectTcp(address, connection, { timeoutMs: CONNECT_TIMEOUT_MS }));
    }
  }

  /** A connection has shaken hands for this torrent: gives its peer, or the reason why it is not taken. */
  welcome(connection: PeerConnection, handshake: Handshake): Peer | string {
    const address = connection.remoteAddress;
    if (equalBytes(handshake.peerId, this.#options.peerId)) {
      if (connection.isOutgoing) this.book.avoid(address);
      return 'That is ourselves.';
    }
    if (!this.#events.isOpen()) return 'The torrent is not ready for peers.';
    if (this.book.isBanned(address, connection.peerIdHex)) return 'The peer is banned.';
    const double = this.#byId.get(connection.peerIdHex);
    if (double !== undefined && !this.#replaces(double, connection)) return 'The peer is connected already.';
    if (this.peers.size >= this.#options.maxPeers) return 'There is no room for more peers.';
    this.#connecting.delete(connection);
    const peer = this.#events.makePeer(connection);
    this.peers.add(peer);
    this.#byId.set(connection.peerIdHex, peer);
    this.noteListening(peer);
    this.#events.onJoined(peer);
    return peer;
  }

  /** Of two connections with one peer, keeps the one that both sides will choose. True if it is the new one. */
  #replaces(old: Peer, connection: PeerConnection): boolean {
    const isOursHigher = toHex(this.#options.peerId) > connection.peerIdHex;
    const isCrossing =
      this.#host.clock.now() - old.connectedMs < CROSSING_MS &&
      old.connection.isOutgoing !== connection.isOutgoing;
    if (!isCrossing || connection.isOutgoing !== isOursHigher) {
      // Known now under this address too: no reason to try it again and again.
      if (connection.isOutgoing) old.listenAddress ??= connection.remoteAddress;
      return false;
    }
    old.connection.close('The peer connected twice.');
    this.#forget(old);
    return true;
  }

  /** It is known where the peer listens: it need not be connected to, and is worth remembering. */
  noteListening(peer: Peer): void {
    if (peer.listenAddress !== undefined) this.book.connected(peer.listenAddress);
  }

  ban(peer: Peer, reason: string): void {
    this.book.ban(peer.listenAddress ?? peer.connection.remoteAddress, peer.connection.peerIdHex);
    peer.connection.close(reason);
  }

  /** To be called when a peer's connection has ended. */
  closed(peer: Peer): void {
    const { isSeed } = peer;
    const livedMs = this.#host.clock.now() - peer.connectedMs;
    // One that hangs up at once, and gave and took nothing, is as good as not there.
    const failed = livedMs < SHORT_LIFE_MS && peer.transferredBytes === 0;
    this.#forget(peer);
    if (peer.listenAddress !== undefined) this.#noteEnd(peer.listenAddress, { failed, isSeed });
    this.connect();
  }

  closeAll(reason: string): void {
    for (const peer of [...this.peers]) peer.connection.close(reason);
    for (const connection of [...this.#connecting]) connection.close(reason);
  }

  #forget(peer: Peer): void {
    if (!this.peers.delete(peer)) return;
    this.#byId.delete(peer.connection.peerIdHex);
    this.#events.onLeft(peer);
  }

  #noteEnd(address: Address, outcome: { failed: boolean; isSeed: boolean }): void {
    const { clock, random } = this.#host;
    this.book.ended(address, outcome, clock.now(), random.float());
  }
}
