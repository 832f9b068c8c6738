/**
 * The ring's datagrams as they cross the network: signed, not secret. Of their fields (see the ring's message format)
 * as much is read here as invariants ask for, and as much rewritten as planted faults bend, without the codec that is
 * under test.
 */
import type { Compute } from '@skep/p2p-core/host';

const tagBytes = 16;

/** Who leads, as a datagram says. */
export interface Shown {
  readonly from: string;
  readonly holder: string;
  readonly term: number;
  /** Counts the lease's grants. */
  readonly grant: number;
  readonly leaseMs: number;
}

const sender = /^d(?:1:di\d+e)?1:fl\d+:([a-z]+-\d+)i(\d+)ee/;
const leader = /1:hl\d+:([a-z]+-\d+)i(\d+)ei(\d+)ei(\d+)ei(\d+)ee/;
const suspicion = /l(\d+:[a-z]+-\d+)(i\d+e)(i\d+e)i1e\d+:[a-z]+-\d+i\d+ei\d+ee/g;
/** Of `STANDINGS`. */
const provenDead = 3;

/** What a datagram shows of the leader, if anything. */
export function shownIn(datagram: Uint8Array): Shown | undefined {
  const text = textOf(datagram);
  const [, slot, generation] = sender.exec(text) ?? [];
  const shown = leader.exec(text);
  if (slot === undefined || shown === null) return undefined;
  const [term, grant, leaseMs] = shown.slice(3).map(Number) as [number, number, number];
  return { from: `${slot}@${generation}`, holder: `${shown[1]}@${shown[2]}`, term, grant, leaseMs };
}

/** Bends datagrams of one ring and signs them anew. */
export class Forger {
  readonly #compute: Compute;
  readonly #key: Uint8Array;

  /** `ringKey`: as machines of the cluster are told it. */
  constructor(compute: Compute, ringKey: Uint8Array, clusterUid: string) {
    this.#compute = compute;
    this.#key = compute.hmacSha256(ringKey, new TextEncoder().encode(`skep ring ${clusterUid}`));
  }

  withLease(datagram: Uint8Array, leaseMs: number): Uint8Array {
    return this.#bent(datagram, (text) =>
      text.replace(
        leader,
        (shown, ...[, , , , left]) => `${shown.slice(0, -`i${left}ee`.length)}i${leaseMs}ee`,
      ),
    );
  }

  /** Whoever is said to be suspected is said to be dead. */
  withDeaths(datagram: Uint8Array): Uint8Array {
    return this.#bent(datagram, (text) => text.replace(suspicion, `l$1$2$3i${provenDead}ee`));
  }

  #bent(datagram: Uint8Array, bend: (text: string) => string): Uint8Array {
    const text = textOf(datagram);
    const bent = bend(text);
    if (bent === text) return datagram;
    const body = new TextEncoder().encode(bent);
    const forged = new Uint8Array(tagBytes + body.length);
    forged.set(this.#compute.hmacSha256(this.#key, body).subarray(0, tagBytes));
    forged.set(body, tagBytes);
    return forged;
  }
}

const ascii = new TextDecoder();

/** Nothing in a datagram is beyond ASCII but its tag. */
function textOf(datagram: Uint8Array): string {
  return ascii.decode(datagram.subarray(tagBytes));
}
