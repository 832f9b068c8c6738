/**
 * How fast a swarm can be at best. For peers that split one file of F bytes the last of N leeches is done no
 * sooner than max(F/us, F/dmin, N·F/(us + Σui)): the seeds send each byte at least once, the slowest leech
 * takes it in, and all uplinks together carry N copies (Kumar and Ross, Peer-Assisted File Distribution: The
 * Minimum Distribution Time, HotWeb 2006).
 */
import { linkOf, type NetworkSpec, type Role, type ScenarioPlan } from '@skep/contract';

export interface SwarmRates {
  /** Of all seeds together; Infinity if there is no limit. */
  readonly seedUpBytesPerSecond: number;
  readonly leeches: readonly { readonly upBytesPerSecond: number; readonly downBytesPerSecond: number }[];
}

/** Milliseconds; undefined where nothing limits the swarm. */
export function minimumDistributionMs(lengthBytes: number, rates: SwarmRates): number | undefined {
  const { seedUpBytesPerSecond: seedUp, leeches } = rates;
  if (leeches.length === 0) return undefined;
  const slowestDown = Math.min(...leeches.map(({ downBytesPerSecond }) => downBytesPerSecond));
  const allUp = leeches.reduce((sum, { upBytesPerSecond }) => sum + upBytesPerSecond, seedUp);
  const seconds = Math.max(
    lengthBytes / seedUp,
    lengthBytes / slowestDown,
    (leeches.length * lengthBytes) / allUp,
  );
  return seconds > 0 ? seconds * 1_000 : undefined;
}

/** A slot's rates: those of its link, or its node's own limits if these are lower. */
export function slotRates(
  slot: string,
  {
    network,
    cluster,
  }: { readonly network?: NetworkSpec | undefined; readonly cluster: ScenarioPlan['cluster'] },
): { upBytesPerSecond: number; downBytesPerSecond: number } {
  const role = slot.slice(0, slot.indexOf('-')) as Role;
  const link = (network && linkOf(network, role, slot)) ?? {};
  return {
    upBytesPerSecond: Math.min(link.upBytesPerSecond ?? Infinity, cluster.uploadBytesPerSecond || Infinity),
    downBytesPerSecond: Math.min(
      link.downBytesPerSecond ?? Infinity,
      cluster.downloadBytesPerSecond || Infinity,
    ),
  };
}
