/**
 * What goes over the wire to the control API, seen in front of its handler: who asks, under which term and
 * generation, and whether it is accepted. The judgement of a fence needs this view from outside, since what a
 * control API says of itself is only as good as its checks. Planted faults sit behind it.
 */
import type { MachineId, Report } from '@skep/contract';
import type { HttpHandler } from '@skep/p2p-core/host';

export type AgentRequest =
  | {
      readonly kind: 'report';
      readonly machine: MachineId;
      readonly attempt: number;
      readonly authorization: string;
      readonly revision: string;
    }
  | { readonly kind: 'lease'; readonly machine: MachineId; readonly term: number }
  | {
      readonly kind: 'redeployment';
      readonly machine: MachineId;
      readonly term: number;
      readonly slot: string;
      readonly generation: number;
    };

/** An agent's request and what it was answered. */
export interface Exchange {
  readonly request: AgentRequest;
  readonly status: number;
  // biome-ignore lint/suspicious/noExplicitAny: whatever the control API answered; read field by field.
  readonly answer: any;
}

/** Puts something between the wire and a handler. */
export type Layer = (handler: HttpHandler) => HttpHandler;

export class Wire {
  readonly #machines = new Map<string, MachineId>();
  readonly #tokens = new Map<string, string>();
  readonly #deaf = new Map<string, number>();
  readonly #now: () => number;

  constructor(now: () => number) {
    this.#now = now;
  }

  /** The Authorization header that a machine last used. */
  authorizationOf(machine: string): string | undefined {
    return this.#tokens.get(machine);
  }

  /** What a slot's machine asks is done, but for this long the answers do not reach it; leases still do. */
  loseAnswers(slot: string, forMs: number): void {
    this.#deaf.set(slot, this.#now() + forMs);
  }

  /** `onArrival` returns what is to be told of the answer, if anything. */
  layer(onArrival: (request: AgentRequest) => ((exchange: Exchange) => void) | undefined): Layer {
    return (handler) => async (request, remote) => {
      const asked = await this.read(request);
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
      const isLost = asked.kind !== 'lease' && (this.#deaf.get(asked.machine.slot) ?? 0) > this.#now();
      return isLost ? new Response('lost', { status: 502 }) : response;
    };
  }

  /** What an agent asks with a request; undefined for anything else. The request stays unread. */
  async read(request: Request): Promise<AgentRequest | undefined> {
    const path = new URL(request.url).pathname.split('/').at(-1);
    const authorization = request.headers.get('authorization');
    const isAsked =
      request.method === 'PUT' ? path === 'lease' : path === 'reports' || path === 'redeployments';
    if (authorization === null || request.method === 'GET' || !isAsked) return undefined;
    // biome-ignore lint/suspicious/noExplicitAny: of our own agents, who send what the contract says.
    const body: any = await request
      .clone()
      .json()
      .catch(() => undefined);
    if (body === undefined) return undefined;
    if (path === 'reports') {
      const { machine, attempt, revision } = body as Report;
      this.#machines.set(authorization, machine);
      this.#tokens.set(`${machine.slot}@${machine.generation}`, authorization);
      return { kind: 'report', machine, attempt, authorization, revision };
    }
    const machine = this.#machines.get(authorization);
    if (machine === undefined) return undefined;
    if (path === 'lease') return { kind: 'lease', machine, term: body.term };
    return { kind: 'redeployment', machine, term: body.term, slot: body.slot, generation: body.generation };
  }
}
