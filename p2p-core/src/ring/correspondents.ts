/**
 * From whom datagrams are taken: the present generation of each other member, each datagram once. What is not taken is
 * counted by its reason.
 */
import { memberInSlot, type RingConfiguration } from './configuration.ts';
import { type Acceptance, ReplayWindow } from './lamport.ts';
import { type MemberId, sameMember } from './member.ts';
import type { Envelope } from './messages.ts';
import type { DropCause } from './step.ts';

/** What is remembered of a member's datagrams. */
interface Correspondent {
  readonly generation: number;
  readonly window: ReplayWindow;
  /** Of the configuration that it had adopted when it was heard last. */
  version: number;
}

export class Correspondents {
  readonly #self: MemberId;
  #configuration: RingConfiguration;
  /** By slot. */
  readonly #bySlot = new Map<string, Correspondent>();
  readonly #dropped: Record<DropCause, number> = {
    'too-long': 0,
    'wrong-key': 0,
    malformed: 0,
    'unknown-member': 0,
    'old-generation': 0,
    'not-for-us': 0,
    replayed: 0,
  };

  constructor(self: MemberId, configuration: RingConfiguration) {
    this.#self = self;
    this.#configuration = configuration;
  }

  get dropped(): Readonly<Record<DropCause, number>> {
    return { ...this.#dropped };
  }

  configure(configuration: RingConfiguration): void {
    this.#configuration = configuration;
    for (const slot of this.#bySlot.keys()) {
      if (memberInSlot(configuration, slot) === undefined) this.#bySlot.delete(slot);
    }
  }

  /** Undefined if the datagram is not to be acted on. */
  accept(envelope: Envelope): Acceptance | undefined {
    const drop = this.#screen(envelope);
    if (drop !== undefined) {
      this.countDrop(drop);
      return undefined;
    }
    const correspondent = this.#correspondent(envelope.from);
    const acceptance = correspondent.window.accept(envelope.lamport);
    if (!acceptance.fresh) {
      this.countDrop('replayed');
      return undefined;
    }
    correspondent.version = Math.max(correspondent.version, envelope.version);
    return acceptance;
  }

  /** Of the configuration that the member in `slot` had adopted when it was heard last; -1 before that. */
  versionOf(slot: string): number {
    return this.#bySlot.get(slot)?.version ?? -1;
  }

  countDrop(reason: DropCause): void {
    this.#dropped[reason] += 1;
  }

  #screen({ from, to }: Envelope): DropCause | undefined {
    if (!sameMember(to, this.#self)) return 'not-for-us';
    const inSlot = memberInSlot(this.#configuration, from.slot);
    if (inSlot === undefined || from.slot === this.#self.slot) return 'unknown-member';
    if (from.generation < inSlot.generation) return 'old-generation';
    return from.generation > inSlot.generation ? 'unknown-member' : undefined;
  }

  #correspondent({ slot, generation }: MemberId): Correspondent {
    let correspondent = this.#bySlot.get(slot);
    if (correspondent?.generation !== generation) {
      correspondent = { generation, window: new ReplayWindow(), version: -1 };
      this.#bySlot.set(slot, correspondent);
    }
    return correspondent;
  }
}
