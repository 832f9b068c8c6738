/**
 * Decides what a launched machine is made of, and where: pure in (spec, slot, launch), so that a launch tried
 * twice is the same launch. After a failure first the next instance type is tried, then the next zone, for what a
 * slot keeps (its network interface, its disk) is bound to its zone.
 */
import type { ClusterSpec, MachinePlacement } from '@skep/contract';
import type { SlotRow } from './rows.ts';

/** `launch`: the how-manieth of its generation, from 1. Undefined where the spec leaves it to the runner. */
export function placementFor(
  { placement }: ClusterSpec,
  { ordinal }: Pick<SlotRow, 'ordinal'>,
  launch: number,
): MachinePlacement | undefined {
  if (placement === undefined) return undefined;
  const { instanceTypes = [undefined], zones = [undefined] } = placement;
  const tried = launch - 1;
  const instanceType = instanceTypes[tried % instanceTypes.length];
  const zone = zones[(ordinal - 1 + Math.floor(tried / instanceTypes.length)) % zones.length];
  return {
    ...(instanceType === undefined ? {} : { instanceType }),
    ...(zone === undefined ? {} : { zone }),
  };
}

/** How many attempts it takes to try all that the spec allows. */
export function placementCount({ placement }: ClusterSpec): number {
  return (placement?.instanceTypes?.length ?? 1) * (placement?.zones?.length ?? 1);
}

/** In words, for events and reasons: `m7g.large in eu-north-1b`. */
export function describePlacement({ instanceType, zone }: MachinePlacement): string {
  return [instanceType, zone === undefined ? undefined : `in ${zone}`].filter(Boolean).join(' ');
}
