/**
 * The address translation that a machine may stand behind (RFC 4787, RFC 5382). The machine's address is the
 * outer one, its ports are kept, and no other machine shares them: so what is left of a NAT is who gets in.
 *
 * What goes out from a port opens it. In comes, while the mapping lasts: with a full cone anyone (filtering is
 * endpoint-independent), with a restricted one whom the port has sent to, at any of their ports (filtering is
 * address-dependent). Only what goes out keeps a mapping alive. All else vanishes, as unasked packets do.
 */

export type NatKind = 'none' | 'full-cone' | 'restricted';

export interface NatOptions {
  readonly kind: NatKind;
  /** A port that has sent nothing for so long is closed again. Default 120 000, what RFC 4787 asks for at least. */
  readonly udpTimeoutMs?: number;
  /** Likewise for connections. Default 7 440 000: 2 hours and 4 minutes, RFC 5382. */
  readonly tcpTimeoutMs?: number;
  /** Ports that are open to all, as by UPnP or by hand. */
  readonly forwardedPorts?: readonly number[];
}

type Protocol = 'udp' | 'tcp';

const DEFAULT_TIMEOUTS_MS = { udp: 120_000, tcp: 7_440_000 };
const MIN_SWEEP = 64;
/** In place of a machine's ordinal: anyone. */
const ANYONE = 2 ** 32 - 1;

export class Nat {
  readonly #isRestricted: boolean;
  readonly #forwarded: ReadonlySet<number>;
  readonly #mappings: Readonly<Record<Protocol, Mappings>>;

  constructor({ kind, udpTimeoutMs, tcpTimeoutMs, forwardedPorts }: NatOptions) {
    this.#isRestricted = kind === 'restricted';
    this.#forwarded = new Set(forwardedPorts);
    this.#mappings = {
      udp: new Mappings(udpTimeoutMs ?? DEFAULT_TIMEOUTS_MS.udp),
      tcp: new Mappings(tcpTimeoutMs ?? DEFAULT_TIMEOUTS_MS.tcp),
    };
  }

  /** Something goes out from `port` to the machine with this ordinal. */
  noteSent(protocol: Protocol, port: number, toOrdinal: number, nowMs: number): void {
    this.#mappings[protocol].refresh(port, this.#isRestricted ? toOrdinal : ANYONE, nowMs);
  }

  /** Whether a packet from the machine with this ordinal gets in to `port`. */
  mayReach(protocol: Protocol, port: number, fromOrdinal: number, nowMs: number): boolean {
    if (this.#forwarded.has(port)) return true;
    return this.#mappings[protocol].isOpen(port, this.#isRestricted ? fromOrdinal : ANYONE, nowMs);
  }
}

/** The NAT of a machine; undefined where there is none. */
export function natOf(nat: NatKind | NatOptions = 'none'): Nat | undefined {
  const options = typeof nat === 'string' ? { kind: nat } : nat;
  return options.kind === 'none' ? undefined : new Nat(options);
}

/** When ports last sent, by port and whom to. */
class Mappings {
  readonly #timeoutMs: number;
  readonly #sentAtMs = new Map<number, number>();
  #sweepAt = MIN_SWEEP;

  constructor(timeoutMs: number) {
    this.#timeoutMs = timeoutMs;
  }

  refresh(port: number, peer: number, nowMs: number): void {
    this.#sentAtMs.set(keyOf(port, peer), nowMs);
    if (this.#sentAtMs.size > this.#sweepAt) this.#sweep(nowMs);
  }

  isOpen(port: number, peer: number, nowMs: number): boolean {
    const sentAtMs = this.#sentAtMs.get(keyOf(port, peer));
    return sentAtMs !== undefined && nowMs - sentAtMs < this.#timeoutMs;
  }

  /** Forgets what is closed, whenever there is twice as much as was left the last time. */
  #sweep(nowMs: number): void {
    for (const [key, sentAtMs] of this.#sentAtMs)
      if (nowMs - sentAtMs >= this.#timeoutMs) this.#sentAtMs.delete(key);
    this.#sweepAt = Math.max(MIN_SWEEP, 2 * this.#sentAtMs.size);
  }
}

function keyOf(port: number, peer: number): number {
  return port * 2 ** 32 + peer;
}
