/**
 * How a cluster follows the number of containers that compose has made for each role: what to add at once, what to
 * remove. Containers come and go while compose works, so a difference counts once it has lasted.
 */
import type { NodeView, WorkingRole } from '@skep/contract';

export type Counts = Readonly<Record<WorkingRole, number>>;

/** By role: by how many the cluster was too small (or, negative, too large), and since when it has been so. */
export type Differences = Readonly<Partial<Record<WorkingRole, { by: number; sinceMs: number }>>>;

export interface SizeChanges {
  readonly add: readonly WorkingRole[];
  /** Slots. */
  readonly remove: readonly string[];
}

type SizedNode = Pick<NodeView, 'slot' | 'role' | 'state' | 'moving'>;

export const workingRoles = ['bootstrap', 'index', 'peer'] as const;

const addAfterMs = 3_000;
/** Longer than compose takes to make a project's containers anew. */
const removeAfterMs = 20_000;

export function differencesOf(
  before: Differences,
  counts: Counts,
  nodes: readonly SizedNode[],
  now: number,
): Differences {
  return Object.fromEntries(
    workingRoles.flatMap((role) => {
      const by = counts[role] - nodes.filter((node) => node.role === role && isStaying(node)).length;
      if (by === 0) return [];
      const known = before[role];
      return [[role, { by, sinceMs: known?.by === by ? known.sinceMs : now }]];
    }),
  );
}

export function sizeChanges(
  differences: Differences,
  counts: Counts,
  nodes: readonly SizedNode[],
  now: number,
): SizeChanges {
  const add: WorkingRole[] = [];
  const remove: string[] = [];
  for (const role of workingRoles) {
    const difference = differences[role];
    if (difference === undefined) continue;
    const { by, sinceMs } = difference;
    if (by > 0 && now - sinceMs >= addAfterMs) add.push(...Array.from({ length: by }, () => role));
    // With no container at all the project is being taken down, or has not come up yet.
    if (by < 0 && now - sinceMs >= removeAfterMs && counts[role] > 0) {
      remove.push(
        ...leastMissed(nodes.filter((node) => node.role === role && isStaying(node))).slice(0, -by),
      );
    }
  }
  return { add, remove };
}

function isStaying({ state, moving }: SizedNode): boolean {
  return moving !== 'leaving' && state !== 'stopping' && state !== 'stopped';
}

/** Those that do not serve first, then the latest. */
function leastMissed(nodes: readonly SizedNode[]): string[] {
  const serves = ({ state }: SizedNode) => (state === 'serving' ? 1 : 0);
  const ordinal = ({ slot }: SizedNode) => Number(slot.split('-')[1]);
  return [...nodes].sort((a, b) => serves(a) - serves(b) || ordinal(b) - ordinal(a)).map(({ slot }) => slot);
}
