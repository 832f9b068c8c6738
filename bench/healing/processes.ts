/**
 * What came when after a fault of a real process, read from the journal and the redeployment, and how such times
 * are told of many rounds. Played by `npm run soak -- chaos`.
 */
import { type ClusterEvent, formatMachineId, type RedeploymentView } from '@skep/contract';
import { percentile } from './percentiles.ts';

/** Milliseconds from the fault, each; missing for what did not come about, or was no part of it. */
export interface Phases {
  /** Somebody of the ring suspected it. */
  readonly suspectMs?: number;
  /** The first to know, in the ring or by evidence the control API. */
  readonly detectMs?: number;
  /** Somebody has the lease after the leader's fault: the ring's elected, or the watchdog. */
  readonly electMs?: number;
  /** Its replacement is decided, and it is fenced. */
  readonly acceptMs?: number;
  /** It is proven gone. */
  readonly stopMs?: number;
  readonly launchMs?: number;
  readonly bootMs?: number;
  readonly joinMs?: number;
  readonly serveMs?: number;
  /** The new machine, asked alone, named a peer that has what was sought. */
  readonly lookupMs?: number;
  /** The control API, away since before the fault, answered again. */
  readonly apiMs?: number;
  /** Not from the fault, but from when it went on again: it had ended itself. */
  readonly zombieMs?: number;
}

export interface FaultOfProcess {
  /** Wall clock, just before. */
  readonly atMs: number;
  readonly slot: string;
  readonly generation: number;
  /** Of the lease then; missing if the leader was spared. */
  readonly term?: number;
}

const titles: readonly (readonly [phase: keyof Phases, title: string])[] = [
  ['suspectMs', 'suspected'],
  ['apiMs', 'API back'],
  ['detectMs', 'detect'],
  ['electMs', 'elect'],
  ['acceptMs', 'accepted'],
  ['stopMs', 'stop'],
  ['launchMs', 'launch'],
  ['bootMs', 'boot'],
  ['joinMs', 'join'],
  ['serveMs', 'serving'],
  ['lookupMs', 'first good lookup'],
  ['zombieMs', 'zombie ended'],
];
/** Of the table. */
const columns: readonly (keyof Phases)[] = [
  'detectMs',
  'apiMs',
  'electMs',
  'stopMs',
  'launchMs',
  'joinMs',
  'lookupMs',
  'zombieMs',
];
const shares = [0.5, 0.95, 0.99];

/** `lookupAtMs`: wall clock of the first good lookup. */
export function phasesOf(
  fault: FaultOfProcess,
  events: readonly ClusterEvent[],
  redeployment: RedeploymentView | undefined,
  lookupAtMs: number | undefined,
): Phases {
  const name = formatMachineId(fault);
  const first = (fits: (event: ClusterEvent) => boolean): number | undefined => {
    const times = events.filter(fits).map(({ atMs, happenedAtMs }) => happenedAtMs ?? atMs);
    return times.length === 0 ? undefined : Math.min(...times);
  };
  const { times } = redeployment ?? {};
  const { term } = fault;
  const atMs: Record<Exclude<keyof Phases, 'apiMs' | 'zombieMs'>, number | undefined> = {
    suspectMs: first(({ kind, data }) => kind === 'member-suspected' && data.member === name),
    detectMs: first(
      ({ kind, data, slot, generation }) =>
        (kind === 'member-dead' && data.member === name) ||
        (kind === 'node-dead' && slot === fault.slot && generation === fault.generation),
    ),
    electMs:
      term === undefined
        ? undefined
        : first(({ kind, data }) => kind === 'lease-granted' && Number(data.term) > term),
    acceptMs: times?.acceptedMs,
    stopMs: times?.goneMs,
    launchMs: times?.launchedMs,
    bootMs: times?.bootedMs,
    joinMs: times?.joinedMs,
    serveMs: times?.servingMs,
    lookupMs: lookupAtMs,
  };
  const since = Object.entries(atMs).flatMap(([phase, at]) =>
    at === undefined ? [] : [[phase, at - fault.atMs] as const],
  );
  return Object.fromEntries(since);
}

/** A line for each phase that came about in any round. */
export function describePhases(rounds: readonly Phases[]): string {
  const lines = titles.flatMap(([phase, title]) => {
    const values = rounds.flatMap((round) => round[phase] ?? []);
    if (values.length === 0) return [];
    const told = shares.map((share) => `${Math.round(percentile(values, share)!)} ms`.padStart(10));
    return [`  ${title.padEnd(18)}${told.join('')}   of ${values.length}`];
  });
  return [
    `  ${'from the fault'.padEnd(18)}${['p50', 'p95', 'p99'].map((each) => each.padStart(10)).join('')}`,
    ...lines,
  ].join('\n');
}

export interface PlayedKind {
  readonly kind: string;
  readonly rounds: number;
  /** Of each victim. */
  readonly phases: readonly Phases[];
}

/** The same as a table in Markdown, a row a kind; p50, p95 and p99 in milliseconds. */
export function phasesTable(played: readonly PlayedKind[]): string {
  const present = columns.filter((phase) =>
    played.some(({ phases }) => phases.some((each) => each[phase] !== undefined)),
  );
  const named = new Map(titles);
  const rows = [
    ['fault (rounds)', ...present.map((phase) => named.get(phase)!)],
    ...played.map(({ kind, rounds, phases }) => [
      `${kind} (${rounds})`,
      ...present.map((phase) => threeOf(phases.flatMap((each) => each[phase] ?? []))),
    ]),
  ];
  const widths = rows[0]!.map((_, index) => Math.max(...rows.map((row) => row[index]!.length)));
  const lines = rows.map((row) => `| ${row.map((cell, index) => cell.padEnd(widths[index]!)).join(' | ')} |`);
  return [lines[0], `| ${widths.map((width) => '-'.repeat(width)).join(' | ')} |`, ...lines.slice(1)].join(
    '\n',
  );
}

function threeOf(values: readonly number[]): string {
  if (values.length === 0) return '';
  return shares.map((share) => Math.round(percentile(values, share)!).toLocaleString('en-US')).join('; ');
}
