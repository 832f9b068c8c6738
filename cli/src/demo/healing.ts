/**
 * The story of one failure, read from the journal's events: detected, elected, redeployed. A pure reducer,
 * so that it is tested by transcripts and tells the same whatever the pace of the events.
 */
import { type ClusterEvent, formatMachineId } from '@skep/contract';

export interface Kill {
  readonly slot: string;
  readonly generation: number;
  /** Wall clock just before the kill was asked for. */
  readonly atMs: number;
  /** Term of the lease then: what is elected afterwards has a higher one. */
  readonly term: number;
}

/** Times are milliseconds since the kill; missing until it happened. */
export interface Healing {
  readonly kill: Kill;
  readonly detectedMs?: number;
  /** Who noticed, in words. */
  readonly detectedBy?: string;
  readonly electedMs?: number;
  /** slot@generation, or `watchdog`. */
  readonly leader?: string;
  readonly term?: number;
  readonly redeployedMs?: number;
  readonly newGeneration?: number;
  /** The control API said no to the redeployment, in its words; the ring goes on asking. */
  readonly refusal?: string;
}

export function beginHealing(kill: Kill): Healing {
  return { kill };
}

/** The story after one more event. Gives the same object if the event is no part of it. */
export function advanceHealing(healing: Healing, event: ClusterEvent): Healing {
  const sinceMs = Math.max(0, event.atMs - healing.kill.atMs);
  switch (event.kind) {
    case 'member-dead':
    case 'node-dead': {
      if (healing.detectedMs !== undefined || !isAboutVictim(healing.kill, event)) return healing;
      const detectedBy = event.kind === 'node-dead' ? 'the control API' : (event.slot ?? 'the ring');
      return { ...healing, detectedMs: sinceMs, detectedBy };
    }
    case 'lease-granted': {
      const { term } = event.data;
      if (healing.electedMs !== undefined || typeof term !== 'number' || term <= healing.kill.term)
        return healing;
      return { ...healing, electedMs: sinceMs, term, leader: holderOf(event) };
    }
    case 'redeployment-refused': {
      if (event.slot !== healing.kill.slot && event.data.slot !== healing.kill.slot) return healing;
      const { reason, detail, code } = event.data;
      return { ...healing, refusal: String(reason ?? detail ?? code ?? 'refused') };
    }
    case 'redeployment-complete': {
      const generation = generationOf(event);
      if (healing.redeployedMs !== undefined || slotOf(event) !== healing.kill.slot) return healing;
      if (generation !== undefined && generation <= healing.kill.generation) return healing;
      return {
        ...healing,
        redeployedMs: sinceMs,
        newGeneration: generation ?? healing.kill.generation + 1,
      };
    }
    default:
      return healing;
  }
}

/** A node's event is stamped with that node's own slot; whom it speaks of stands in its data. */
function isAboutVictim({ slot, generation }: Kill, event: ClusterEvent): boolean {
  const name = formatMachineId({ slot, generation });
  if (event.kind === 'node-dead') return event.slot === slot && event.generation === generation;
  const { data } = event;
  return (
    Object.values(data).includes(name) ||
    ((data.slot === slot || data.member === slot) &&
      (data.generation === generation || data.memberGeneration === generation))
  );
}

function holderOf(event: ClusterEvent): string {
  if (typeof event.data.holder === 'string') return event.data.holder;
  if (event.slot === undefined) return 'watchdog';
  return event.generation === undefined
    ? event.slot
    : formatMachineId({ slot: event.slot, generation: event.generation });
}

function slotOf(event: ClusterEvent): string | undefined {
  return event.slot ?? (typeof event.data.slot === 'string' ? event.data.slot : undefined);
}

function generationOf(event: ClusterEvent): number | undefined {
  for (const value of [event.data.toGeneration, event.generation, event.data.generation]) {
    if (typeof value === 'number') return value;
  }
  return undefined;
}
