/**
 * All that wants a new machine: dead members of the ring, as the detector has them, and dead slots reported from outside.
 * Also what the evidence was, where this node has seen it.
 */
import { memberInSlot, type RingConfiguration } from './configuration.ts';
import type { Death } from './detector.ts';
import type { SlotDeath } from './healer.ts';
import { formatMember, type MemberId, sameMember } from './member.ts';

export class Deaths {
  #configuration: RingConfiguration;
  /** Of members, by `formatMember`. */
  readonly #evidence = new Map<string, string>();
  #reported: readonly SlotDeath[] = [];
  #reportedMs = 0;

  constructor(configuration: RingConfiguration) {
    this.#configuration = configuration;
  }

  configure(configuration: RingConfiguration): void {
    this.#configuration = configuration;
    const kept = new Set(configuration.members.map(formatMember));
    for (const key of this.#evidence.keys()) if (!kept.has(key)) this.#evidence.delete(key);
  }

  proven(member: MemberId, evidence: string): void {
    this.#evidence.set(formatMember(member), evidence);
  }

  refuted(member: MemberId): void {
    this.#evidence.delete(formatMember(member));
  }

  /** Undefined if it was seen by another, or by nobody. */
  evidenceOf(member: MemberId): string | undefined {
    return this.#evidence.get(formatMember(member));
  }

  /** All slots that are known dead or silent at `now`, as the control API has it. */
  reported(now: number, deaths: readonly SlotDeath[]): void {
    this.#reported = deaths;
    this.#reportedMs = now;
  }

  all(now: number, ofMembers: readonly Death[]): readonly SlotDeath[] {
    const deaths: SlotDeath[] = [];
    for (const { member, cause, silentMs } of ofMembers) {
      const silence = silentMs === undefined ? {} : { silentMs };
      deaths.push({ ...member, reason: this.#reasonOf(member, cause), cause, ...silence });
    }
    for (const death of this.#reported) {
      // What members fell silent is for the ring to say. One that left and ended is dead to the ring by evidence alone.
      const member = memberInSlot(this.#configuration, death.slot);
      if (member !== undefined && (death.cause === 'silence' || !sameMember(member, death))) continue;
      const { silentMs } = death;
      deaths.push(silentMs === undefined ? death : { ...death, silentMs: silentMs + now - this.#reportedMs });
    }
    return deaths;
  }

  #reasonOf(member: MemberId, cause: Death['cause']): string {
    if (cause === 'silence') return 'it was silent for longer than the grace';
    return this.evidenceOf(member) ?? 'another member of the ring has evidence of its death';
  }
}
