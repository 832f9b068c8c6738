/**
 * What goes over the wire to the control API, seen in front of its handler: who asks, under which term and
 * generation, and whether it is accepted. The judgement of a fence needs this view from outside, since what a
 * control API says of itself is only as good as its checks. Planted faults sit behind it.
 */
import type { JoinRequest, MachineId, Report } from '@skep/contract';
import type { Address, HttpHandler } from '@skep/p2p-core/host';

export type AgentRequest = {
  /** Of the cluster that the machine which asks was launched for, whatever it says. */
  readonly uid: string;
  readonly machine: MachineId;
} & (
  | { readonly kind: 'join' }
  | {
      readonly kind: 'report';
      readonly attempt: number;
      readonly authorization: string;
      readonly revision: string;
      readonly ring: Report['ring'];
    }
  | { readonly kind: 'lease'; readonly term: number }
  | {
      readonly kind: 'redeployment';
      readonly term: number;
      readonly slot: string;
      readonly generation: number;
    }
);

/** An agent's request and what it was answered. */
export interface Exchange {
  readonly request: AgentRequest;
  readonly status: number;
  // biome-ignore lint/suspicious/noExplicitAny: whatever the control API answered; read field by field.
  readonly answer: any;
}

/** Puts something between the wire and a handler. */
export type Layer = (handler: HttpHandler) => HttpHandler;

export interface WireOptions {
  readonly now: () => number;
  /** The uid of the cluster that the machine at an address was launched for; undefined for what is no machine. */
  readonly uidAt: (host: string) => string | undefined;
}

export class Wire {
  /** By Authorization header. */
  readonly #machines = new Map<string, MachineId>();
  /** By cluster and machine. */
  readonly #tokens = new Map<string, string>();
  readonly #deaf = new Map<string, number>();
  readonly #options: WireOptions;

  constructor(options: WireOptions) {
    this.#options = options;
  }

  /** The Authorization header that a machine last used. */
  authorizationOf(uid: string | undefined, machine: string): string | undefined {
    return this.#tokens.get(`${uid} ${machine}`);
  }

  /** What a slot's machine asks is done, but for this long the answers do not reach it; leases still do. */
  loseAnswers(slot: string, forMs: number): void {
    this.#deaf.set(slot, this.#options.now() + forMs);
  }

  /** `onArrival` returns what is to be told of the answer, if anything. */
  layer(onArrival: (request: AgentRequest) => ((exchange: Exchange) => void) | undefined): Layer {
    return (handler) => async (request, remote) => {
      const asked = await this.read(request, remote);
      if (asked === undefined) return handler(request, remote);
      const onAnswer = onArrival(asked);
      const response = await handler(request, remote);
      if (onAnswer !== undefined) {
        const answer = await response
          .clone()
          .json()
          .catch(() => undefined);
        onAnswer({ request: asked, status: response.status, answer });
      }
      const isTold = asked.kind === 'lease' || asked.kind === 'join';
      const isLost = !isTold && (this.#deaf.get(asked.machine.slot) ?? 0) > this.#options.now();
      return isLost ? new Response('lost', { status: 502 }) : response;
    };
  }

  /** What an agent asks with a request; undefined for anything else. The request stays unread. */
  async read(request: Request, remote: Address): Promise<AgentRequest | undefined> {
    const uid = this.#options.uidAt(remote.host);
    const path = new URL(request.url).pathname.split('/').at(-1) ?? '';
    if (uid === undefined || askedBy[path] !== request.method) return undefined;
    // biome-ignore lint/suspicious/noExplicitAny: of our own agents, who send what the contract says.
    const body: any = await request
      .clone()
      .json()
      .catch(() => undefined);
    if (body === undefined) return undefined;
    if (path === 'join') return { kind: 'join', uid, machine: (body as JoinRequest).machine };
    const authorization = request.headers.get('authorization');
    if (authorization === null) return undefined;
    if (path === 'reports') {
      const { machine, attempt, revision, ring } = body as Report;
      this.#machines.set(authorization, machine);
      this.#tokens.set(`${uid} ${machine.slot}@${machine.generation}`, authorization);
      return { kind: 'report', uid, machine, attempt, authorization, revision, ring };
    }
    const machine = this.#machines.get(authorization);
    if (machine === undefined) return undefined;
    const { term, slot, generation } = body;
    if (path === 'lease') return { kind: 'lease', uid, machine, term };
    return { kind: 'redeployment', uid, machine, term, slot, generation };
  }
}

/** What machines ask, by the end of its path: its method. */
const askedBy: Readonly<Record<string, string>> = {
  join: 'POST',
  reports: 'POST',
  lease: 'PUT',
  redeployments: 'POST',
};
