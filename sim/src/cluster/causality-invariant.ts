/** Invariant of the Lamport clocks: the merged log of all nodes shows no effect before its cause. */
import { Causes, controlApiNode, originOf } from '@skep/contract';
import type { NewEvent } from '@skep/control-api';
import type { Invariant } from './invariants.ts';

/** Of one cluster's life; a name that is used again begins anew. */
interface Log {
  readonly causes: Causes<NewEvent>;
  /** By who stamped it: its event told last. */
  readonly newest: Map<string, NewEvent>;
}

export function effectsAreStampedAfterTheirCauses(): Invariant {
  const logs = new Map<string, Log>();
  return {
    id: 'an effect is stamped after its cause',
    onEvent(world, event) {
      const log = logs.get(event.clusterUid) ?? { causes: new Causes(), newest: new Map() };
      logs.set(event.clusterUid, log);
      const origin = originOf(event);
      // What somebody did before is among the causes of what he does.
      const before = log.newest.get(origin);
      log.newest.set(origin, event);
      const pairs = log.causes.add(event);
      // Two processes of the control API stamp as one and do not hear of each other.
      const isOne = origin !== controlApiNode || !world.hadSecondControl;
      if (before !== undefined && isOne) pairs.push({ cause: before, effect: event });
      const wrong = pairs.find(({ cause, effect }) => cause.lamport >= effect.lamport);
      return wrong === undefined
        ? undefined
        : `${described(wrong.effect)} follows from ${described(wrong.cause)}`;
    },
  };
}

function described(event: NewEvent): string {
  return `${event.kind} of ${originOf(event)} (stamped ${event.lamport})`;
}
