/**
 * Whoever operates a cluster, from a machine of its own that no fault reaches: wants it of another size, or a node
 * anew, or holds a redeployment back for a while, or has all of it deleted and made anew under the same name. It looks
 * at what there is, asks for the next step, and asks again until it has what it wants; an answer is not relied upon.
 */
import { type ApiClient, ApiError, type ClusterSpec, type Role, type SlotName } from '@skep/contract';
import { HostError } from '@skep/p2p-core/host';
import type { SimHost } from '../host/index.ts';
import type { Ledger } from './ledger.ts';
import { sleepOn } from './watched-host.ts';

export interface OperatorComponents {
  readonly host: SimHost;
  readonly ledger: Ledger;
  readonly client: () => ApiClient;
  /** Of another process of the control API, if there is one. */
  readonly secondClient: () => ApiClient | undefined;
}

export interface OperatorOptions {
  readonly cluster: string;
  /** A cluster was asked for anew, as this. */
  readonly onAnew: (spec: Partial<ClusterSpec>) => void;
  readonly onTold: (line: string) => void;
}

interface Anew {
  /** The cluster that is to make room. */
  readonly instead: string | undefined;
  readonly spec: Partial<ClusterSpec>;
}

interface Step {
  readonly what: string;
  /** Missing if it is waited for. */
  readonly ask?: () => Promise<unknown>;
}

const everyMs = 300;

export class Operator {
  readonly #components: OperatorComponents;
  readonly #options: OperatorOptions;
  /** Slots that the ring is to have; missing if it is not to change. */
  #ringSize: number | undefined;
  #anew: Anew | undefined;
  /** The slot that is to go next, if there is a choice. */
  #leaving: string | undefined;
  /** Slots to redeploy: as long as they are in this generation. */
  readonly #redeploying = new Map<string, number>();
  /** Slots whose redeployment is to be given up, and until when they are to be empty then. */
  readonly #holding = new Map<string, { readonly generation: number; readonly untilMs: number }>();
  #works = false;

  constructor(components: OperatorComponents, options: OperatorOptions) {
    this.#components = components;
    this.#options = options;
  }

  /** What it does not have yet; undefined if there is nothing. */
  get wants(): string | undefined {
    return this.#next()?.what;
  }

  /** Wants the ring to have so many slots; `without`: the one that goes first, if one must. */
  resize(slots: number, without?: string): void {
    this.#ringSize = slots;
    this.#leaving = without;
    this.#work();
  }

  /** Wants another machine in a slot, whatever is in it now. */
  redeploy(slot: string): void {
    const row = this.#components.ledger.slots.get(slot);
    if (row === undefined) return;
    this.#redeploying.set(slot, row.generation);
    this.#work();
  }

  /** Gives up the redeployment that made the present generation of a slot, and has it filled after all later. */
  hold(slot: string, forMs: number): void {
    const row = this.#components.ledger.slots.get(slot);
    if (row === undefined) return;
    const untilMs = this.#components.host.clock.now() + forMs;
    this.#holding.set(slot, { generation: row.generation, untilMs });
    this.#work();
  }

  /** Has the nodes test where they stand, if the control API takes that now. */
  test(): void {
    void this.#asked('the nodes are to test where they stand', () =>
      this.#client.runTests({ params: this.#params }),
    );
  }

  /** Has the cluster deleted, and another one made under its name. */
  anew(spec: Partial<ClusterSpec>): void {
    if (this.#anew !== undefined) return;
    this.#anew = { instead: this.#components.ledger.uid, spec };
    this.#work();
  }

  #next(): Step | undefined {
    if (this.#anew !== undefined) return this.#nextAnew(this.#anew);
    return this.#nextRelease() ?? this.#nextRedeployment() ?? this.#nextSize();
  }

  #nextAnew({ instead, spec }: Anew): Step {
    const { ledger } = this.#components;
    const { cluster } = this.#options;
    const what = `${cluster} is to be made anew`;
    if (ledger.slots.size === 0)
      return { what, ask: () => this.#client.createCluster({ body: { name: cluster, ...spec } }) };
    if (ledger.uid === instead)
      return { what, ask: () => this.#client.deleteCluster({ params: { cluster } }) };
    return { what, ask: async () => this.#begun(spec) };
  }

  #begun(spec: Partial<ClusterSpec>): void {
    this.#anew = undefined;
    this.#ringSize = undefined;
    this.#leaving = undefined;
    this.#redeploying.clear();
    this.#holding.clear();
    this.#options.onAnew(spec);
  }

  #nextRelease(): Step | undefined {
    const { ledger, host } = this.#components;
    for (const [slot, { generation, untilMs }] of this.#holding) {
      const row = ledger.slots.get(slot);
      const redeployment = ledger.redeployment(slot, generation);
      const isOver = redeployment === undefined || redeployment.state === 'complete';
      if (row === undefined || row.leaving || row.generation > generation || (isOver && !row.held)) {
        this.#holding.delete(slot);
        continue;
      }
      const what = `${slot} is held empty`;
      const params = { ...this.#params, slot: slot as SlotName };
      if (!row.held) {
        const { id } = redeployment!;
        return {
          what,
          ask: () => this.#client.cancelRedeployment({ params: { ...this.#params, redeployment: id } }),
        };
      }
      if (host.clock.now() < untilMs) return { what };
      return { what, ask: () => this.#client.redeployNode({ params }) };
    }
    return undefined;
  }

  #nextRedeployment(): Step | undefined {
    for (const [slot, generation] of this.#redeploying) {
      const row = this.#components.ledger.slots.get(slot);
      if (row === undefined || row.leaving || row.generation > generation) {
        this.#redeploying.delete(slot);
        continue;
      }
      const params = { ...this.#params, slot: slot as SlotName };
      return { what: `${slot} is to be redeployed`, ask: () => this.#client.redeployNode({ params }) };
    }
    return undefined;
  }

  #nextSize(): Step | undefined {
    const { ledger } = this.#components;
    const size = this.#ringSize;
    if (size === undefined || ledger.slots.size === 0) return undefined;
    const present = [...ledger.slots.values()].filter(({ role, leaving }) => isRing(role) && !leaving);
    const what = `the ring is to have ${size} slots, not ${present.length}`;
    if (present.length < size) {
      const client = this.#components.secondClient() ?? this.#client;
      return { what, ask: () => client.addNode({ params: this.#params, body: { role: 'bootstrap' } }) };
    }
    if (present.length > size) {
      const slot = (present.find((row) => row.slot === this.#leaving) ?? present.at(-1)!).slot as SlotName;
      return { what, ask: () => this.#client.removeNode({ params: { ...this.#params, slot } }) };
    }
    const moving = ledger.ring?.members.find(({ voter }) => !voter);
    if (moving !== undefined) return { what: `${moving.slot} is on its way into the ring or out` };
    const leaving = [...ledger.slots.values()].find((row) => row.leaving);
    return leaving && { what: `${leaving.slot} is leaving` };
  }

  #work(): void {
    if (this.#works) return;
    this.#works = true;
    void this.#untilDone().finally(() => {
      this.#works = false;
    });
  }

  async #untilDone(): Promise<void> {
    for (let step = this.#next(); step !== undefined; step = this.#next()) {
      if (step.ask !== undefined) await this.#asked(step.what, step.ask);
      await sleepOn(this.#components.host, everyMs);
    }
  }

  /** Whatever the answer: what came of it is seen by looking. */
  async #asked(what: string, ask: () => Promise<unknown>): Promise<void> {
    try {
      await ask();
      this.#options.onTold(`OPERATOR ${what}: asked`);
    } catch (error) {
      if (!(error instanceof ApiError || error instanceof HostError)) throw error;
    }
  }

  get #client(): ApiClient {
    return this.#components.client();
  }

  get #params(): { readonly cluster: string } {
    return { cluster: this.#options.cluster };
  }
}

function isRing(role: Role): boolean {
  return role === 'bootstrap';
}
