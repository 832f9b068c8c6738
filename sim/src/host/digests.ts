/**
 * Digests of simulated payload. A piece of real bytes has its real SHA-1 or SHA-256, computed once however
 * many machines verify it. Real digests of synthetic content would cost a 4 GiB file's hashing for each
 * run, so they are modelled by default:
 *
 * - One good synthetic run has the digest of its description: seed, offset in the content, length.
 * - A run in which synthetic content is corrupt, shifted, or mixed with other bytes has the digest of the
 *   descriptions of its parts in order, which is another.
 *
 * So createMetainfo, hashRange and storePiece, unchanged, agree with each other on every machine of one
 * world, and two runs have one digest only if they hold the same bytes, as with real hashing. (The converse
 * holds while payload stays in extents; see extent.ts.)
 *
 * Nothing inside the simulation can forge one. Modelled digests are cut from SHA-512, and code under
 * simulation is given SHA-1 and SHA-256 only: to have bytes of its own pass for synthetic content it would
 * need a preimage. Nor does it see descriptions; it moves extents, which say what they are by themselves.
 *
 * `hashing: 'real'` hashes derived bytes instead, for small worlds: a run takes the same course with both.
 */
import { createHash, hash } from 'node:crypto';
import type { HashAlgorithm } from '@skep/p2p-core/host';
import type { Extent } from './extent.ts';
import { joinBytes, lengthOf, RealExtent, SyntheticExtent } from './extent.ts';

export type Hashing = 'real' | 'modelled';

const DIGEST_BYTES = { sha1: 20, sha256: 32 } as const;
/** Of one source, algorithm and length; more start anew. */
const MAX_CACHED_DIGESTS = 65_536;
const DOMAIN = 'skep simulated digest';

/** Digests of runs of one length of one source, by where they begin. */
export interface DigestTable {
  readonly algorithm: HashAlgorithm;
  readonly length: number;
  readonly byOffset: Map<number, Uint8Array>;
}

export class Digests {
  readonly #hashing: Hashing;

  constructor(hashing: Hashing) {
    this.#hashing = hashing;
  }

  /** Digest of extents laid end to end. Not to be written to: who asks next is given the same array. */
  of(algorithm: HashAlgorithm, extents: readonly Extent[]): Uint8Array {
    const runs = extents.length > 1 ? joinNeighbours(extents) : extents;
    const only = runs[0];
    if (runs.length !== 1 || only === undefined || !isCacheable(only)) return this.#compute(algorithm, runs);
    const byOffset = tableOf(only, algorithm);
    let digest = byOffset.get(only.offset);
    if (digest === undefined) {
      if (byOffset.size >= MAX_CACHED_DIGESTS) byOffset.clear();
      digest = this.#compute(algorithm, runs);
      byOffset.set(only.offset, digest);
    }
    return digest;
  }

  #compute(algorithm: HashAlgorithm, extents: readonly Extent[]): Uint8Array {
    if (this.#hashing === 'modelled' && extents.some((extent) => extent instanceof SyntheticExtent))
      return modelled(algorithm, extents);
    const hash = createHash(algorithm);
    for (const extent of extents) hash.update(extent.bytes());
    return new Uint8Array(hash.digest());
  }
}

function isCacheable(extent: Extent): extent is RealExtent | SyntheticExtent {
  return extent instanceof SyntheticExtent ? !extent.isCorrupt : extent instanceof RealExtent;
}

function tableOf(extent: RealExtent | SyntheticExtent, algorithm: HashAlgorithm): Map<number, Uint8Array> {
  extent.source.tables ??= [];
  const { tables } = extent.source;
  for (const table of tables)
    if (table.length === extent.length && table.algorithm === algorithm) return table.byOffset;
  const byOffset = new Map<number, Uint8Array>();
  tables.push({ algorithm, length: extent.length, byOffset });
  return byOffset;
}

/** Parts are told by kind and length, so that no two different rows of parts are told alike. */
function modelled(algorithm: HashAlgorithm, runs: readonly Extent[]): Uint8Array {
  const parts: unknown[] = [];
  // Bytes that are not synthetic are one part, however they are cut and wherever they came from.
  let plain: Extent[] = [];
  const endPlain = () => {
    if (plain.length > 0) parts.push(['bytes', lengthOf(plain), hash('sha256', joinBytes(plain), 'hex')]);
    plain = [];
  };
  for (const run of runs) {
    if (run instanceof SyntheticExtent) {
      endPlain();
      const { source, offset, length, isCorrupt } = run;
      parts.push([isCorrupt ? 'corrupt' : 'good', source.seed, offset, length]);
    } else plain.push(run);
  }
  endPlain();
  const digest = hash('sha512', `${DOMAIN}/${algorithm}/${JSON.stringify(parts)}`, 'buffer');
  return new Uint8Array(digest.subarray(0, DIGEST_BYTES[algorithm]));
}

function joinNeighbours(extents: readonly Extent[]): Extent[] {
  const runs: Extent[] = [];
  for (const extent of extents) {
    if (extent.length === 0) continue;
    const joined = runs.at(-1)?.joined(extent);
    if (joined === undefined) runs.push(extent);
    else runs[runs.length - 1] = joined;
  }
  return runs;
}
