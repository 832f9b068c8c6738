/**
 * A ring in a world of its own, for the ring's tests: pure machines under virtual time, with a network that
 * delays, loses and doubles, disks that forget what was not yet durable, and a control API that holds the
 * lease. One seed gives one history. Wrong implementations are made by wrapping what passes between a
 * machine and this world (`Planted`), never inside the machine.
 */

import type { VoteRecord } from '../ballot.ts';
import type { RingConfiguration, RingMember } from '../configuration.ts';
import type { RingEvent } from '../events.ts';
import type { RedeploymentRequest } from '../healer.ts';
import type { LeaseAnswer } from '../leadership.ts';
import { RingMachine } from '../machine.ts';
import { formatMember, type MemberId } from '../member.ts';
import type { Envelope } from '../messages.ts';
import type { RingInput, RingOutput } from '../step.ts';
import { DEFAULT_TIMING, type RingTiming } from '../timing.ts';
import { DueQueue } from './due-queue.ts';

export interface WorldOptions {
  readonly seed: number;
  readonly slots: readonly string[];
  readonly latencyMs?: readonly [number, number];
  /** Share of datagrams lost, and of those that arrive twice. */
  readonly loss?: number;
  readonly duplication?: number;
  readonly persistMs?: readonly [number, number];
  readonly leaseMs?: number;
  readonly connectForEvidence?: boolean;
  readonly timing?: Partial<RingTiming>;
  readonly planted?: Planted;
  /** Slots whose nodes' timers run late, by this factor. */
  readonly slowTimers?: ReadonlyMap<string, number>;
  /** Hears of everything worth a line in a transcript. */
  readonly onLine?: (line: string) => void;
  /** Hears of the nodes' events, which are then not kept: for worlds that last. */
  readonly onEvent?: (seen: SeenEvent) => void;
}

/** Faults of an implementation, as seen from outside it. */
export interface Planted {
  /** Claims that a vote is durable without having stored it. */
  readonly skipPersistence?: boolean;
  /** Hides from a machine at which term it was admitted. */
  readonly hideAdmission?: boolean;
  /** Makes one vote too few enough, by granting each candidate a vote that nobody gave. */
  readonly forgeOneVote?: boolean;
}

interface Node {
  readonly id: MemberId;
  machine: RingMachine | undefined;
  /** Grows with each crash: what was under way for an earlier life is void. */
  life: number;
  pausedUntilMs: number;
  /** What its one timer is set for. */
  wakeMs: number;
  reachesAuthority: boolean;
  record: VoteRecord | undefined;
  hasVoted: boolean;
  writing: VoteRecord[];
}

/** Void if its node has had another life since. */
interface Due {
  readonly atMs: number;
  readonly order: number;
  readonly node: Node | undefined;
  readonly life: number;
  readonly run: () => void;
}

export interface SeenEvent {
  readonly node: string;
  readonly event: RingEvent;
}

export class World {
  nowMs = 0;
  readonly events: SeenEvent[] = [];
  /** Who was elected in each term, by `formatMember`. */
  readonly elected = new Map<number, Set<string>>();
  readonly asked: RedeploymentRequest[] = [];
  lease: { term: number; holder: string } = { term: 0, holder: '' };
  configuration: RingConfiguration;
  readonly #options: WorldOptions;
  readonly #timing: RingTiming;
  readonly #random: () => number;
  readonly #nodes = new Map<string, Node>();
  readonly #queue = new DueQueue<Due>();
  #order = 0;
  #groups: string[][] | undefined;
  readonly #cutLinks = new Set<string>();

  constructor(options: WorldOptions) {
    this.#options = options;
    this.#timing = { ...DEFAULT_TIMING, ...options.timing };
    this.#random = mulberry32(options.seed);
    this.configuration = { version: 1, members: options.slots.map((slot) => newMember(slot, 1, 0)) };
    for (const member of this.configuration.members) this.#join(member);
  }

  /** Uniform in [0, 1), of this world's seed. */
  chance(): number {
    return this.#random();
  }

  run(durationMs: number): void {
    const endMs = this.nowMs + durationMs;
    for (let due = this.#queue.first; due !== undefined && due.atMs <= endMs; due = this.#queue.first) {
      this.#queue.take();
      this.nowMs = due.atMs;
      const { node } = due;
      if (node !== undefined && (node.life !== due.life || node.machine === undefined)) continue;
      if (node !== undefined && node.pausedUntilMs > this.nowMs) {
        this.#put({ ...due, atMs: node.pausedUntilMs });
        continue;
      }
      due.run();
    }
    this.nowMs = endMs;
  }

  /** Runs until `holds`, at most `limitMs`; tells whether it came to hold. */
  runUntil(holds: () => boolean, limitMs: number): boolean {
    const endMs = this.nowMs + limitMs;
    while (!holds() && this.nowMs < endMs) this.run(1);
    return holds();
  }

  /** The process dies: memory is gone, and so may be what was being written. */
  crash(slot: string): void {
    const node = this.node(slot);
    for (const record of node.writing) {
      if (this.#random() < 0.5) break;
      node.record = record;
    }
    node.writing = [];
    node.machine = undefined;
    node.life += 1;
  }

  restart(slot: string): void {
    const node = this.node(slot);
    if (node.machine !== undefined) return;
    node.pausedUntilMs = 0;
    this.#start(node);
  }

  pause(slot: string, durationMs: number): void {
    const node = this.node(slot);
    node.pausedUntilMs = Math.max(node.pausedUntilMs, this.nowMs + durationMs);
  }

  /** Only within a group do datagrams arrive; undefined heals, cut links too. The authority is another matter. */
  partition(groups: string[][] | undefined): void {
    this.#groups = groups;
    if (groups === undefined) this.#cutLinks.clear();
  }

  /** Nothing passes between two, who both reach the others. */
  cutLink(a: string, b: string): void {
    this.#cutLinks.add(`${a} ${b}`).add(`${b} ${a}`);
  }

  cutAuthority(slot: string, cut: boolean): void {
    this.node(slot).reachesAuthority = !cut;
  }

  /** The vote record is deleted; that there was one stays known. */
  loseRecord(slot: string): void {
    this.node(slot).record = undefined;
  }

  /** The dead machine in `slot` is replaced by its next generation, in a new configuration. */
  replace(slot: string, admittedAtTerm: number): void {
    const old = this.node(slot);
    old.machine = undefined;
    old.life += 1;
    const member = newMember(slot, old.id.generation + 1, admittedAtTerm);
    this.configuration = {
      version: this.configuration.version + 1,
      members: this.configuration.members.map((other) => (other.slot === slot ? member : other)),
    };
    this.#join(member);
    for (const node of this.#nodes.values()) {
      if (node.id.slot !== slot) {
        this.#put(
          this.#due(node, 5, () =>
            this.#tell(node, { type: 'configure', configuration: this.configuration }),
          ),
        );
      }
    }
  }

  tell(slot: string, input: RingInput): void {
    this.#tell(this.node(slot), input);
  }

  node(slot: string): Node {
    const node = this.#nodes.get(slot);
    if (node === undefined) throw new Error(`no node in slot ${slot}`);
    return node;
  }

  nodes(): Node[] {
    return [...this.#nodes.values()];
  }

  eventsOf(type: RingEvent['type']): SeenEvent[] {
    return this.events.filter(({ event }) => event.type === type);
  }

  /** The slot of who leads by a valid lease, if exactly one node thinks so. */
  leader(): string | undefined {
    const leaders = this.nodes().filter((node) => node.machine?.status(this.nowMs).leading);
    return leaders.length === 1 ? leaders[0]!.id.slot : undefined;
  }

  #join(member: RingMember): void {
    const node: Node = {
      id: { slot: member.slot, generation: member.generation },
      machine: undefined,
      life: (this.#nodes.get(member.slot)?.life ?? 0) + 1,
      pausedUntilMs: 0,
      wakeMs: Number.POSITIVE_INFINITY,
      reachesAuthority: true,
      record: undefined,
      hasVoted: false,
      writing: [],
    };
    this.#nodes.set(member.slot, node);
    this.#start(node);
  }

  #start(node: Node): void {
    node.machine = new RingMachine(
      { random: { float: this.#random, bytes: (length) => new Uint8Array(length) } },
      {
        self: node.id,
        configuration: this.#configurationFor(node),
        record: node.record ?? (node.hasVoted ? 'lost' : undefined),
        timing: this.#timing,
        connectForEvidence: this.#options.connectForEvidence ?? true,
      },
    );
    const report = () => {
      this.#put(this.#due(node, 1_000, report));
      this.#tell(node, { type: 'authority-reachable', reachable: node.reachesAuthority });
    };
    node.wakeMs = Number.POSITIVE_INFINITY;
    // Not all begin their rounds at the same moment.
    const startMs = this.#random() * this.#timing.probeIntervalMs;
    this.#put(this.#due(node, startMs, () => this.#tell(node, { type: 'wake' })));
    this.#put(this.#due(node, startMs, report));
  }

  #configurationFor(node: Node): RingConfiguration {
    if (!this.#options.planted?.hideAdmission) return this.configuration;
    const members = this.configuration.members.map((member) =>
      member.slot === node.id.slot ? { ...member, admittedAtTerm: 0 } : member,
    );
    return { ...this.configuration, members };
  }

  #tell(node: Node, input: RingInput): void {
    if (node.machine === undefined) return;
    for (const output of node.machine.step(this.nowMs, input)) this.#carryOut(node, output);
    this.#arm(node);
  }

  /** As the ring's driver does it: one timer, set anew only for something sooner. */
  #arm(node: Node): void {
    const dueMs = node.machine?.nextDueMs ?? Number.POSITIVE_INFINITY;
    if (dueMs >= node.wakeMs) return;
    node.wakeMs = dueMs;
    const factor = this.#options.slowTimers?.get(node.id.slot) ?? 1;
    const wake = () => {
      if (node.wakeMs !== dueMs) return;
      node.wakeMs = Number.POSITIVE_INFINITY;
      if (this.nowMs >= node.machine!.nextDueMs) this.#tell(node, { type: 'wake' });
      else this.#arm(node);
    };
    this.#put(this.#due(node, Math.max(0, dueMs - this.nowMs) * factor, wake));
  }

  #carryOut(node: Node, output: RingOutput): void {
    switch (output.type) {
      case 'send':
        this.#send(node, output.envelope);
        break;
      case 'event':
        this.#note(node, output.event);
        break;
      case 'persist':
        this.#persist(node, output.seq, output.record);
        break;
      case 'connect': {
        const target = this.node(output.member.slot);
        const startedMs = this.nowMs;
        if (target.machine !== undefined || !this.#linked(node.id.slot, target.id.slot)) break;
        const input: RingInput = { type: 'connection-refused', member: output.member, startedMs };
        this.#put(this.#due(node, this.#latency(), () => this.#tell(node, input)));
        break;
      }
      case 'lease': {
        const { method, term, request } = output;
        this.#askAuthority(
          node,
          () => this.#decide(node, method, term),
          (answer) => ({
            type: 'lease-answered',
            request,
            answer,
          }),
        );
        break;
      }
      case 'redeploy': {
        const { request, redeployment } = output;
        const decide = () => {
          const accepted = redeployment.term >= this.lease.term;
          if (accepted) this.asked.push(redeployment);
          return accepted ? { accepted } : { accepted, code: 'old-term', term: this.lease.term };
        };
        this.#askAuthority(node, decide, (answer) => ({ type: 'redeployment-answered', request, answer }));
        break;
      }
      case 'gone':
        this.#line(node.id.slot, 'gone');
        break;
    }
  }

  #send(node: Node, envelope: Envelope): void {
    const { from, to, message } = envelope;
    if ('round' in message) {
      const granted = 'granted' in message ? (message.granted ? ' granted' : ' refused') : '';
      this.#line(from.slot, `-> ${formatMember(to)} ${message.kind} round=${message.round}${granted}`);
    }
    if (this.#options.planted?.forgeOneVote && message.kind === 'vote') {
      const forged: Envelope = {
        ...envelope,
        from: to,
        to: from,
        lamport: envelope.lamport + 1,
        message: { kind: 'vote-answer', round: message.round, granted: true },
      };
      this.#tell(node, { type: 'received', envelope: forged });
    }
    const copies = this.#random() < (this.#options.duplication ?? 0) ? 2 : 1;
    for (let copy = 0; copy < copies; copy += 1) {
      if (this.#random() < (this.#options.loss ?? 0)) continue;
      const target = this.#nodes.get(to.slot);
      if (target === undefined) continue;
      const arrive = () => {
        if (this.#linked(from.slot, to.slot)) this.#tell(target, { type: 'received', envelope });
      };
      this.#put(this.#due(target, this.#latency(), arrive));
    }
  }

  #persist(node: Node, seq: number, record: VoteRecord): void {
    if (this.#options.planted?.skipPersistence) {
      this.#put(this.#due(node, 0, () => this.#tell(node, { type: 'persisted', seq })));
      return;
    }
    const vote = record.votedFor === undefined ? 'nobody' : formatMember(record.votedFor);
    this.#line(node.id.slot, `persists term=${record.term} vote=${vote}`);
    node.hasVoted = true;
    node.writing.push(record);
    const saved = () => {
      node.writing.shift();
      node.record = record;
      this.#tell(node, { type: 'persisted', seq });
    };
    this.#put(this.#due(node, this.#within(this.#options.persistMs ?? [2, 2]), saved));
  }

  #askAuthority<Answer>(
    node: Node,
    decide: () => Answer,
    toInput: (answer: Answer | undefined) => RingInput,
  ): void {
    const reached = node.reachesAuthority;
    const half = this.#latency();
    const life = node.life;
    this.#put({
      ...this.#due(undefined, half, () => {
        const answer = reached ? decide() : undefined;
        this.#put({ ...this.#due(node, half, () => this.#tell(node, toInput(answer))), life });
      }),
    });
  }

  #decide(node: Node, method: 'acquire' | 'renew', term: number): LeaseAnswer {
    const holder = formatMember(node.id);
    if (method === 'acquire' && term > this.lease.term) this.lease = { term, holder };
    const granted = this.lease.term === term && this.lease.holder === holder;
    return granted
      ? { granted, term, durationMs: this.#options.leaseMs ?? 3_000 }
      : { granted, term: this.lease.term };
  }

  #note(node: Node, event: RingEvent): void {
    const seen = { node: node.id.slot, event };
    if (this.#options.onEvent === undefined) this.events.push(seen);
    else this.#options.onEvent(seen);
    if (event.type === 'elected') {
      const elected = this.elected.get(event.term) ?? new Set();
      this.elected.set(event.term, elected.add(formatMember(node.id)));
    }
    if (this.#options.onLine === undefined) return;
    const { type, lamport: _lamport, atMs: _atMs, ...fields } = event;
    const shown = Object.entries(fields).map(([key, value]) => {
      const text = typeof value === 'object' ? formatMember(value as MemberId) : (value ?? 'nobody');
      return `${key}=${String(text).includes(' ') ? JSON.stringify(text) : text}`;
    });
    this.#line(node.id.slot, [type, ...shown].join(' '));
  }

  #line(slot: string, text: string): void {
    this.#options.onLine?.(`${String(Math.round(this.nowMs)).padStart(6)} ${slot} ${text}`);
  }

  #linked(a: string, b: string): boolean {
    if (this.#cutLinks.size > 0 && this.#cutLinks.has(`${a} ${b}`)) return false;
    return this.#groups === undefined || this.#groups.some((group) => group.includes(a) && group.includes(b));
  }

  #latency(): number {
    return this.#within(this.#options.latencyMs ?? [1, 1]);
  }

  #within([least, most]: readonly [number, number]): number {
    return least + this.#random() * (most - least);
  }

  #due(node: Node | undefined, delayMs: number, run: () => void): Due {
    this.#order += 1;
    return { atMs: this.nowMs + delayMs, order: this.#order, node, life: node?.life ?? 0, run };
  }

  #put(due: Due): void {
    this.#queue.put(due);
  }
}

function newMember(slot: string, generation: number, admittedAtTerm: number): RingMember {
  const port = 1_000 + slot.charCodeAt(0);
  return { slot, generation, address: { host: '10.0.0.1', port }, voter: true, admittedAtTerm };
}

/** A small generator with a 32-bit state: enough to choose delays. */
export function mulberry32(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}
