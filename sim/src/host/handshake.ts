/**
 * How long a client waits for its connection: SYN after SYN (RFC 6298, 5.5 and 5.7: the wait doubles) until an
 * answer, a refusal, or the end of its patience.
 */
import type { Address } from '@skep/p2p-core/host';
import { HostError } from '@skep/p2p-core/host';
import type { SimEvent } from './event-queue.ts';
import type { SimProcess } from './sim-process.ts';

const FIRST_RETRY_MS = 1_000;
const DEFAULT_TIMEOUT_MS = 20_000;
const UNREACHABLE_AFTER_MS = 20;

/** The end of a connection that is being opened. */
export interface HandshakeOwner {
  readonly remote: Address;
  /** False if no machine has the address. */
  sendSyn(): boolean;
  /** The connection has failed. */
  giveUp(error: HostError): void;
}

export class Handshake {
  readonly #process: SimProcess;
  readonly #owner: HandshakeOwner;
  #timeout: SimEvent | undefined;
  #next: SimEvent | undefined;

  constructor(process: SimProcess, owner: HandshakeOwner) {
    this.#process = process;
    this.#owner = owner;
  }

  start(timeoutMs = DEFAULT_TIMEOUT_MS): void {
    const { host } = this.#owner.remote;
    this.#timeout = this.#process.laterInKernel(timeoutMs, () => {
      this.#owner.giveUp(new HostError('timeout', `${host} did not answer in ${timeoutMs} ms.`));
    });
    this.#try(FIRST_RETRY_MS);
  }

  /** It was answered, or is no longer waited for. */
  end(): void {
    for (const event of [this.#timeout, this.#next]) if (event !== undefined) this.#process.cancel(event);
    this.#timeout = undefined;
    this.#next = undefined;
  }

  #try(retryMs: number): void {
    const { host } = this.#owner.remote;
    this.#next = this.#owner.sendSyn()
      ? this.#process.laterInKernel(retryMs, () => this.#try(2 * retryMs))
      : this.#process.laterInKernel(UNREACHABLE_AFTER_MS, () => {
          this.#owner.giveUp(new HostError('unreachable', `No machine has the address ${host}.`));
        });
  }
}
