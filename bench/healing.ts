/**
 * How fast a ring heals, and what it costs: bootstrap nodes as in production and nothing else, in virtual time at
 * 50 ms round trips. Each seed is one world with one fault. Beside it memberlist on the same network, and what
 * others publish.
 *
 * `node bench/healing.ts [--members N] [--seeds K] [--fault kill|silence|leader|transfer] [--no-anchors] [--json]`;
 * without: 5, 20 and 100 members, 20 seeds, all faults.
 * `node bench/healing.ts --curve [--members N] [--seeds K] [--hours H] [--json]`: what each grace costs and buys, in
 * living rings of H node-hours; without: 5 members, 3 seeds, 100 hours.
 */
import { parseArgs } from 'node:util';
import { Memberlist } from './anchors/memberlist.ts';
import { published } from './anchors/published.ts';
import { type CurvePoint, curvePoint, describeCurve, graces } from './healing/curve.ts';
import { percentile } from './healing/percentiles.ts';
import { type FaultName, faultNames, playRound, type Round } from './healing/round.ts';
import type { TrafficFigures } from './healing/traffic.ts';

const latencyMs = 25;

/** Milliseconds from the fault, by what happened then; missing for what did not come about. */
type Times = { readonly [time in Time]?: number | undefined };

interface Summary {
  readonly of: 'skep' | 'memberlist';
  readonly members: number;
  readonly fault: FaultName;
  /** Why there are no figures. */
  readonly impossible?: string;
  readonly rounds: readonly (Times & Pick<Round, 'atRest' | 'whileHealing'>)[];
  /** Nodes replaced, or with memberlist called dead, that nothing was done to. */
  readonly falsely: number;
  /** Processor time a virtual second. */
  readonly cpuMsPerSecond?: number;
}

async function measure(members: number, fault: FaultName, seeds: number): Promise<Summary> {
  const rounds: Round[] = [];
  let impossible: string | undefined;
  for (let seed = 1; seed <= seeds && impossible === undefined; seed++) {
    try {
      rounds.push(await playRound(fault, { seed, members, latencyMs }));
    } catch (error) {
      impossible = error instanceof Error ? error.message : String(error);
    }
  }
  const falsely = rounds.reduce((total, round) => total + round.falseReplacements, 0);
  const cpus = rounds.map(({ cpuMsPerSecond }) => cpuMsPerSecond);
  return {
    of: 'skep',
    members,
    fault,
    ...(impossible === undefined ? {} : { impossible }),
    rounds,
    falsely,
    ...(cpus.length === 0 ? {} : { cpuMsPerSecond: percentile(cpus, 0.5)! }),
  };
}

/** It knows no leaders. */
function measureMemberlist(
  memberlist: Memberlist,
  members: number,
  fault: FaultName,
  seeds: number,
): Summary[] {
  if (fault !== 'kill' && fault !== 'silence') return [];
  const rounds = memberlist.die(fault, { members, rounds: seeds });
  const falsely = rounds.reduce((total, { falseDeaths }) => total + falseDeaths, 0);
  return [{ of: 'memberlist', members, fault, rounds, falsely }];
}

type Time = 'suspectedMs' | 'agreedMs' | 'electedMs' | 'leadsMs' | 'acceptedMs' | 'replacedMs';
const times: readonly (readonly [title: string, time: Time])[] = [
  ['suspected', 'suspectedMs'],
  ['agreed dead', 'agreedMs'],
  ['elected', 'electedMs'],
  ['leads', 'leadsMs'],
  ['accepted', 'acceptedMs'],
  ['replaced', 'replacedMs'],
];

function describe({ of, members, fault, impossible, rounds, falsely, cpuMsPerSecond }: Summary): string {
  const lines = [`\n## ${of}: ${members} members, ${fault}: ${rounds.length} worlds`];
  if (impossible !== undefined) lines.push(`  not possible: ${impossible}`);
  if (rounds.length === 0) return lines.join('\n');
  for (const [title, time] of times) {
    const values = rounds.flatMap((round) => round[time] ?? []);
    if (values.length === 0) continue;
    const [p50, p99] = [0.5, 0.99].map((share) => `${Math.round(percentile(values, share)!)} ms`);
    const missing = rounds.length - values.length;
    const never = missing === 0 ? '' : `, never in ${missing}`;
    lines.push(`  ${title.padEnd(12)} p50 ${p50!.padStart(9)}   p99 ${p99!.padStart(9)}${never}`);
  }
  if (falsely > 0) lines.push(`  dead though nothing was done to them: ${falsely}`);
  lines.push(`  at rest      ${describeTraffic(rounds.map(({ atRest }) => atRest))}`);
  lines.push(`  healing      ${describeTraffic(rounds.map(({ whileHealing }) => whileHealing))}`);
  if (cpuMsPerSecond !== undefined)
    lines.push(`  processor    ${cpuMsPerSecond.toFixed(0)} ms a virtual second`);
  return lines.join('\n');
}

function describeTraffic(figures: readonly TrafficFigures[]): string {
  const middle = (of: (figure: TrafficFigures) => number) =>
    Math.round(percentile(figures.map(of), 0.5)!).toLocaleString('en-US');
  const peak = Math.max(...figures.map(({ peakBytesPerSecond }) => peakBytesPerSecond));
  return (
    `${middle((figure) => figure.bytesPerSecond)} B/s and ${middle((figure) => figure.packetsPerSecond)} packets/s a node; ` +
    `the busiest ${middle((figure) => figure.mostBytesPerSecond)} B/s and ${middle((figure) => figure.mostPacketsPerSecond)} packets/s, ` +
    `${Math.round(peak).toLocaleString('en-US')} B in its worst second`
  );
}

async function tellRounds(
  sizes: readonly number[],
  faults: readonly FaultName[],
  seeds: number,
): Promise<void> {
  const memberlist = values['no-anchors'] ? 'memberlist: skipped' : Memberlist.build();
  const summaries: Summary[] = [];
  for (const members of sizes) {
    for (const fault of faults) {
      const ours = await measure(members, fault, seeds);
      const theirs =
        typeof memberlist === 'string' ? [] : measureMemberlist(memberlist, members, fault, seeds);
      summaries.push(ours, ...theirs);
      if (!values.json) for (const summary of [ours, ...theirs]) console.log(describe(summary));
    }
  }
  if (typeof memberlist !== 'string') memberlist.remove();
  if (values.json) {
    console.log(JSON.stringify({ latencyMs, summaries, published }, null, 2));
    return;
  }
  if (typeof memberlist === 'string') console.log(`\n${memberlist}`);
  console.log('\n## published');
  for (const { name, says, source } of published) console.log(`  ${name}: ${says}\n    ${source}`);
}

async function tellCurve(members: number, seeds: number, nodeHours: number): Promise<void> {
  const points: CurvePoint[] = [];
  for (const graceMs of graces) {
    points.push(await curvePoint(graceMs, { members, nodeHours, seeds, latencyMs }));
  }
  if (values.json) console.log(JSON.stringify({ latencyMs, points }, null, 2));
  else
    console.log(
      `\n## grace: ${members} members; how long a silent one's replacement takes, and how many of the living the ring asks to have replaced\n\n${describeCurve(points)}`,
    );
}

const { values } = parseArgs({
  options: {
    members: { type: 'string' },
    seeds: { type: 'string' },
    fault: { type: 'string' },
    curve: { type: 'boolean', default: false },
    hours: { type: 'string', default: '100' },
    'no-anchors': { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
  },
});
const faults = faultNames.filter((name) => values.fault === undefined || values.fault === name);
const sizes = values.members === undefined ? undefined : [Number(values.members)];
const seeds = Number(values.seeds ?? (values.curve ? 3 : 20));
const hours = Number(values.hours);
if (faults.length === 0 || !(sizes ?? [1]).every((size) => size >= 1) || !(seeds >= 1 && hours > 0)) {
  console.error(
    `--members and --seeds take numbers from 1, --hours one above 0, --fault one of ${faultNames.join(', ')}.`,
  );
  process.exit(2);
}
if (values.curve) await tellCurve(sizes?.[0] ?? 5, seeds, hours);
else await tellRounds(sizes ?? [5, 20, 100], faults, seeds);
