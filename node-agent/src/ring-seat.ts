/** A bootstrap node's seat in the ring: takes its configuration from commands, and asks the control API for leases and redeployments. */
import {
  type ApiClient,
  ApiError,
  type Command,
  formatMachineId,
  type MachineId,
  type Report,
  type RingConfiguration,
} from '@skep/contract';
import type { Address, Host, TcpListener } from '@skep/p2p-core/host';
import {
  type Authority,
  createRing,
  type LamportClock,
  type Ring,
  type RingEvent,
  type SlotDeath,
} from '@skep/p2p-core/ring';

type FormRing = Extract<Command, { kind: 'form-ring' }>;
type HeedDeaths = Extract<Command, { kind: 'heed-deaths' }>;

export interface RingSeatOptions {
  readonly cluster: string;
  readonly clusterUid: string;
  readonly self: MachineId;
  readonly local: Address;
  readonly ringKey: Uint8Array;
  readonly stateDirectory: string;
  readonly graceMs: number;
  readonly lamport: LamportClock;
  readonly client: () => ApiClient;
  readonly onEvent: (event: SeatEvent) => void;
}

/** What the ring tells; of a configuration adopted, also which members came and went: `bootstrap-2@3`, apart by spaces. */
export type SeatEvent = RingEvent & { readonly came?: string; readonly went?: string };

/** What a call about leadership may take: longer would outlast the lease it is about. */
const callTimeoutMs = 3_000;

export class RingSeat {
  readonly #host: Host;
  readonly #options: RingSeatOptions;
  #ring: Ring | undefined;
  #configuration: RingConfiguration | undefined;
  /** Of the configuration that is being handed to the ring. */
  #change: { readonly came?: string; readonly went?: string } = {};
  #beacon: TcpListener | undefined;

  constructor(host: Host, options: RingSeatOptions) {
    this.#host = host;
    this.#options = options;
  }

  get formed(): boolean {
    return this.#ring !== undefined;
  }

  /** Joins the ring, or adopts a newer configuration of it. */
  async form(command: FormRing): Promise<void> {
    const host = this.#host;
    const { configuration } = command;
    if (this.#ring !== undefined) return this.#adopt(this.#ring, configuration);
    // A listener whose refusal is evidence: while this process lives, a connection to it is accepted.
    // It may be there from a try that failed further on.
    this.#beacon ??= await host.net.listenTcp(this.#options.local, (connection) => {
      connection.destroy();
      return { onBytes: (view) => view.length, onClose: () => undefined };
    });
    this.#ring = await createRing(
      { host, authority: this.#authority(), ringKey: this.#options.ringKey, lamport: this.#options.lamport },
      {
        clusterUid: this.#options.clusterUid,
        self: this.#options.self,
        local: this.#options.local,
        stateDirectory: this.#options.stateDirectory,
        configuration,
        timing: { graceMs: this.#options.graceMs },
        onEvent: (event) =>
          this.#options.onEvent(
            event.type === 'configuration-adopted' ? { ...event, ...this.#change } : event,
          ),
      },
    );
    this.#configuration = configuration;
  }

  #adopt(ring: Ring, next: RingConfiguration): void {
    const before = this.#configuration?.members ?? [];
    this.#change = {
      ...namesOf('came', next.members, before),
      ...namesOf('went', before, next.members),
    };
    ring.configure(next);
    if (next.version > (this.#configuration?.version ?? 0)) this.#configuration = next;
  }

  /** The ring hears of its members' deaths, and the leader of all: one that left it before it ended must be redeployed too. */
  heed(command: HeedDeaths): void {
    const deaths: SlotDeath[] = [];
    for (const { machine, evidence } of command.deaths) {
      if (machine.slot.startsWith('bootstrap-')) this.#ring?.observeDeath(machine, evidence);
      deaths.push({ ...machine, reason: evidence, cause: 'evidence' });
    }
    for (const { machine, silentMs } of command.silent ?? []) {
      deaths.push({ ...machine, reason: 'the control API hears it no more', cause: 'silence', silentMs });
    }
    this.#ring?.observeSlotDeaths(deaths);
  }

  /** To be told at each answer of the control API, and at each failure to get one. */
  controlReachable(reachable: boolean): void {
    this.#ring?.setAuthorityReachable(reachable);
  }

  /**
   * Asks every other member at once whether it is there, and tells who has answered since a time of the monotonic clock;
   * nobody before the ring is formed.
   */
  askAll(sinceMs: number): readonly { readonly member: MachineId; readonly answered: boolean }[] {
    this.#ring?.pingAll();
    return (this.#ring?.status().members ?? []).map(({ member, lastAnswerMs }) => ({
      member,
      answered: (lastAnswerMs ?? Number.NEGATIVE_INFINITY) >= sinceMs,
    }));
  }

  report(): Report['ring'] {
    const status = this.#ring?.status();
    if (status === undefined) return undefined;
    return {
      role: status.role === 'pre-candidate' ? 'candidate' : status.role,
      term: status.term,
      configurationVersion: status.configurationVersion,
      dead: status.members.filter((member) => member.state === 'dead').map((member) => member.member),
    };
  }

  /** Tells the others that this is a leave and no death; a leader waits until it has been succeeded, though not long. */
  async leave(): Promise<void> {
    await this.#ring?.leave();
  }

  async close(): Promise<void> {
    await this.#ring?.close();
    await this.#beacon?.close();
  }

  #authority(): Authority {
    const { cluster, self, client } = this.#options;
    const params = { cluster };
    return {
      acquire: (term) =>
        client().requestLease({
          params,
          body: { action: 'acquire', holder: self, term },
          timeoutMs: callTimeoutMs,
        }),
      renew: (term) =>
        client().requestLease({
          params,
          body: { action: 'renew', holder: self, term },
          timeoutMs: callTimeoutMs,
        }),
      requestRedeployment: async (request) => {
        try {
          await client().requestRedeployment({ params, body: request, timeoutMs: callTimeoutMs });
          return { accepted: true };
        } catch (error) {
          if (!(error instanceof ApiError) || error.problem === undefined) throw error;
          const { code, current } = error.problem;
          return {
            accepted: false,
            code,
            ...(code === 'old-term' && current !== undefined ? { term: current } : {}),
          };
        }
      },
    };
  }
}

/** The machines of one list that are not in the other, as a field of an event; none if there are none. */
function namesOf(
  field: 'came' | 'went',
  members: readonly MachineId[],
  others: readonly MachineId[],
): { readonly came?: string; readonly went?: string } {
  const known = new Set(others.map(formatMachineId));
  const names = members.map(formatMachineId).filter((name) => !known.has(name));
  return names.length === 0 ? {} : { [field]: names.join(' ') };
}
