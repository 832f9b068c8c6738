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
import { hash } from 'node:crypto';
import type { HashAlgorithm } from '@skep/p2p-core/host';
import type { Extent } from './extent.ts';
import { joinExtents, partsOf, RealExtent, SyntheticExtent } from './extent.ts';

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

  /** Not to be written to: who asks next is given the same array. */
  of(algorithm: HashAlgorithm, extent: Extent): Uint8Array {
    if (!isCacheable(extent)) return this.#compute(algorithm, extent);
    const byOffset = tableOf(extent, algorithm);
    let digest = byOffset.get(extent.offset);
    if (digest === undefined) {
      if (byOffset.size >= MAX_CACHED_DIGESTS) byOffset.clear();
      digest = this.#compute(algorithm, extent);
      byOffset.set(extent.offset, digest);
    }
    return digest;
  }

  #compute(algorithm: HashAlgorithm, extent: Extent): Uint8Array {
    const parts = partsOf(extent);
    if (this.#hashing === 'modelled' && parts.some((part) => part instanceof SyntheticExtent))
      return modelled(algorithm, parts);
    return new Uint8Array(hash(algorithm, extent.bytes(), 'buffer'));
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
function modelled(algorithm: HashAlgorithm, parts: readonly Extent[]): Uint8Array {
  const descriptions: unknown[] = [];
  // Bytes that are not synthetic are one part, however they are cut and wherever they came from.
  let plain: Extent[] = [];
  const endPlain = () => {
    const { length } = joinExtents(plain);
    if (length > 0) descriptions.push(['bytes', length, hash('sha256', joinExtents(plain).bytes())]);
    plain = [];
  };
  for (const part of parts) {
    if (part instanceof SyntheticExtent) {
      endPlain();
      const { source, offset, length, isCorrupt } = part;
      descriptions.push([isCorrupt ? 'corrupt' : 'good', source.seed, offset, length]);
    } else plain.push(part);
  }
  endPlain();
  const digest = hash('sha512', `${DOMAIN}/${algorithm}/${JSON.stringify(descriptions)}`, 'buffer');
  return new Uint8Array(digest.subarray(0, DIGEST_BYTES[algorithm]));
}
