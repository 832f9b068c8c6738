/**
 * The Host seam: the one small set of interfaces through which every line of Skep touches the world.
 *
 * Protocol code receives a Host and never reaches past it, so the same code runs on real sockets
 * (NodeHost), under virtual time (SimHost) and behind injected faults (ShapedHost). Each interface says
 * what it guarantees; `compliance.ts` holds every implementation to it.
 *
 * Rules that hold throughout:
 * - Callbacks are never called from inside the call that registered them, only later.
 * - No callback may throw; a Host that catches a throw reports it through `HostOptions.onUncaught` and
 *   destroys the socket it came from.
 * - A failed operation gives a HostError, whose `code` is one of HostErrorCode.
 * - Times are milliseconds, sizes are bytes, rates are bytes per second.
 */
export interface Host {
  readonly clock: Clock;
  readonly random: Random;
  readonly net: Network;
  readonly http: Http;
  readonly files: Files;
  readonly payload: Payload;
  readonly compute: Compute;
}

export type HostErrorCode =
  | 'refused'
  | 'timeout'
  | 'reset'
  | 'unreachable'
  | 'closed'
  | 'address-in-use'
  | 'address-unavailable'
  | 'name-not-found'
  | 'not-found'
  | 'exists'
  | 'permission'
  | 'untrusted'
  | 'disk-full'
  | 'too-large'
  | 'unsafe-path'
  | 'io';

/** A failure of the world, told by code so that callers can decide; `message` says what to do about it. */
export class HostError extends Error {
  readonly code: HostErrorCode;
  constructor(code: HostErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'HostError';
    this.code = code;
  }
}

// ---------------------------------------------------------------- time and chance

export interface Clock {
  /** Monotonic milliseconds since an arbitrary origin; never goes back, is not moved by clock changes. */
  now(): number;
  /** Milliseconds since the Unix epoch as this machine believes; may jump either way. */
  wallTime(): number;
  /** Calls `callback` once, no earlier than `delayMs` from now. Timers due at one instant run in the order set. */
  setTimer(delayMs: number, callback: () => void): Timer;
}

export interface Timer {
  /** After this returns the callback will not be called. Harmless if it has been, or twice. */
  cancel(): void;
}

export interface Random {
  /** `length` bytes; cryptographically strong on a NodeHost, seeded on a SimHost. */
  bytes(length: number): Uint8Array;
  /** Uniform in [0, 1). Not for secrets. */
  float(): number;
}

// ---------------------------------------------------------------- network

/** `host` is an IP literal (v4 or v6, no brackets); names are resolved by `Network.resolve` first. */
export interface Address {
  readonly host: string;
  readonly port: number;
}

export interface Network {
  /** Opens a connection; returns at once, and tells `handler` by onOpen or onClose what became of it. */
  connectTcp(remote: Address, handler: TcpHandler, options?: { timeoutMs?: number }): TcpConnection;
  /** Port 0 asks for a free one. `accept` gives the handler of each arriving connection. Rejects address-in-use. */
  listenTcp(local: Address, accept: (connection: TcpConnection) => TcpHandler): Promise<TcpListener>;
  /** Port 0 asks for a free one. `message` is a borrowed view, valid during the call only. */
  bindUdp(local: Address, onMessage: (message: Uint8Array, from: Address) => void): Promise<UdpSocket>;
  /** IP literals of a host name, at least one, v4 first. Rejects name-not-found. */
  resolve(name: string): Promise<readonly string[]>;
}

export interface TcpListener {
  readonly local: Address;
  /** Stops accepting; connections already accepted live on. */
  close(): Promise<void>;
}

export interface UdpSocket {
  readonly local: Address;
  /** Sends if it can and forgets: loss is normal, errors are not reported. The bytes are copied. */
  send(message: Uint8Array, to: Address): void;
  close(): void;
}

/**
 * What becomes of a connection's received bytes. Bytes are offered in order and exactly once consumed.
 * After onClose nothing more is called.
 */
export interface TcpHandler {
  onOpen?(): void;
  /**
   * `view` holds the received bytes not consumed yet, is borrowed, and valid during the call only. Returns
   * how many were consumed; the rest is offered again, in front of what arrives next. A handler that will
   * never accept what it sees must call `destroy`: what it leaves is buffered, to 2 MiB, then the
   * connection is destroyed with too-large.
   */
  onBytes(view: Uint8Array): number;
  /** All of the extent asked for by `receivePayload` has arrived in its buffer. */
  onPayload?(): void;
  /** `queuedBytes` fell below half of `TcpConnection.highWaterBytes` after having been above it. */
  onDrain?(): void;
  /**
   * The peer has ended its side: nothing more arrives. A handler that has this must call `close` itself,
   * once it has sent what it will; for one without it the connection closes by itself.
   */
  onEnd?(): void;
  /** A block given to `sendBlocks` could not be read. The connection is destroyed after this. */
  onReadError?(error: HostError): void;
  /** Exactly once: both sides are done. `error` is missing after an orderly end. */
  onClose(error?: HostError): void;
}

export interface TcpConnection {
  readonly remote: Address;
  readonly local: Address;
  /** Bytes accepted by send and sendBlocks that the network has not taken yet. */
  readonly queuedBytes: number;
  /** A sender that respects back-pressure stops above this and waits for onDrain. */
  readonly highWaterBytes: number;
  /** Takes ownership of `bytes`: the caller must not change them afterwards. Ignored once closed. */
  send(bytes: Uint8Array): void;
  /**
   * The data path out: for each block in turn, its header and then its bytes straight from `content`.
   * Order with `send` is kept. Neighbouring blocks are read together.
   */
  sendBlocks(content: Content, blocks: readonly OutgoingBlock[]): void;
  /**
   * The data path in: the next `length` bytes of the stream (after those the current onBytes call
   * reports as consumed) are put into `target` at `targetOffset` without being shown, then onPayload is
   * called, then onBytes goes on. Called from inside onBytes only, which must return right after.
   * `target` undefined discards the bytes. A released target discards them too.
   */
  receivePayload(length: number, target: PieceBuffer | undefined, targetOffset: number): void;
  /**
   * While held, nothing is offered to the handler: arriving bytes wait with the network, where only so many
   * find room, and then the sender waits. When let go, what the handler left is offered again, later.
   */
  holdInput(isHeld: boolean): void;
  /** Sends what is queued, then ends; onClose follows. */
  close(): void;
  /** Drops everything at once; onClose follows. */
  destroy(error?: HostError): void;
}

export interface OutgoingBlock {
  /** Bytes that go before the block: its message header. Owned by the Host from here on. */
  readonly header: Uint8Array;
  readonly offset: number;
  readonly length: number;
}

// ---------------------------------------------------------------- HTTP

export interface Http {
  /**
   * The fetch of the Web, without redirects being followed to other schemes than http and https. Rejects
   * with HostError: `untrusted` if the server has no certificate that this Host trusts for its name. A body that is
   * not read must be cancelled.
   */
  fetch(url: string, init?: HttpInit): Promise<Response>;
  /** Serves with a fetch-shaped handler; a handler's streaming bodies are streamed. Rejects address-in-use. */
  serve(local: Address, handler: HttpHandler, options?: HttpServerOptions): Promise<HttpServer>;
}

export interface HttpInit {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array;
  /** Ends the exchange with `timeout`; covers the body too. Default 30 000; Infinity for streams. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

export interface HttpServerOptions {
  /** A longer request body is answered with 413, and never held in memory. @default 1 MiB */
  readonly maxBodyBytes?: number;
  /** Serves https, and nothing else. @default http */
  readonly tls?: ServerIdentity;
}

/** By what a server is known to who trusts its certificate. Both in PEM. */
export interface ServerIdentity {
  readonly key: string;
  readonly certificate: string;
}

export type HttpHandler = (request: Request, remote: Address) => Response | Promise<Response>;

export interface HttpServer {
  readonly local: Address;
  /** Stops accepting and ends what is open: streams and held requests included. */
  close(): Promise<void>;
}

// ---------------------------------------------------------------- files

/** Small files, read and written whole. Payload goes through `Payload`. */
export interface Files {
  /** Rejects not-found, or too-large before reading if the file is longer than `maxBytes`. */
  read(path: string, maxBytes: number): Promise<Uint8Array>;
  /**
   * Replaces or makes the file so that a crash at any moment leaves the old or the new content, never a
   * mixture, and once resolved the new one survives power loss. Makes missing parent directories.
   */
  writeAtomic(path: string, bytes: Uint8Array): Promise<void>;
  /** Appends, making the file if missing. A crash may keep any prefix; no sync is done. Calls on one path keep their order. */
  append(path: string, bytes: Uint8Array): Promise<void>;
  /** Makes a file that must not exist yet; rejects `exists`. Of two racers one wins. */
  createExclusive(path: string, bytes: Uint8Array): Promise<void>;
  /** Entries of a directory, sorted by name in code-unit order. Rejects not-found. */
  list(path: string): Promise<readonly FileEntry[]>;
  /** Missing files give undefined. Symbolic links are followed. */
  stat(path: string): Promise<FileStat | undefined>;
  /** With parents; harmless if it exists. */
  makeDirectory(path: string): Promise<void>;
  /** A file, or a directory with all that is in it. Harmless if missing. */
  remove(path: string): Promise<void>;
  /** How many bytes can still be written to the disk that holds a directory, which must exist. Rejects not-found. */
  freeBytes(directory: string): Promise<number>;
}

export interface FileEntry {
  readonly name: string;
  readonly kind: 'file' | 'directory' | 'other';
}

export interface FileStat {
  readonly kind: 'file' | 'directory' | 'other';
  readonly sizeBytes: number;
  readonly modifiedMs: number;
}

// ---------------------------------------------------------------- payload

/** The data path. Payload bytes are the Host's: protocol code moves extents of them and never looks inside. */
export interface Payload {
  /** Opens files laid end to end as one range of bytes. Nothing is created before something is stored. */
  openContent(layout: ContentLayout): Promise<Content>;
  /** A buffer for one piece, pooled; `release` it exactly once. */
  allocatePiece(length: number): PieceBuffer;
}

export interface ContentLayout {
  /** The directory below which every file lies; nothing outside it is ever opened. */
  readonly root: string;
  /** `path` is relative, '/'-separated, already sanitised; a Host still refuses escapes (unsafe-path), symlinks included. */
  readonly files: readonly { readonly path: string; readonly length: number }[];
  /** A read-only content is never written: storePiece rejects `permission`. */
  readonly readOnly?: boolean;
}

export interface Content {
  readonly length: number;
  /**
   * This piece to file and hashed: takes the SHA-1 of the buffer and, only if it equals `expectedSha1`
   * (20 bytes), writes it at `offset`, creating sparse files on the way. The buffer may be released once this settles.
   * Rejects disk-full, not-found (root vanished), permission, io; then nothing of the piece counts as stored.
   */
  storePiece(piece: PieceBuffer, offset: number, expectedSha1: Uint8Array): Promise<'stored' | 'corrupt'>;
  /** Digest of a range as it is on disk, off the main thread. Rejects not-found, or io if the range is not all there. */
  hashRange(offset: number, length: number, algorithm: HashAlgorithm): Promise<Uint8Array>;
  /** Creates every file at its full length (sparse), zero-length ones included. */
  createFiles(): Promise<void>;
  /** What has been stored survives power loss once this resolves. */
  sync(): Promise<void>;
  close(): Promise<void>;
}

export interface PieceBuffer {
  readonly length: number;
  release(): void;
}

// ---------------------------------------------------------------- compute

export type HashAlgorithm = 'sha1' | 'sha256';

export interface Compute {
  /** Digest of a small message, at once (hashing of payload belongs to Content). */
  hash(algorithm: HashAlgorithm, bytes: Uint8Array): Uint8Array;
  hmacSha256(key: Uint8Array, bytes: Uint8Array): Uint8Array;
  /** How many hashRange calls are worth having under way at once. */
  readonly parallelism: number;
}
