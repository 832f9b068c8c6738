/**
 * What a slot's machine is to live under: derived from the cluster's network and its faults, never stored, so
 * that whoever asks twice is told the same.
 *
 * Conditions are by address. The control API shapes nothing itself, so nodes bear on what they send to it what
 * both ways of the path are to bear: then a request and its answer take as long as they would.
 */
import {
  type Conditions,
  controlApiNode,
  type Fault,
  type FaultNode,
  latencyBetweenMs,
  linkOf,
  type NetworkSpec,
  type PathConditions,
  type PathImpairments,
} from '@skep/contract';
import type { ClusterState } from './decision.ts';
import type { SlotRow } from './rows.ts';

/** What the cluster's rows do not say of the world around it. */
export interface Surroundings {
  /** IP literals of the control API; none if unknown. */
  readonly controlApiHosts: readonly string[];
  /** The launcher's world has the network of the spec by itself. */
  readonly modelsNetwork: boolean;
}

type Path = Omit<PathConditions, 'with'>;
type Slots = ClusterState['slots'];

const sets = new WeakMap<readonly FaultNode[], ReadonlySet<FaultNode>>();

/** The network that the slot stands in while nothing is wrong; `{}` where it is as the spec asks already. */
export function baseConditions(
  network: NetworkSpec,
  slots: Slots,
  slot: SlotRow,
  { controlApiHosts, modelsNetwork }: Surroundings,
): Conditions {
  if (modelsNetwork) return {};
  const link = linkOf(network, slot.role, slot.slot);
  const { jitterMs, lossRate } = network;
  const pathTo = (delayMs?: number): Path =>
    withoutAbsent({ delayMs: delayMs || undefined, jitterMs, lossRate });
  const toControlApi = bothWays(pathTo(latencyBetweenMs(network, slot.slot, controlApiNode)));
  const uniform = typeof network.latencyMs === 'number';
  const paths: PathConditions[] = [
    ...pathTowards([slot.addresses.listen.host], {}),
    ...pathTowards(controlApiHosts, toControlApi),
    ...(uniform
      ? []
      : pathsByLatency(network, slots, slot).map(([delayMs, hosts]) => ({
          with: hosts,
          ...pathTo(delayMs),
        }))),
    { with: 'any', ...pathTo(uniform ? (network.latencyMs as number) : undefined) },
  ];
  const shaped = paths.some(({ with: _, ...path }) => Object.keys(path).length > 0);
  return { ...(link === undefined ? {} : { link }), ...(shaped ? { paths } : {}) };
}

/** The hosts of the other slots, by how far they are. */
function pathsByLatency(network: NetworkSpec, slots: Slots, slot: SlotRow): [number, string[]][] {
  const byLatency = new Map<number, string[]>();
  for (const other of slots.values()) {
    if (other.slot === slot.slot) continue;
    const latencyMs = latencyBetweenMs(network, slot.slot, other.slot);
    const hosts = byLatency.get(latencyMs);
    if (hosts === undefined) byLatency.set(latencyMs, [other.addresses.listen.host]);
    else hosts.push(other.addresses.listen.host);
  }
  return [...byLatency];
}

/** What a fault does to a slot's machine by itself; undefined if nothing. */
export function faultConditions(
  fault: Fault,
  slots: Slots,
  slot: string,
  surroundings: Surroundings,
): Conditions | undefined {
  switch (fault.kind) {
    case 'clock': {
      const { nodes, skewMs } = fault;
      return setOf(nodes).has(slot) ? { clock: { skewMs } } : undefined;
    }
    case 'disk': {
      const { kind: _kind, forMs: _forMs, nodes, ...disk } = fault;
      return setOf(nodes).has(slot) ? { disk } : undefined;
    }
    case 'partition': {
      const { nodes, from, way } = fault;
      const cut = setOf(nodes).has(slot) || way === 'both' ? way : way === 'in' ? 'out' : 'in';
      const ends = { nodes, others: from, slot };
      return pathsOnly(pathsOf(ends, slots, surroundings, { cut }, { cut }));
    }
    case 'degrade': {
      const {
        kind: _,
        forMs: _forMs,
        nodes,
        with: others,
        upBytesPerSecond,
        downBytesPerSecond,
        ...rest
      } = fault;
      const path = withoutAbsent(rest);
      const rates = withoutAbsent({ upBytesPerSecond, downBytesPerSecond });
      const link = setOf(nodes).has(slot) && Object.keys(rates).length > 0 ? { link: rates } : {};
      const worse = Object.keys(path).length > 0;
      const ends = { nodes, others, slot };
      const paths = worse ? pathsOf(ends, slots, surroundings, path, bothWays(path)) : [];
      const conditions = { ...link, ...pathsOnly(paths) };
      return Object.keys(conditions).length > 0 ? conditions : undefined;
    }
    default:
      return undefined;
  }
}

interface Ends {
  readonly nodes: readonly FaultNode[];
  /** Missing for all others. */
  readonly others: readonly FaultNode[] | undefined;
  readonly slot: string;
}

/** The paths between `nodes` and `others` that begin at the slot, as that end has to bear them. */
function pathsOf(
  { nodes, others, slot }: Ends,
  slots: Slots,
  surroundings: Surroundings,
  path: Path,
  toControlApi: Path,
): PathConditions[] {
  const named = setOf(nodes);
  const towards = (remotes: readonly FaultNode[]): PathConditions[] => [
    ...pathTowards(hostsOf(remotes, slots), path),
    ...(remotes.includes(controlApiNode) ? pathTowards(surroundings.controlApiHosts, toControlApi) : []),
  ];
  if (!named.has(slot)) return others === undefined || setOf(others).has(slot) ? towards(nodes) : [];
  if (others !== undefined) return towards(others.filter((other) => !named.has(other)));
  return [
    ...pathTowards(hostsOf(nodes, slots), {}),
    ...pathTowards(surroundings.controlApiHosts, named.has(controlApiNode) ? {} : toControlApi),
    { with: 'any', ...path },
  ];
}

function hostsOf(nodes: readonly FaultNode[], slots: Slots): string[] {
  return nodes.flatMap((node) => slots.get(node)?.addresses.listen.host ?? []);
}

function pathTowards(hosts: readonly string[], path: Path): PathConditions[] {
  return hosts.length === 0 ? [] : [{ with: hosts, ...path }];
}

function pathsOnly(paths: readonly PathConditions[]): Conditions | undefined {
  return paths.length === 0 ? undefined : { paths };
}

function bothWays(path: PathImpairments): Path {
  const twice = (amount: number | undefined) => (amount === undefined ? undefined : amount * 2);
  const either = (rate: number | undefined) => (rate === undefined ? undefined : 1 - (1 - rate) ** 2);
  return withoutAbsent({
    ...path,
    delayMs: twice(path.delayMs),
    jitterMs: twice(path.jitterMs),
    lossRate: either(path.lossRate),
  });
}

/** A fault's list is looked into for every report of every machine. */
function setOf(nodes: readonly FaultNode[]): ReadonlySet<string> {
  const known = sets.get(nodes);
  if (known !== undefined) return known;
  const set = new Set(nodes);
  sets.set(nodes, set);
  return set;
}

function withoutAbsent<T extends object>(fields: T): T {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as T;
}
