/**
 * What a grace costs and what it buys: how long a silent machine's replacement takes, and how often one of the living
 * is replaced, on a good network and on a bad one. Nobody dies in the rings that are judged.
 */
import { falseVerdicts } from '../../p2p-core/src/ring/testing/long-run.ts';
import { percentile } from './percentiles.ts';
import { playRound } from './round.ts';

export interface CurveOptions {
  readonly members: number;
  /** Of each living ring. */
  readonly nodeHours: number;
  /** Of the deaths by which the time to heal is measured. */
  readonly seeds: number;
  readonly latencyMs: number;
}

export interface Weather {
  readonly name: string;
  readonly loss: number;
  /** One node of the ring, drawn at random, stands still for so long, every so often. */
  readonly pauses?: { readonly everyMs: number; readonly forMs: number };
}

export interface CurvePoint {
  readonly graceMs: number;
  readonly members: number;
  /** Of a machine that falls silent: to its next generation's serving. */
  readonly healP50Ms: number | undefined;
  readonly healWorstMs: number | undefined;
  readonly weathers: readonly {
    readonly name: string;
    readonly nodeHours: number;
    /** How often some member stood still. */
    readonly pauses: number;
    /** Nodes that called a living member dead. */
    readonly verdicts: number;
    /** Living members that a leader asked to have replaced. */
    readonly replacements: number;
  }[];
}

export const graces = [1_000, 2_000, 3_000, 4_000, 5_000, 6_000, 8_000, 12_000];

const minuteMs = 60_000;
const hourMs = 3_600_000;
export const weathers: readonly Weather[] = [
  { name: '10 % loss', loss: 0.1 },
  { name: '10 % loss, pauses of 2 s', loss: 0.1, pauses: { everyMs: minuteMs, forMs: 2_000 } },
  { name: '30 % loss, pauses of 5 s', loss: 0.3, pauses: { everyMs: minuteMs, forMs: 5_000 } },
  { name: '10 % loss, pauses of 10 s', loss: 0.1, pauses: { everyMs: minuteMs, forMs: 10_000 } },
];

export async function curvePoint(graceMs: number, options: CurveOptions): Promise<CurvePoint> {
  const { members, nodeHours, seeds, latencyMs } = options;
  const healed: number[] = [];
  for (let seed = 1; seed <= seeds; seed++) {
    const { replacedMs } = await playRound('silence', { seed, members, latencyMs, graceMs });
    if (replacedMs !== undefined) healed.push(replacedMs);
  }
  return {
    graceMs,
    members,
    healP50Ms: percentile(healed, 0.5),
    healWorstMs: percentile(healed, 1),
    weathers: weathers.map(({ name, ...weather }) => {
      const told = falseVerdicts({ ...weather, members, nodeHours, latencyMs, seed: 1, timing: { graceMs } });
      const { everyMs = Number.POSITIVE_INFINITY } = weather.pauses ?? {};
      return {
        name,
        nodeHours: told.nodeHours,
        pauses: Math.floor((told.nodeHours * hourMs) / members / everyMs),
        verdicts: told.verdicts,
        replacements: told.replacements,
      };
    }),
  };
}

export function describeCurve(points: readonly CurvePoint[]): string {
  const rows = points.map(({ graceMs, healP50Ms, healWorstMs, weathers }) => [
    `${graceMs / 1_000} s`,
    seconds(healP50Ms),
    seconds(healWorstMs),
    ...weathers.map(({ replacements, nodeHours, pauses }) =>
      pauses > 0
        ? `${count(replacements)} in ${count(pauses)} pauses`
        : `${count(replacements)} in ${count(nodeHours)} node-hours`,
    ),
  ]);
  const heads = ['grace', 'healed p50', 'worst', ...weathers.map(({ name }) => name)];
  const table = [heads, heads.map(() => '---'), ...rows];
  const widths = heads.map((_, column) => Math.max(...table.map((row) => row[column]!.length)));
  return table
    .map((row) => `| ${row.map((cell, column) => cell.padEnd(widths[column]!)).join(' | ')} |`)
    .join('\n');
}

function seconds(ms: number | undefined): string {
  return ms === undefined ? 'never' : `${(ms / 1_000).toFixed(1)} s`;
}

function count(value: number): string {
  return value === 0 ? 'none' : Number(value.toPrecision(3)).toLocaleString('en-US');
}
