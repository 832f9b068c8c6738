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
  longestDelayMs,
  type NetworkSpec,
  type PathConditions,
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

/** Every report of every machine asks what its faults are: with thousands of nodes in one it must not be derived anew. */
const sets = new WeakMap<readonly FaultNode[], ReadonlySet<FaultNode>>();
const derived = new WeakMap<
  Fault,
  { surroundings: Surroundings; named: Conditions | undefined; other: Conditions | undefined }
>();

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

/** Whether a fault names the slot, or has it at the other end, or is nothing to it. */
type Side = 'named' | 'other' | 'none';

/**
 * What a fault does to a slot's machine by itself; undefined if nothing. It is the same for all slots of one
 * side and as long as the fault lasts, so it is derived once.
 */
export function faultConditions(
  fault: Fault,
  slots: Slots,
  slot: string,
  surroundings: Surroundings,
): Conditions | undefined {
  const side = sideOf(fault, slot);
  if (side === 'none') return undefined;
  let known = derived.get(fault);
  if (known?.surroundings !== surroundings) {
    const ofSide = (each: 'named' | 'other') => sideConditions(fault, each, slots, surroundings);
    known = { surroundings, named: ofSide('named'), other: ofSide('other') };
    derived.set(fault, known);
  }
  return known[side];
}

function sideOf(fault: Fault, slot: string): Side {
  if (setOf(fault.nodes).has(slot)) return 'named';
  if (fault.kind !== 'partition' && fault.kind !== 'degrade') return 'none';
  const others = fault.kind === 'partition' ? fault.from : fault.with;
  return others === undefined || setOf(others).has(slot) ? 'other' : 'none';
}

function sideConditions(
  fault: Fault,
  side: 'named' | 'other',
  slots: Slots,
  surroundings: Surroundings,
): Conditions | undefined {
  switch (fault.kind) {
    case 'clock':
      return { clock: { skewMs: fault.skewMs } };
    case 'disk': {
      const { kind: _kind, forMs: _forMs, nodes: _nodes, ...disk } = fault;
      return { disk };
    }
    case 'partition': {
      const { nodes, from, way } = fault;
      const cut = side === 'named' || way === 'both' ? way : way === 'in' ? 'out' : 'in';
      return nonEmpty({ paths: pathsOf({ nodes, others: from, side }, slots, surroundings, { cut }) });
    }
    case 'degrade': {
      const {
        kind: _kind,
        forMs: _forMs,
        nodes,
        with: others,
        upBytesPerSecond,
        downBytesPerSecond,
        ...rest
      } = fault;
      const path = withoutAbsent(rest);
      const isWorse = Object.keys(path).length > 0;
      return nonEmpty({
        link: side === 'named' ? withoutAbsent({ upBytesPerSecond, downBytesPerSecond }) : {},
        paths: isWorse ? pathsOf({ nodes, others, side }, slots, surroundings, path) : [],
      });
    }
    default:
      return undefined;
  }
}

interface Ends {
  readonly nodes: readonly FaultNode[];
  /** Missing for all others. */
  readonly others: readonly FaultNode[] | undefined;
  /** Whose paths. */
  readonly side: 'named' | 'other';
}

/** The paths between `nodes` and `others` that begin at a side, as that end bears them. */
function pathsOf(
  { nodes, others, side }: Ends,
  slots: Slots,
  { controlApiHosts }: Surroundings,
  path: Path,
): PathConditions[] {
  const named = setOf(nodes);
  const toControlApi = bothWays(path);
  const towards = (remotes: readonly FaultNode[]): PathConditions[] => [
    ...pathTowards(hostsOf(remotes, slots), path),
    ...(remotes.includes(controlApiNode) ? pathTowards(controlApiHosts, toControlApi) : []),
  ];
  if (side === 'other') return towards(nodes);
  if (others !== undefined) return towards(others.filter((other) => !named.has(other)));
  return [
    ...pathTowards(hostsOf(nodes, slots), {}),
    ...pathTowards(controlApiHosts, named.has(controlApiNode) ? {} : toControlApi),
    { with: 'any', ...path },
  ];
}

function hostsOf(nodes: readonly FaultNode[], slots: Slots): string[] {
  return nodes.flatMap((node) => slots.get(node)?.addresses.listen.host ?? []);
}

function pathTowards(hosts: readonly string[], path: Path): PathConditions[] {
  return hosts.length === 0 ? [] : [{ with: hosts, ...path }];
}

function nonEmpty({ link = {}, paths = [] }: Pick<Conditions, 'link' | 'paths'>): Conditions | undefined {
  const conditions = {
    ...(Object.keys(link).length === 0 ? {} : { link }),
    ...(paths.length === 0 ? {} : { paths }),
  };
  return Object.keys(conditions).length === 0 ? undefined : conditions;
}

function bothWays(path: Path): Path {
  const twice = (amount: number | undefined) =>
    amount === undefined ? undefined : Math.min(amount * 2, longestDelayMs);
  const either = (rate: number | undefined) => (rate === undefined ? undefined : 1 - (1 - rate) ** 2);
  return withoutAbsent({
    ...path,
    delayMs: twice(path.delayMs),
    jitterMs: twice(path.jitterMs),
    lossRate: either(path.lossRate),
  });
}

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
