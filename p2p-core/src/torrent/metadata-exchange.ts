/**
 * Fetches the info dictionary of a magnet from peers (BEP 9). Pure: told of peers and answers, it tells
 * what to ask of whom, and when it has bytes whose hash is the infohash.
 *
 * A peer's word on the size is not to be trusted, so pieces gathered under different sizes are kept apart,
 * nothing is allocated before it has come, and pieces are asked of several peers. If the whole turns out
 * wrong and one peer alone gave it, that peer is to blame; otherwise it is fetched from one peer next time.
 */
import { equalBytes } from '../bytes.ts';
import type { Compute } from '../host/host.ts';
import { MAX_INFO_BYTES } from '../metainfo/index.ts';
import { METADATA_PIECE_LENGTH } from '../wire/extension-messages.ts';

const REQUESTS_PER_PEER = 4;
const TIMEOUT_MS = 8_000;
/** A peer that rejected, or did not answer, is left alone this long. */
const REST_MS = 5_000;

interface Source<P> {
  readonly peer: P;
  readonly size: number;
  /** Pieces asked for, with when. */
  readonly asked: Map<number, number>;
  restsUntilMs: number;
}

interface Assembly<P> {
  readonly pieces: (Uint8Array | undefined)[];
  missing: number;
  readonly contributors: Set<P>;
  /** The only peer that may contribute, after a failure that nobody could be blamed for. */
  solo: P | undefined;
  wantsSolo: boolean;
}

export type MetadataOutcome<P> =
  | { readonly type: 'more' }
  | { readonly type: 'complete'; readonly infoBytes: Uint8Array }
  /** `culprit` gave it all, and it is wrong. */
  | { readonly type: 'corrupt'; readonly culprit: P | undefined };

export interface MetadataRequest<P> {
  readonly peer: P;
  readonly piece: number;
}

export class MetadataExchange<P> {
  readonly #compute: Compute;
  readonly #infoHash: Uint8Array;
  readonly #sources = new Map<P, Source<P>>();
  readonly #assemblies = new Map<number, Assembly<P>>();

  constructor(components: { compute: Compute }, infoHash: Uint8Array) {
    this.#compute = components.compute;
    this.#infoHash = infoHash;
  }

  /** Sizes that peers claim. */
  get assemblyCount(): number {
    return this.#assemblies.size;
  }

  /** A peer says that it has the info dictionary. False if it cannot be so. */
  addPeer(peer: P, size: number): boolean {
    if (size < 1 || size > MAX_INFO_BYTES) return false;
    const known = this.#sources.get(peer);
    if (known?.size === size) return true;
    // One claim a peer: whoever changes its mind takes back what it said before.
    if (known !== undefined) this.removePeer(peer);
    this.#sources.set(peer, { peer, size, asked: new Map(), restsUntilMs: 0 });
    if (!this.#assemblies.has(size)) this.#assemblies.set(size, newAssembly(size));
    return true;
  }

  removePeer(peer: P): void {
    const source = this.#sources.get(peer);
    if (source === undefined) return;
    this.#sources.delete(peer);
    this.#replaceSolo(source);
    // The table is bounded by the peers connected: a size that nobody claims any more goes too.
    if (![...this.#sources.values()].some((other) => other.size === source.size)) {
      this.#assemblies.delete(source.size);
    }
  }

  /** What is to be asked for at this moment. To be called when something changed, and every second for what has timed out. */
  requests(nowMs: number): MetadataRequest<P>[] {
    const requests: MetadataRequest<P>[] = [];
    for (const source of [...this.#sources.values()]) {
      for (const [piece, askedMs] of source.asked) {
        if (nowMs - askedMs <= TIMEOUT_MS) continue;
        source.asked.delete(piece);
        this.#rest(source, nowMs);
      }
    }
    for (const source of this.#sources.values()) {
      const assembly = this.#assemblies.get(source.size)!;
      if (nowMs < source.restsUntilMs) continue;
      if (assembly.wantsSolo) assembly.solo ??= source.peer;
      if (assembly.wantsSolo && assembly.solo !== source.peer) continue;
      for (let piece = 0; piece < assembly.pieces.length; piece++) {
        if (source.asked.size >= REQUESTS_PER_PEER) break;
        if (assembly.pieces[piece] !== undefined || this.#isAsked(source.size, piece)) continue;
        source.asked.set(piece, nowMs);
        requests.push({ peer: source.peer, piece });
      }
    }
    return requests;
  }

  /** A piece has come; `data` is copied. What was not asked for is ignored. */
  data(peer: P, piece: number, data: Uint8Array): MetadataOutcome<P> {
    const source = this.#sources.get(peer);
    const assembly = source && this.#assemblies.get(source.size);
    if (source === undefined || assembly === undefined || !source.asked.delete(piece))
      return { type: 'more' };
    const expected = Math.min(METADATA_PIECE_LENGTH, source.size - piece * METADATA_PIECE_LENGTH);
    if (data.length !== expected) return { type: 'corrupt', culprit: peer };
    if (assembly.wantsSolo && assembly.solo !== peer) return { type: 'more' };
    if (assembly.pieces[piece] !== undefined) return { type: 'more' };
    assembly.pieces[piece] = data.slice();
    assembly.contributors.add(peer);
    if (--assembly.missing > 0) return { type: 'more' };

    const infoBytes = join(assembly.pieces as Uint8Array[], source.size);
    if (equalBytes(this.#compute.hash('sha1', infoBytes), this.#infoHash))
      return { type: 'complete', infoBytes };
    this.#assemblies.set(source.size, newAssembly(source.size, true));
    return { type: 'corrupt', culprit: assembly.contributors.size === 1 ? peer : undefined };
  }

  rejected(peer: P, piece: number, nowMs: number): void {
    const source = this.#sources.get(peer);
    if (source?.asked.delete(piece)) this.#rest(source, nowMs);
  }

  #rest(source: Source<P>, nowMs: number): void {
    source.restsUntilMs = nowMs + REST_MS;
    this.#replaceSolo(source);
    // Others are asked before it from now on, or it would be chosen again after its rest.
    this.#sources.delete(source.peer);
    this.#sources.set(source.peer, source);
  }

  /** The only peer that was to contribute will not: another may, from the start. */
  #replaceSolo({ peer, size }: Source<P>): void {
    if (this.#assemblies.get(size)?.solo === peer) this.#assemblies.set(size, newAssembly(size, true));
  }

  #isAsked(size: number, piece: number): boolean {
    for (const source of this.#sources.values()) {
      if (source.size === size && source.asked.has(piece)) return true;
    }
    return false;
  }
}

function newAssembly<P>(size: number, wantsSolo = false): Assembly<P> {
  const count = Math.ceil(size / METADATA_PIECE_LENGTH);
  return {
    pieces: new Array<Uint8Array | undefined>(count).fill(undefined),
    missing: count,
    contributors: new Set(),
    solo: undefined,
    wantsSolo,
  };
}

function join(pieces: readonly Uint8Array[], size: number): Uint8Array {
  const bytes = new Uint8Array(size);
  pieces.forEach((piece, i) => {
    bytes.set(piece, i * METADATA_PIECE_LENGTH);
  });
  return bytes;
}
