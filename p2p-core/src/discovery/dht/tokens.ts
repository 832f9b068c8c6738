/**
 * Tokens prove that an announcer can receive at the address that it announces: only who got a token in a get_peers
 * response can send it back (BEP 5, "get_peers"). A token is a keyed hash of the address, so nothing is stored.
 */
import { equalBytes } from '../../bytes.ts';
import type { Random } from '../../host/host.ts';
import { ipOf } from './endpoint.ts';
import { writeWord } from './node-id.ts';
import { SIPHASH_KEY_LENGTH, sipHash } from './siphash.ts';

/** The secret changes this often; tokens of the one before are still taken, so a token lives 5 to 10 minutes. */
export const TOKEN_SECRET_LIFETIME_MS = 5 * 60_000;

const TOKEN_LENGTH = 8;

export class Tokens {
  readonly #random: Random;
  #current: Uint8Array | undefined;
  #previous: Uint8Array | undefined;
  #rotatedAtMs = Number.NEGATIVE_INFINITY;

  constructor({ random }: { random: Random }) {
    this.#random = random;
  }

  /** The token for whoever asks from this IPv4 address: 8 bytes, borrowed until the next call. */
  issue(host: string, nowMs: number): Uint8Array {
    this.#rotate(nowMs);
    return this.#hash(this.#current!, host, issued);
  }

  /** Whether `token` was issued to this IPv4 address under the current secret or the one before. */
  verify(token: Uint8Array, host: string, nowMs: number): boolean {
    if (token.length !== TOKEN_LENGTH) return false;
    this.#rotate(nowMs);
    return (
      equalBytes(token, this.#hash(this.#current!, host, expected)) ||
      (this.#previous !== undefined && equalBytes(token, this.#hash(this.#previous, host, expected)))
    );
  }

  /** Done when needed rather than by a timer: an idle node has nothing to do. */
  #rotate(nowMs: number): void {
    const ageMs = nowMs - this.#rotatedAtMs;
    if (this.#current !== undefined && ageMs < TOKEN_SECRET_LIFETIME_MS) return;
    const wasNeededInTime = ageMs < 2 * TOKEN_SECRET_LIFETIME_MS;
    this.#previous = wasNeededInTime ? this.#current : undefined;
    this.#current = this.#random.bytes(SIPHASH_KEY_LENGTH);
    this.#rotatedAtMs = wasNeededInTime ? this.#rotatedAtMs + TOKEN_SECRET_LIFETIME_MS : nowMs;
  }

  #hash(secret: Uint8Array, host: string, out: Uint8Array): Uint8Array {
    writeWord(ipOf(host), input, 0);
    sipHash(secret, input, out);
    return out;
  }
}

/** Hashing is synchronous, and what it gives is compared or sent at once. */
const issued = new Uint8Array(TOKEN_LENGTH);
const expected = new Uint8Array(TOKEN_LENGTH);
const input = new Uint8Array(4);
