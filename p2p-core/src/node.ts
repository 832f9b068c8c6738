/**
 * A BitTorrent node: the facade that a user of the library reads first.
 *
 *     const host = createNodeHost();
 *     const node = await createNode({ host }, { listen: { host: '0.0.0.0', port: 6881 } });
 *     const torrent = await node.add({ magnet: 'magnet:?xt=urn:btih:…', contentRoot: '/srv/files', mode: 'download' });
 *     await torrent.waitFor((status) => status.state === 'seeding');
 *     await node.close();
 *
 * One node holds many torrents: they share the TCP port, the UDP port of the same number where the DHT
 * answers, the peer id and the limits.
 */
import { concatBytes, toHex } from './bytes.ts';
import { createDht, type Dht } from './discovery/dht/index.ts';
import { dhtSource } from './discovery/dht-source.ts';
import { trackerSource } from './discovery/tracker-source.ts';
import { addressFamily } from './host/address.ts';
import { type Address, type Host, HostError, type TcpConnection, type TcpListener } from './host/host.ts';
import { type Metainfo, parseMagnet } from './metainfo/index.ts';
import { PeerConnection } from './torrent/peer-connection.ts';
import { TokenBucket } from './torrent/rate.ts';
import { TorrentError } from './torrent/status.ts';
import { Torrent } from './torrent/torrent.ts';
import type { HandshakeFlags } from './wire/peer-messages.ts';

export interface NodeOptions {
  /** Where peers reach us, TCP and UDP alike; port 0 asks for a free one. */
  readonly listen: Address;
  /** Directory for what survives restarts: resume states of torrents, nodes of the DHT. Left out, nothing does. */
  readonly dataDirectory?: string;
  /** `false` runs none. `bootstrap` may hold host names. @default a DHT node without bootstrap */
  readonly dht?: DhtChoice | false;
  /** Bytes per second of payload, over all torrents. @default unlimited */
  readonly uploadBytesPerSecond?: number;
  readonly downloadBytesPerSecond?: number;
  /** Connected peers per torrent. @default 80 */
  readonly maxPeers?: number;
  /** First bytes of the peer id, at most 20 ASCII characters; the rest is random (BEP 20). @default '-SK0100-' */
  readonly peerIdPrefix?: string;
}

export interface DhtChoice {
  readonly bootstrap: readonly Address[];
  /** Ask, but do not answer (BEP 43). */
  readonly readOnly?: boolean;
}

export interface AddOptions {
  /** What to share: exactly one of the two. */
  readonly metainfo?: Metainfo;
  readonly magnet?: string;
  /** Directory that holds the content, under the torrent's name. */
  readonly contentRoot: string;
  /** `seed`: all of it is there, and nothing is ever written. `download`: fetch what is missing, then seed. */
  readonly mode: 'seed' | 'download';
  /** Where this torrent's resume state goes. @default below the node's data directory */
  readonly stateDirectory?: string;
  /** Peers to connect to, beside those found; hosts may be names. */
  readonly peers?: readonly Address[];
  /** URLs of trackers beside the torrent's own. */
  readonly trackers?: readonly string[];
  /** As a seed, suggest to each peer what nobody else is being sent (BEP 6): the swarm needs it less often. @default true */
  readonly suggest?: boolean;
  readonly uploadBytesPerSecond?: number;
  readonly downloadBytesPerSecond?: number;
}

export interface Node {
  /** The address listened on, with the real port. */
  readonly listen: Address;
  /** 20 bytes. */
  readonly peerId: Uint8Array;
  /** Undefined if it was switched off. */
  readonly dht: Dht | undefined;
  readonly torrents: ReadonlyMap<string, Torrent>;
  /** Begins to share a torrent. Rejects with MetainfoError, or TorrentError if it is here already. */
  add(options: AddOptions): Promise<Torrent>;
  /** Stops a torrent and forgets its resume state; content stays on disk. */
  remove(torrent: Torrent): Promise<void>;
  /** Stops all torrents, saves what survives, closes all sockets. */
  close(): Promise<void>;
}

const CLIENT_NAME = 'Skep 0.1.0';
const PEER_ID_PREFIX = '-SK0100-';
const PEER_ID_LENGTH = 20;
const DEFAULT_MAX_PEERS = 80;
/** Connections that have not told yet which torrent they want. */
const MAX_STRANGERS = 200;
/** Tries to find a number that is free for TCP and UDP both. */
const PORT_TRIES = 20;
const MAX_DHT_STATE_BYTES = 1 << 20;

/** Starts a node. Rejects with HostError address-in-use, with what to do about it. */
export async function createNode({ host }: { host: Host }, options: NodeOptions): Promise<Node> {
  const node = new TorrentNode(host, options);
  await node.open();
  return node;
}

class TorrentNode implements Node {
  readonly peerId: Uint8Array;
  readonly torrents = new Map<string, Torrent>();
  readonly #host: Host;
  readonly #options: NodeOptions;
  readonly #supports: HandshakeFlags;
  readonly #uploadLimit: TokenBucket;
  readonly #downloadLimit: TokenBucket;
  readonly #strangers = new Set<PeerConnection>();
  #listener!: TcpListener;
  #dht: Dht | undefined;
  #closing: Promise<void> | undefined;

  constructor(host: Host, options: NodeOptions) {
    this.#host = host;
    this.#options = options;
    const prefix = new TextEncoder()
      .encode(options.peerIdPrefix ?? PEER_ID_PREFIX)
      .subarray(0, PEER_ID_LENGTH);
    this.peerId = concatBytes([prefix, host.random.bytes(PEER_ID_LENGTH - prefix.length)]);
    this.#supports = { extensions: true, fast: true, dht: options.dht !== false };
    const nowMs = host.clock.now();
    this.#uploadLimit = new TokenBucket(options.uploadBytesPerSecond ?? Infinity, nowMs);
    this.#downloadLimit = new TokenBucket(options.downloadBytesPerSecond ?? Infinity, nowMs);
  }

  get listen(): Address {
    return this.#listener.local;
  }

  get dht(): Dht | undefined {
    return this.#dht;
  }

  async open(): Promise<void> {
    const snapshot = await this.#loadDht();
    const bootstrap = await this.#resolveAll(
      this.#options.dht === false ? [] : (this.#options.dht?.bootstrap ?? []),
    );
    for (let tries = 1; ; tries++) {
      this.#listener = await this.#host.net.listenTcp(this.#options.listen, (tcp) => this.#accept(tcp));
      if (this.#options.dht === false) return;
      try {
        this.#dht = await createDht(
          { host: this.#host },
          { local: this.#listener.local, bootstrap, readOnly: this.#options.dht?.readOnly, snapshot },
        );
        return;
      } catch (error) {
        await this.#listener.close();
        const isTaken = error instanceof HostError && error.code === 'address-in-use';
        if (!isTaken || this.#options.listen.port !== 0 || tries === PORT_TRIES) throw error;
      }
    }
  }

  async add(options: AddOptions): Promise<Torrent> {
    const { metainfo } = options;
    const magnet = options.magnet === undefined ? undefined : parseMagnet(options.magnet);
    const infoHash = metainfo?.info.infoHash ?? magnet?.infoHash;
    if (infoHash === undefined || (metainfo !== undefined && magnet !== undefined)) {
      throw new TorrentError('bad-options', 'Give either a metainfo or a magnet.');
    }
    if (options.mode === 'seed' && metainfo === undefined) {
      throw new TorrentError(
        'bad-options',
        'Seeding needs the metainfo, a magnet does not say what to check.',
      );
    }
    const peers = await this.#resolveAll([...(magnet?.peers ?? []), ...(options.peers ?? [])]);
    const nodes = await this.#resolveAll(metainfo?.nodes ?? []);
    const key = toHex(infoHash);
    if (this.#closing !== undefined) throw new TorrentError('closed', 'The node is closed.');
    if (this.torrents.has(key)) throw new TorrentError('exists', `The node has torrent ${key} already.`);

    const dht = this.#dht;
    dht?.addNodes(nodes);
    const extraTiers = [...(magnet?.trackers ?? []), ...(options.trackers ?? [])].map((url) => [url]);
    const tiers = [...(metainfo?.trackers ?? []), ...extraTiers];
    const { dataDirectory, maxPeers } = this.#options;
    const torrent = new Torrent(
      {
        host: this.#host,
        peerId: this.peerId,
        supports: this.#supports,
        listenPort: this.listen.port,
        clientName: CLIENT_NAME,
        uploadLimit: this.#uploadLimit,
        downloadLimit: this.#downloadLimit,
        sources: [
          ...(tiers.length > 0 ? [trackerSource(this.#host, tiers)] : []),
          ...(dht === undefined ? [] : [dhtSource(dht)]),
        ],
        dhtPort: dht?.local.port,
        onDhtNode: (address) => dht?.addNodes([address]),
      },
      {
        infoHash,
        info: metainfo?.info,
        displayName: magnet?.displayName,
        contentRoot: options.contentRoot,
        stateDirectory: options.stateDirectory ?? (dataDirectory && `${dataDirectory}/torrents`),
        mode: options.mode,
        peers,
        maxPeers: maxPeers ?? DEFAULT_MAX_PEERS,
        suggests: options.suggest ?? true,
        uploadBytesPerSecond: options.uploadBytesPerSecond ?? Infinity,
        downloadBytesPerSecond: options.downloadBytesPerSecond ?? Infinity,
      },
    );
    this.torrents.set(key, torrent);
    torrent.start();
    return torrent;
  }

  async remove(torrent: Torrent): Promise<void> {
    const key = toHex(torrent.infoHash);
    try {
      // Until its state is gone nobody else may use the place of it.
      await torrent.remove();
    } finally {
      if (this.torrents.get(key) === torrent) this.torrents.delete(key);
    }
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    for (const stranger of this.#strangers) stranger.close('The node is closed.');
    await Promise.all([
      this.#listener.close(),
      ...[...this.torrents.values()].map((torrent) => torrent.stop()),
    ]);
    const path = this.#dhtStatePath();
    if (this.#dht !== undefined && path !== undefined) {
      // Only a convenience for the next start: a disk that refuses it must not keep the node from closing.
      await this.#host.files.writeAtomic(path, this.#dht.snapshot()).catch(() => {});
    }
    this.#dht?.close();
    this.torrents.clear();
  }

  #accept(tcp: TcpConnection): PeerConnection {
    const connection = new PeerConnection(this.#host, {
      peerId: this.peerId,
      supports: this.#supports,
      isServed: (infoHash) => this.torrents.has(toHex(infoHash)),
      welcome: (ready, handshake) => {
        this.#strangers.delete(ready);
        return this.torrents.get(toHex(handshake.infoHash))!.welcome(ready, handshake);
      },
      onEnd: (ended) => this.#strangers.delete(ended),
    });
    connection.attach(tcp);
    this.#strangers.add(connection);
    if (this.#strangers.size > MAX_STRANGERS || this.#closing !== undefined) {
      const [oldest] = this.#strangers;
      oldest!.close('Too many connections wait to be told which torrent they are for.');
    }
    return connection;
  }

  /** Names become addresses; those that cannot be resolved are left out. */
  async #resolveAll(addresses: readonly Address[]): Promise<Address[]> {
    const resolved = addresses.map(async ({ host, port }) => {
      if (addressFamily(host) !== undefined) return [{ host, port }];
      const found = await this.#host.net.resolve(host).catch(() => []);
      return found.slice(0, 1).map((literal) => ({ host: literal, port }));
    });
    return (await Promise.all(resolved)).flat();
  }

  #dhtStatePath(): string | undefined {
    return this.#options.dataDirectory && `${this.#options.dataDirectory}/dht`;
  }

  async #loadDht(): Promise<Uint8Array | undefined> {
    const path = this.#dhtStatePath();
    if (path === undefined) return undefined;
    return this.#host.files.read(path, MAX_DHT_STATE_BYTES).catch(() => undefined);
  }
}
