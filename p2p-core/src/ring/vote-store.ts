/**
 * Where a generation's vote is kept, so that no crash can make it vote twice in one term.
 *
 * A directory marks, before the first vote is written, that there is something to lose: a record that is
 * missing after that, or does not fit its digest, is lost, and its owner must not vote again.
 */
import { type Host, HostError } from '../host/index.ts';
import {
  type BencodeDict,
  bytesOf,
  decodeBencode,
  dictOf,
  encodeBencode,
  integerOf,
  textOf,
} from '../wire/bencode.ts';
import type { VoteRecord } from './ballot.ts';
import { isCount } from './configuration.ts';
import type { MemberId } from './member.ts';

const DIGEST_BYTES = 32;
const MAX_FILE_BYTES = 1_024;

export class VoteStore {
  readonly #host: Pick<Host, 'files' | 'compute'>;
  readonly #path: string;
  readonly #markerPath: string;
  #writing: Promise<void> = Promise.resolve();

  /** Keeps its files in `stateDirectory`/ring, named by `self`. */
  constructor(host: Pick<Host, 'files' | 'compute'>, options: { stateDirectory: string; self: MemberId }) {
    const { slot, generation } = options.self;
    this.#host = host;
    this.#path = `${options.stateDirectory}/ring/vote-${encodeURIComponent(slot)}-${generation}`;
    this.#markerPath = `${this.#path}.given`;
  }

  /** The vote given last; undefined if none ever was; `lost` if there was one that cannot be read. */
  async load(): Promise<VoteRecord | undefined | 'lost'> {
    try {
      return this.#parse(await this.#host.files.read(this.#path, MAX_FILE_BYTES)) ?? 'lost';
    } catch (error) {
      if (!(error instanceof HostError) || error.code !== 'not-found') return 'lost';
      const marker = await this.#host.files.stat(this.#markerPath);
      return marker === undefined ? undefined : 'lost';
    }
  }

  /** Resolves once the record survives power loss. Calls keep their order. */
  save(record: VoteRecord): Promise<void> {
    const done = this.#writing.then(async () => {
      await this.#host.files.makeDirectory(this.#markerPath);
      await this.#host.files.writeAtomic(this.#path, this.#format(record));
    });
    this.#writing = done.catch(() => {});
    return done;
  }

  /** Resolves when nothing is being written. */
  settled(): Promise<void> {
    return this.#writing;
  }

  #format({ term, votedFor }: VoteRecord): Uint8Array {
    const vote = votedFor === undefined ? {} : { generation: votedFor.generation, slot: votedFor.slot };
    const body = encodeBencode({ ...vote, term });
    const bytes = new Uint8Array(DIGEST_BYTES + body.length);
    bytes.set(this.#host.compute.hash('sha256', body));
    bytes.set(body, DIGEST_BYTES);
    return bytes;
  }

  #parse(bytes: Uint8Array): VoteRecord | undefined {
    const body = bytes.subarray(DIGEST_BYTES);
    const digest = this.#host.compute.hash('sha256', body);
    if (bytes.length <= DIGEST_BYTES || !digest.every((byte, index) => byte === bytes[index]))
      return undefined;
    let fields: BencodeDict | undefined;
    try {
      fields = dictOf(decodeBencode(body).value);
    } catch {
      return undefined;
    }
    const term = integerOf(fields?.get('term'));
    if (term === undefined || !isCount(term)) return undefined;
    const slot = bytesOf(fields?.get('slot')) === undefined ? undefined : textOf(fields?.get('slot'));
    const generation = integerOf(fields?.get('generation'));
    if (slot === undefined || generation === undefined) return { term, votedFor: undefined };
    return { term, votedFor: { slot, generation } };
  }
}
