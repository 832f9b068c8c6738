/**
 * The mainline DHT (BEP 5) on a UDP socket of a Host: what other code uses. `createDht` binds, joins by itself and keeps the
 * table fresh; the rest of this folder is the protocol.
 */
import { type Address, type Host, HostError, type Timer, type UdpSocket } from '../../host/host.ts';
import { DhtNode, type DhtNodeOptions, type DhtTraffic } from './dht-node.ts';
import { isSendable, unpackEndpoint } from './endpoint.ts';
import { Joining } from './joining.ts';
import { NODE_INFO_LENGTH } from './krpc.ts';
import { ID_LENGTH, randomIdSharingPrefix, randomNodeId } from './node-id.ts';
import { Announcement, PeerSearch, type RepeatOptions, type SearchComponents } from './peer-search.ts';
import type { PeerStoreOptions } from './peer-store.ts';
import type { RateLimits } from './rate-limiter.ts';

export interface DhtOptions {
  /** IPv4 address to bind; port 0 asks for a free one. */
  readonly local: Address;
  /** 20 bytes; default that of `snapshot`, else random. */
  readonly nodeId?: Uint8Array;
  /** IP literals of nodes to enter by; may be empty, and may include our own address. */
  readonly bootstrap: readonly Address[];
  /** BEP 43: query but don't answer. For nodes that nobody can reach, or that live for a moment. */
  readonly readOnly?: boolean;
  /** What `snapshot()` returned in an earlier life. Anything else is ignored. */
  readonly snapshot?: Uint8Array;
  /** Queries answered per source; default 50 a second from an address and port, 20 times that from an address, in bursts of 4 s. */
  readonly rateLimits?: Partial<RateLimits>;
  readonly peerStore?: PeerStoreOptions;
}

export interface DhtStats extends DhtTraffic {
  /** Nodes in the routing table that are not bad. */
  readonly nodes: number;
  readonly buckets: number;
  /** Queries that wait for an answer. */
  readonly outstanding: number;
  /** Peers that others announced to this node, and for how many infohashes. */
  readonly peersStored: number;
  readonly infoHashesStored: number;
}

/** Calls none of its callbacks after the cancel function that belongs to them, nor after `close`. */
export interface Dht {
  readonly local: Address;
  /** 20 bytes. */
  readonly nodeId: Uint8Array;
  /** Nodes heard of elsewhere (a torrent's `nodes`, a PORT message); they are asked, not believed. */
  addNodes(addresses: readonly Address[]): void;
  /** Asks one node whether it is there; what is told is false if nothing came back in 4 seconds. Returns what cancels it. */
  ping(address: Address, onDone: (answered: boolean) => void): () => void;
  /**
   * Looks for peers and tells of them as nodes name them. `onDone` ends each round with the number of different peers it
   * found; one round is all, unless `repeat` asks for more. Returns what cancels it.
   */
  findPeers(
    infoHash: Uint8Array,
    onPeers: (peers: Address[]) => void,
    onDone?: (found: number) => void,
    repeat?: RepeatOptions,
  ): () => void;
  /**
   * Announces that a peer at our address and TCP `port` has this torrent, again every 15 minutes (the first times sooner) until
   * cancelled by what this returns. `onAnnounced` tells after each round how many nodes accepted, at most 8.
   */
  announce(infoHash: Uint8Array, port: number, onAnnounced?: (accepted: number) => void): () => void;
  stats(): DhtStats;
  /** Node id and known nodes, for `DhtOptions.snapshot` after a restart: 20 bytes, and 26 a node. */
  snapshot(): Uint8Array;
  close(): void;
}

const MAINTENANCE_INTERVAL_MS = 60_000;
const DEFAULT_RATE_LIMITS: RateLimits = { queriesPerSecond: 50, hostFactor: 20, burstSeconds: 4 };

/** Binds and starts to join; resolves once bound. Rejects with HostError, as `Network.bindUdp` does. */
export async function createDht({ host }: { host: Host }, options: DhtOptions): Promise<Dht> {
  const restored = readSnapshot(options.snapshot);
  const nodeOptions: DhtNodeOptions = {
    nodeId: options.nodeId?.slice() ?? restored?.nodeId ?? randomNodeId(host.random),
    readOnly: options.readOnly ?? false,
    rateLimits:
      options.rateLimits === undefined
        ? DEFAULT_RATE_LIMITS
        : { ...DEFAULT_RATE_LIMITS, ...options.rateLimits },
    peerStore: options.peerStore,
  };
  if (nodeOptions.nodeId.length !== ID_LENGTH)
    throw new RangeError(`a DHT node id has ${ID_LENGTH} bytes, not ${nodeOptions.nodeId.length}`);
  let node: DhtNode | undefined;
  const socket = await host.net.bindUdp(options.local, (datagram, from) => node?.receive(datagram, from));
  const dht = new SocketDht({ host, socket }, nodeOptions, options.bootstrap, restored?.addresses ?? []);
  node = dht.node;
  return dht;
}

class SocketDht implements Dht {
  readonly local: Address;
  readonly nodeId: Uint8Array;
  readonly #host: Host;
  readonly #socket: UdpSocket;
  /** Takes the datagrams that come. */
  readonly node: DhtNode;
  readonly #joining: Joining;
  readonly #search: SearchComponents;
  /** What runs until it is cancelled: ended by `close`. */
  readonly #running: { cancel(): void }[] = [];
  #maintenance: Timer;
  #isClosed = false;

  constructor(
    { host, socket }: { host: Host; socket: UdpSocket },
    options: DhtNodeOptions,
    bootstrap: readonly Address[],
    hints: readonly Address[],
  ) {
    this.#host = host;
    this.#socket = socket;
    this.local = socket.local;
    this.nodeId = options.nodeId;
    const { clock, random } = host;
    const node = new DhtNode({ host, socket }, options);
    this.node = node;
    const others = bootstrap.filter(({ host, port }) => port !== this.local.port || host !== this.local.host);
    this.#joining = new Joining({ clock, random, node }, others, hints);
    this.#search = {
      clock,
      node,
      whenJoined: (callback) => this.#joining.whenJoined(callback),
      seeds: () => this.#joining.seeds(),
    };
    // The first comes at a random moment, lest nodes that start together always work together.
    this.#maintenance = clock.setTimer(random.float() * MAINTENANCE_INTERVAL_MS, () => this.#maintain());
    this.#joining.start();
  }

  addNodes(addresses: readonly Address[]): void {
    if (!this.#isClosed && addresses.length > 0) this.#joining.addHints(addresses);
  }

  ping(address: Address, onDone: (answered: boolean) => void): () => void {
    if (this.#isClosed) throw closedError();
    let isCancelled = false;
    const call = {
      cancel: () => {
        isCancelled = true;
      },
    };
    this.node.call(address, (answered) => {
      if (isCancelled) return;
      this.#forget(call);
      onDone(answered);
    });
    return this.#run(call);
  }

  findPeers(
    infoHash: Uint8Array,
    onPeers: (peers: Address[]) => void,
    onDone?: (found: number) => void,
    repeat?: RepeatOptions,
  ): () => void {
    this.#assertUsable(infoHash);
    const search = new PeerSearch(this.#search, {
      infoHash: infoHash.slice(),
      onPeers,
      repeat,
      onDone: (found) => {
        if (repeat === undefined) this.#forget(search);
        onDone?.(found);
      },
    });
    return this.#run(search);
  }

  announce(infoHash: Uint8Array, port: number, onAnnounced?: (accepted: number) => void): () => void {
    this.#assertUsable(infoHash);
    if (!Number.isInteger(port) || port < 1 || port > 65535)
      throw new RangeError(`announce needs the TCP port that the peer listens at, 1 to 65535, not ${port}`);
    const ownHost = this.local.host === '0.0.0.0' ? undefined : this.local.host;
    const infoHashCopy = infoHash.slice();
    return this.#run(new Announcement(this.#search, { infoHash: infoHashCopy, port, ownHost, onAnnounced }));
  }

  stats(): DhtStats {
    const { table, peers, traffic, outstanding } = this.node;
    return {
      ...traffic,
      nodes: table.size,
      buckets: table.bucketCount,
      outstanding,
      peersStored: peers.peerCount,
      infoHashesStored: peers.infoHashCount,
    };
  }

  snapshot(): Uint8Array {
    const nodes = this.node.table.export();
    const bytes = new Uint8Array(ID_LENGTH + nodes.length);
    bytes.set(this.nodeId);
    bytes.set(nodes, ID_LENGTH);
    return bytes;
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    for (const task of this.#running.splice(0)) task.cancel();
    this.#maintenance.cancel();
    this.#joining.close();
    this.node.close();
    this.#socket.close();
  }

  #run(task: { cancel(): void }): () => void {
    this.#running.push(task);
    return () => {
      this.#forget(task);
      task.cancel();
    };
  }

  #assertUsable(infoHash: Uint8Array): void {
    if (this.#isClosed) throw closedError();
    if (infoHash.length !== ID_LENGTH)
      throw new RangeError(`a v1 infohash has ${ID_LENGTH} bytes, not ${infoHash.length}`);
  }

  #forget(task: { cancel(): void }): void {
    const index = this.#running.indexOf(task);
    if (index >= 0) this.#running.splice(index, 1);
  }

  #maintain(): void {
    this.#maintenance = this.#host.clock.setTimer(MAINTENANCE_INTERVAL_MS, () => this.#maintain());
    const nowMs = this.#host.clock.now();
    const { table, peers } = this.node;
    peers.expire(nowMs);
    this.#joining.check();
    for (const depth of table.takeStaleBuckets(nowMs)) {
      const target = randomIdSharingPrefix(this.#host.random, this.nodeId, depth);
      this.node.lookup({ target, method: 'find_node', seeds: this.#joining.seeds(), onDone: () => {} });
    }
  }
}

function closedError(): HostError {
  return new HostError('closed', 'this DHT node is closed; create another');
}

function readSnapshot(
  bytes: Uint8Array | undefined,
): { nodeId: Uint8Array; addresses: Address[] } | undefined {
  if (bytes === undefined || bytes.length < ID_LENGTH || (bytes.length - ID_LENGTH) % NODE_INFO_LENGTH !== 0)
    return undefined;
  const addresses: Address[] = [];
  for (let at = ID_LENGTH; at < bytes.length; at += NODE_INFO_LENGTH)
    if (isSendable(bytes, at + ID_LENGTH)) addresses.push(unpackEndpoint(bytes, at + ID_LENGTH));
  return { nodeId: bytes.slice(0, ID_LENGTH), addresses };
}
