/**
 * Decides what has lived too long: pure in what was found, which stacks are gone, and the time. What says nothing of
 * itself lives on: only a time that is over, or a stack that is known to be gone, ends anything.
 */

export interface Found {
  readonly kind: 'group' | 'instance' | 'interface';
  readonly id: string;
  readonly deployment: string;
  /** ISO 8601, as its tag says; also `never`. */
  readonly expiresAt?: string;
  /** Id of the stack that would end it. */
  readonly stack?: string;
}

/** What a reaper knows of its own deployment, and better than the tags, which are as old as what bears them. */
export interface OwnDeployment {
  readonly deployment: string;
  /** Missing: it lives for ever. */
  readonly expiresAt?: string;
}

/** What must go, groups first: a group would replace what is ended, and its control API heal it. */
export function decideReap(
  found: readonly Found[],
  { own, goneStacks, nowMs }: { own?: OwnDeployment; goneStacks: ReadonlySet<string>; nowMs: number },
): Found[] {
  const order: Found['kind'][] = ['group', 'instance', 'interface'];
  return found
    .filter((each) => isExpired(each, own, nowMs) || (each.stack !== undefined && goneStacks.has(each.stack)))
    .sort((one, other) => order.indexOf(one.kind) - order.indexOf(other.kind));
}

/** Stacks of which it matters whether they are gone. */
export function stacksToAsk(
  found: readonly Found[],
  own: OwnDeployment | undefined,
  nowMs: number,
): string[] {
  const lasting = found.filter((each) => !isExpired(each, own, nowMs));
  return [...new Set(lasting.flatMap(({ stack }) => stack ?? []))];
}

function isExpired(found: Found, own: OwnDeployment | undefined, nowMs: number): boolean {
  const expiresAt = found.deployment === own?.deployment ? own.expiresAt : found.expiresAt;
  // No time at all, as `never`, is past nothing.
  return expiresAt !== undefined && Date.parse(expiresAt) <= nowMs;
}
