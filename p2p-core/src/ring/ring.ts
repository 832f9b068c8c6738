/**
 * The ring on a Host: gives the pure machine its clock, datagrams, disk and authority, and carries out what
 * it returns. All decisions are the machine's; this file has none.
 */
import type { Address, Host, TcpConnection, Timer, UdpSocket } from '../host/index.ts';
import { type RingConfiguration, RingError } from './configuration.ts';
import type { RingEvent } from './events.ts';
import type { RedeploymentAnswer, RedeploymentRequest, SlotDeath } from './healer.ts';
import type { LamportClock } from './lamport.ts';
import type { LeaseAnswer } from './leadership.ts';
import { RingMachine } from './machine.ts';
import type { MemberId } from './member.ts';
import { createDatagramCodec, type DatagramCodec, RING_KEY_BYTES } from './messages.ts';
import type { RingInput, RingOutput, RingStatus } from './step.ts';
import { DEFAULT_TIMING, type RingTiming } from './timing.ts';
import { VoteStore } from './vote-store.ts';

/**
 * The control API as the ring needs it. Each call is made for this node; a rejection means that the control
 * API could not be reached, and says nothing of whether the call had its effect.
 */
export interface Authority {
  /** Granted only if the lease's term is lower than `term`. */
  acquire(term: number): Promise<LeaseAnswer>;
  /** Granted only if this very node holds the lease in `term`. */
  renew(term: number): Promise<LeaseAnswer>;
  /** Idempotent: one replacement is made of (slot, generation), however often it is asked for. */
  requestRedeployment(request: RedeploymentRequest): Promise<RedeploymentAnswer>;
}

export interface RingComponents {
  readonly host: Host;
  readonly authority: Authority;
  /** 32 bytes that all members of the cluster share. */
  readonly ringKey: Uint8Array;
  /** The clock of a node that stamps more than the ring's events. @default one of the ring's own */
  readonly lamport?: LamportClock;
}

export interface RingOptions {
  /** At most 64 visible ASCII characters; datagrams of other clusters are dropped. */
  readonly clusterUid: string;
  readonly self: MemberId;
  /** Where to listen for datagrams. */
  readonly local: Address;
  /** Votes are kept below it. It must outlive the process. */
  readonly stateDirectory: string;
  readonly configuration: RingConfiguration;
  readonly timing?: Partial<RingTiming>;
  /**
   * Try a TCP connection to a silent member's address: a refusal is evidence of death. So every member must
   * listen there before it joins, and must leave before it stops listening. @default true
   */
  readonly connectForEvidence?: boolean;
  readonly onEvent: (event: RingEvent) => void;
}

export interface Ring {
  readonly local: Address;
  /** Adopts `configuration` if it is newer. Throws RingError if it is not fit to be adopted. */
  configure(configuration: RingConfiguration): void;
  /** Positive evidence that a member has died, such as the launcher having seen it exit. */
  observeDeath(member: MemberId, evidence: string): void;
  /** All slots outside the ring whose generation is dead or silent now; replaces what was told before. */
  observeSlotDeaths(deaths: readonly SlotDeath[]): void;
  /** To be told at each answer of the control API, and at each failure to get one; only who reaches it stands for election. */
  setAuthorityReachable(reachable: boolean): void;
  status(): RingStatus;
  /** Pings every other member at once, beside the probes that go on anyway: `status` tells when each last answered. */
  pingAll(): void;
  /**
   * Tells the others that this node goes on purpose; it takes no part afterwards. If it leads, another is asked to: resolves
   * once one does, or `transferMs` (500 by default) have passed, else at once.
   */
  leave(): Promise<void>;
  /** Releases everything; resolves once nothing is being written any more. */
  close(): Promise<void>;
}

/** Joins the ring. Rejects RingError (a bad configuration or key) or HostError (the local address is in use). */
export async function createRing(components: RingComponents, options: RingOptions): Promise<Ring> {
  if (components.ringKey.length !== RING_KEY_BYTES) {
    const length = components.ringKey.length;
    throw new RingError('bad-ring-key', `A ring key has ${RING_KEY_BYTES} bytes; this one has ${length}.`);
  }
  const store = new VoteStore(components.host, options);
  const timing = { ...DEFAULT_TIMING, ...options.timing };
  const machine = new RingMachine(
    { random: components.host.random, lamport: components.lamport },
    {
      self: { slot: options.self.slot, generation: options.self.generation },
      configuration: options.configuration,
      record: await store.load(),
      timing,
      connectForEvidence: options.connectForEvidence ?? true,
    },
  );
  const driver = new RingDriver(components, options, { machine, store, timing });
  await driver.start();
  return driver;
}

class RingDriver implements Ring {
  readonly #host: Host;
  readonly #authority: Authority;
  readonly #options: RingOptions;
  readonly #machine: RingMachine;
  readonly #store: VoteStore;
  readonly #timing: RingTiming;
  readonly #codec: DatagramCodec;
  #socket: UdpSocket | undefined;
  #timer: Timer | undefined;
  #armedMs = Number.POSITIVE_INFINITY;
  /** Waits and attempts under way, ended by `close`. */
  readonly #deadlines = new Set<Timer>();
  readonly #attempts = new Set<TcpConnection>();
  #closed = false;
  #whenGone: (() => void)[] = [];
  #gone = false;

  constructor(
    { host, authority, ringKey }: RingComponents,
    options: RingOptions,
    parts: { machine: RingMachine; store: VoteStore; timing: RingTiming },
  ) {
    this.#host = host;
    this.#authority = authority;
    this.#options = options;
    this.#machine = parts.machine;
    this.#store = parts.store;
    this.#timing = parts.timing;
    this.#codec = createDatagramCodec(host.compute, ringKey, options.clusterUid);
  }

  async start(): Promise<void> {
    this.#socket = await this.#host.net.bindUdp(this.#options.local, (datagram) => this.#received(datagram));
    this.#step({ type: 'wake' });
  }

  get local(): Address {
    return this.#socket?.local ?? this.#options.local;
  }

  configure(configuration: RingConfiguration): void {
    this.#step({ type: 'configure', configuration });
  }

  observeDeath(member: MemberId, evidence: string): void {
    this.#step({ type: 'death-observed', member, evidence });
  }

  observeSlotDeaths(deaths: readonly SlotDeath[]): void {
    this.#step({ type: 'slot-deaths', deaths });
  }

  setAuthorityReachable(reachable: boolean): void {
    this.#step({ type: 'authority-reachable', reachable });
  }

  status(): RingStatus {
    return this.#machine.status(this.#host.clock.now());
  }

  pingAll(): void {
    this.#step({ type: 'ping-all' });
  }

  leave(): Promise<void> {
    const gone = new Promise<void>((resolve) => this.#whenGone.push(resolve));
    this.#step({ type: 'leave' });
    // It may have been gone before, or be no member of the ring.
    if (this.#gone || this.#closed || this.#machine.nextDueMs === Number.POSITIVE_INFINITY) this.#tellGone();
    return gone;
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#tellGone();
    this.#timer?.cancel();
    this.#socket?.close();
    for (const deadline of this.#deadlines) deadline.cancel();
    for (const attempt of [...this.#attempts]) attempt.destroy();
    await this.#store.settled();
  }

  #tellGone(): void {
    this.#gone = true;
    for (const resolve of this.#whenGone) resolve();
    this.#whenGone = [];
  }

  /** One timer, for whatever of the machine's is due first. One that is due later than its timer is asked for anew then. */
  #arm(): void {
    const dueMs = this.#machine.nextDueMs;
    if (this.#closed || dueMs >= this.#armedMs) return;
    this.#timer?.cancel();
    this.#armedMs = dueMs;
    const { clock } = this.#host;
    this.#timer = clock.setTimer(Math.max(0, dueMs - clock.now()), () => {
      this.#armedMs = Number.POSITIVE_INFINITY;
      if (clock.now() >= this.#machine.nextDueMs) this.#step({ type: 'wake' });
      else this.#arm();
    });
  }

  #received(datagram: Uint8Array): void {
    const envelope = this.#codec.decode(datagram);
    if (typeof envelope === 'string') this.#machine.countDrop(envelope);
    else this.#step({ type: 'received', envelope });
  }

  #step(input: RingInput): void {
    if (this.#closed) return;
    for (const output of this.#machine.step(this.#host.clock.now(), input)) this.#carryOut(output);
    this.#arm();
  }

  #carryOut(output: RingOutput): void {
    switch (output.type) {
      case 'send':
        this.#socket?.send(this.#codec.encode(output.envelope), output.address);
        break;
      case 'event':
        this.#options.onEvent(output.event);
        break;
      case 'gone':
        this.#tellGone();
        break;
      case 'connect':
        this.#tryConnection(output.member, output.address);
        break;
      case 'persist': {
        const { seq, record } = output;
        this.#store.save(record).then(
          () => this.#step({ type: 'persisted', seq }),
          (error) => this.#step({ type: 'persist-failed', seq, detail: String(error?.message ?? error) }),
        );
        break;
      }
      case 'lease': {
        const { method, term, request } = output;
        this.#ask(() => this.#authority[method](term)).then((answer) =>
          this.#step({ type: 'lease-answered', request, answer }),
        );
        break;
      }
      case 'redeploy': {
        const { request, redeployment } = output;
        this.#ask(() => this.#authority.requestRedeployment(redeployment)).then((answer) =>
          this.#step({ type: 'redeployment-answered', request, answer }),
        );
        break;
      }
    }
  }

  /** Undefined if the call fails or takes too long: both leave its outcome unknown. */
  #ask<Answer>(call: () => Promise<Answer>): Promise<Answer | undefined> {
    return new Promise((resolve) => {
      const settle = (answer: Answer | undefined) => {
        deadline.cancel();
        this.#deadlines.delete(deadline);
        resolve(answer);
      };
      const deadline = this.#host.clock.setTimer(this.#timing.authorityTimeoutMs, () => settle(undefined));
      this.#deadlines.add(deadline);
      call().then(settle, () => settle(undefined));
    });
  }

  #tryConnection(member: MemberId, address: Address): void {
    const startedMs = this.#host.clock.now();
    const timeoutMs = this.#timing.connectIntervalMs;
    const connection = this.#host.net.connectTcp(
      address,
      {
        onOpen: () => connection.destroy(),
        onBytes: (view) => view.length,
        onClose: (error) => {
          this.#attempts.delete(connection);
          if (error?.code === 'refused') this.#step({ type: 'connection-refused', member, startedMs });
        },
      },
      { timeoutMs },
    );
    this.#attempts.add(connection);
  }
}
