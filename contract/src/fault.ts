/**
 * Faults: what can be done to a running cluster, in the words of whoever does it. One vocabulary for the API,
 * scenarios and every runner. Each fault that lasts says for how long, and ends by itself.
 */
import * as z from 'zod';
import { DiskConditions, LinkConditions, mostRemotes, PathImpairments, SkewMs } from './conditions.ts';
import { SlotName } from './identity.ts';

/** How the control API is named among the nodes. */
export const controlApiNode = 'control-api';

/**
 * A slot, or `control-api`. Crash, pause and restart befall the machine that is in the slot then; the other
 * faults befall the slot, its next machine too while they last.
 */
export const FaultNode = z.union([SlotName, z.literal(controlApiNode)]).meta({
  id: 'FaultNode',
  description: 'A slot, for instance bootstrap-2, or control-api.',
});
export type FaultNode = z.infer<typeof FaultNode>;

/** How many faults may be active in a cluster at once. */
export const mostFaults = 1_000;

const Slots = z.array(SlotName).min(1).max(mostRemotes);
const Nodes = z.array(FaultNode).min(1).max(mostRemotes);
/** At most a day: what is to last longer is how the cluster is, not its fault. */
const longestMs = 86_400_000;
/** From the injection on. */
const ForMs = z.int().min(1).max(longestMs);

/** Ends the machine's process at once; with `power` what was not yet synced to its disk goes too, where the runner can. */
export const CrashFault = z.strictObject({
  kind: z.literal('crash'),
  nodes: Nodes,
  power: z.boolean().optional(),
});

/** The machine stands still, and notices nothing of it but that time has passed. */
export const PauseFault = z.strictObject({ kind: z.literal('pause'), nodes: Nodes, forMs: ForMs });

/** Ends the machine at once, and starts its slot's next one, also of a role that is not healed. */
export const RestartFault = z.strictObject({
  kind: z.literal('restart'),
  nodes: Nodes,
  /** Whether the next machine finds what the slot's disk held. */
  disk: z.enum(['keep', 'lose']),
});

/** Nothing passes between `nodes` and `from`. Inside each of the two groups all is as before. */
export const PartitionFault = z.strictObject({
  kind: z.literal('partition'),
  nodes: Nodes,
  /** Default: all others, the control API included. What is in `nodes` too is not meant. */
  from: Nodes.optional(),
  /** As seen from `nodes`: `out` is what they send, `in` what they receive. */
  way: z.enum(['both', 'in', 'out']),
  forMs: ForMs,
});

/**
 * Makes links and paths worse. The rates are of the links of `nodes`; the rest is of each path between `nodes`
 * and `with`, and in each direction.
 */
export const DegradeFault = z
  .strictObject({
    kind: z.literal('degrade'),
    nodes: Nodes,
    /** Default: all others, the control API included. What is in `nodes` too is not meant. */
    with: Nodes.optional(),
    forMs: ForMs,
    ...LinkConditions.shape,
    ...PathImpairments.shape,
  })
  .refine(
    ({ kind: _kind, nodes: _nodes, with: _with, forMs: _forMs, ...worse }) => hasAny(worse),
    'say what gets worse: for instance delayMs, lossRate or upBytesPerSecond',
  );

/** The wall clock is wrong by `skewMs` from now on. Monotonic time is not touched. */
export const ClockFault = z.strictObject({
  kind: z.literal('clock'),
  nodes: Slots,
  skewMs: SkewMs,
  /** Default: a day, which is for good as experiments go. */
  forMs: ForMs.default(longestMs),
});

export const DiskFault = z
  .strictObject({ kind: z.literal('disk'), nodes: Slots, forMs: ForMs, ...DiskConditions.shape })
  .refine(
    ({ kind: _kind, nodes: _nodes, forMs: _forMs, ...worse }) => hasAny(worse),
    'say what gets worse: for instance full, delayMs or readErrorRate',
  );

export const Fault = z
  .discriminatedUnion('kind', [
    CrashFault,
    PauseFault,
    RestartFault,
    PartitionFault,
    DegradeFault,
    ClockFault,
    DiskFault,
  ])
  .meta({
    id: 'Fault',
    description: 'Something done to nodes of a running cluster. Times are milliseconds.',
  });
export type Fault = z.infer<typeof Fault>;

export const FaultId = z.string().regex(/^[0-9]{1,9}$/);

export const FaultView = z
  .object({
    id: FaultId,
    fault: Fault,
    /** `over` by itself; `cancelled` before its time. */
    state: z.enum(['active', 'over', 'cancelled']),
    injectedAtMs: z.number(),
    /** When it ends, or ended. */
    untilMs: z.number(),
  })
  .meta({ id: 'FaultView', description: 'A fault as it was injected, and what became of it.' });
export type FaultView = z.infer<typeof FaultView>;

function hasAny(fields: object): boolean {
  return Object.values(fields).some((value) => value !== undefined);
}
