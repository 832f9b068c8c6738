/** What several conditions come to that a machine is under at once: its network as it always is, and each fault. */
import type { Conditions, DiskConditions, PathConditions } from './conditions.ts';

type Path = Omit<PathConditions, 'with'>;

/** One layer's paths, looked up: those of single remotes, and those of all others. */
interface Lookup {
  readonly byRemote: ReadonlyMap<string, Path>;
  readonly others: Path | undefined;
}

/**
 * Delays, jitters and skews add up; of rates in bytes the lowest holds; shares of what goes wrong (0 to 1) are
 * independent of each other; a cut either way is one. Absent stays absent, so none or only empty ones give `{}`.
 */
export function combineConditions(layers: readonly Conditions[]): Conditions {
  const link = combined({
    upBytesPerSecond: least(layers.map((layer) => layer.link?.upBytesPerSecond)),
    downBytesPerSecond: least(layers.map((layer) => layer.link?.downBytesPerSecond)),
  });
  const paths = combinePaths(layers.flatMap(({ paths }) => (paths === undefined ? [] : [lookup(paths)])));
  const clock = combined({ skewMs: sum(layers.map((layer) => layer.clock?.skewMs)) });
  const disk = combineDisks(layers.flatMap((layer) => layer.disk ?? []));
  return combined({ link, paths, clock, disk }) ?? {};
}

function lookup(paths: readonly PathConditions[]): Lookup {
  const byRemote = new Map<string, Path>();
  for (const { with: remotes, ...path } of paths) {
    if (remotes === 'any') return { byRemote, others: path };
    for (const remote of remotes) if (!byRemote.has(remote)) byRemote.set(remote, path);
  }
  return { byRemote, others: undefined };
}

/** Remotes of one fate share an entry, so that a thousand of them in one partition stay one. */
function combinePaths(layers: readonly Lookup[]): PathConditions[] | undefined {
  const others = combinePath(layers.flatMap((layer) => layer.others ?? []));
  const otherFate = JSON.stringify(others);
  const groups = new Map<string, { path: Path; remotes: string[] }>();
  for (const remote of new Set(layers.flatMap((layer) => [...layer.byRemote.keys()]))) {
    const path = combinePath(layers.flatMap((layer) => layer.byRemote.get(remote) ?? layer.others ?? []));
    const fate = JSON.stringify(path);
    if (fate === otherFate) continue;
    const group = groups.get(fate);
    if (group === undefined) groups.set(fate, { path, remotes: [remote] });
    else group.remotes.push(remote);
  }
  const paths: PathConditions[] = [...groups.values()].map(({ path, remotes }) => ({
    with: remotes,
    ...path,
  }));
  if (otherFate !== '{}') paths.push({ with: 'any', ...others });
  return paths.length === 0 ? undefined : paths;
}

function combinePath(paths: readonly Path[]): Path {
  const cuts = new Set(paths.flatMap(({ cut }) => cut ?? []));
  const [only] = cuts;
  return (
    combined({
      delayMs: sum(paths.map((path) => path.delayMs)),
      jitterMs: sum(paths.map((path) => path.jitterMs)),
      lossRate: either(paths.map((path) => path.lossRate)),
      duplicateRate: either(paths.map((path) => path.duplicateRate)),
      reorderRate: either(paths.map((path) => path.reorderRate)),
      cut: cuts.size > 1 ? ('both' as const) : only,
    }) ?? {}
  );
}

function combineDisks(disks: readonly DiskConditions[]): DiskConditions | undefined {
  return combined({
    full: disks.some((disk) => disk.full) || undefined,
    delayMs: sum(disks.map((disk) => disk.delayMs)),
    bytesPerSecond: least(disks.map((disk) => disk.bytesPerSecond)),
    readErrorRate: either(disks.map((disk) => disk.readErrorRate)),
    writeErrorRate: either(disks.map((disk) => disk.writeErrorRate)),
    corruptReadRate: either(disks.map((disk) => disk.corruptReadRate)),
  });
}

type Amounts = readonly (number | undefined)[];

const given = (amounts: Amounts): number[] => amounts.filter((amount) => amount !== undefined);

/** What does nothing counts as absent. */
function sum(amounts: Amounts): number | undefined {
  return given(amounts).reduce((total, amount) => total + amount, 0) || undefined;
}

function least(amounts: Amounts): number | undefined {
  const known = given(amounts);
  return known.length === 0 ? undefined : Math.min(...known);
}

/** That at least one of independent chances comes about. */
function either(rates: Amounts): number | undefined {
  const [first, ...rest] = given(rates).filter((rate) => rate > 0);
  return rest.reduce<number | undefined>((any, rate) => 1 - (1 - any!) * (1 - rate), first);
}

/** Without what is absent; undefined if that is all. */
function combined<T extends object>(fields: T): { [K in keyof T]?: Exclude<T[K], undefined> } | undefined {
  const known = Object.entries(fields).filter(([, value]) => value !== undefined);
  return known.length === 0 ? undefined : (Object.fromEntries(known) as T);
}
