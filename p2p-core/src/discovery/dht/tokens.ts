/**
 * Tokens prove that an announcer can receive at the address that it announces: only who got a token in a get_peers
 * response can send it back (BEP 5, "get_peers"). A token is a keyed hash of the address, so nothing is stored.
 */
import { equalBytes } from '../../bytes.ts';
import type { Compute, Random } from '../../host/host.ts';

/** The secret changes this often; tokens of the one before are still taken, so a token lives 5 to 10 minutes. */
export const TOKEN_SECRET_LIFETIME_MS = 5 * 60_000;

const SECRET_LENGTH = 20;
const TOKEN_LENGTH = 8;

export class Tokens {
  readonly #random: Random;
  readonly #compute: Compute;
  #current: Uint8Array | undefined;
  #previous: Uint8Array | undefined;
  #rotatedAtMs = Number.NEGATIVE_INFINITY;

  constructor({ random, compute }: { random: Random; compute: Compute }) {
    this.#random = random;
    this.#compute = compute;
  }

  /** The token for whoever asks from this IP address, 8 bytes. */
  issue(host: string, nowMs: number): Uint8Array {
    this.#rotate(nowMs);
    return this.#hash(this.#current!, host);
  }

  /** Whether `token` was issued to this IP address under the current secret or the one before. */
  verify(token: Uint8Array, host: string, nowMs: number): boolean {
    if (token.length !== TOKEN_LENGTH) return false;
    this.#rotate(nowMs);
    return (
      equalBytes(token, this.#hash(this.#current!, host)) ||
      (this.#previous !== undefined && equalBytes(token, this.#hash(this.#previous, host)))
    );
  }

  /** Done when needed rather than by a timer: an idle node has nothing to do. */
  #rotate(nowMs: number): void {
    const ageMs = nowMs - this.#rotatedAtMs;
    if (this.#current !== undefined && ageMs < TOKEN_SECRET_LIFETIME_MS) return;
    const wasNeededInTime = ageMs < 2 * TOKEN_SECRET_LIFETIME_MS;
    this.#previous = wasNeededInTime ? this.#current : undefined;
    this.#current = this.#random.bytes(SECRET_LENGTH);
    this.#rotatedAtMs = wasNeededInTime ? this.#rotatedAtMs + TOKEN_SECRET_LIFETIME_MS : nowMs;
  }

  /** The secret stands before text of one spelling and a hash cut to 8 bytes leaves no state to extend. */
  #hash(secret: Uint8Array, host: string): Uint8Array {
    const input = new Uint8Array(SECRET_LENGTH + host.length);
    input.set(secret);
    for (let index = 0; index < host.length; index++) input[SECRET_LENGTH + index] = host.charCodeAt(index);
    return this.#compute.hash('sha1', input).subarray(0, TOKEN_LENGTH);
  }
}
