/**
 * How fast a ring heals, and what it costs: bootstrap nodes as in production and nothing else, in virtual time at
 * 50 ms round trips. Each seed is one world with one fault.
 *
 * `node bench/healing.ts [--members N] [--seeds K] [--fault kill|silence|leader] [--json]`; without: 5, 20 and
 * 100 members, 20 seeds, all faults.
 */
import { parseArgs } from 'node:util';
import { type FaultName, faultNames, playRound, type Round } from './healing/round.ts';
import type { TrafficFigures } from './healing/traffic.ts';

const latencyMs = 25;

interface Summary {
  readonly members: number;
  readonly fault: FaultName;
  /** Why there are no figures. */
  readonly impossible?: string;
  readonly rounds: readonly Round[];
}

/** Nearest rank: with few values a high percentile is the greatest of them. */
function percentile(values: readonly number[], share: number): number | undefined {
  const sorted = [...values].sort((one, other) => one - other);
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)];
}

async function measure(members: number, fault: FaultName, seeds: number): Promise<Summary> {
  const rounds: Round[] = [];
  for (let seed = 1; seed <= seeds; seed++) {
    try {
      rounds.push(await playRound(fault, { seed, members, latencyMs }));
    } catch (error) {
      const impossible = error instanceof Error ? error.message : String(error);
      return { members, fault, impossible, rounds };
    }
  }
  return { members, fault, rounds };
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

function describe({ members, fault, impossible, rounds }: Summary): string {
  const lines = [`\n## ${members} members, ${fault}: ${rounds.length} seeds`];
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
  const falsely = rounds.reduce((total, round) => total + round.falseReplacements, 0);
  if (falsely > 0) lines.push(`  replaced though nothing was done to them: ${falsely}`);
  lines.push(`  at rest      ${describeTraffic(rounds.map(({ atRest }) => atRest))}`);
  lines.push(`  healing      ${describeTraffic(rounds.map(({ whileHealing }) => whileHealing))}`);
  const cpu = percentile(
    rounds.map(({ cpuMsPerSecond }) => cpuMsPerSecond),
    0.5,
  )!;
  lines.push(`  processor    ${cpu.toFixed(0)} ms a virtual second`);
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

const { values } = parseArgs({
  options: {
    members: { type: 'string' },
    seeds: { type: 'string', default: '20' },
    fault: { type: 'string' },
    json: { type: 'boolean', default: false },
  },
});
const faults = faultNames.filter((name) => values.fault === undefined || values.fault === name);
const sizes = values.members === undefined ? [5, 20, 100] : [Number(values.members)];
const seeds = Number(values.seeds);
if (faults.length === 0 || !sizes.every((size) => size >= 1) || !(seeds >= 1)) {
  console.error(`--members and --seeds take numbers from 1, --fault one of ${faultNames.join(', ')}.`);
  process.exit(2);
}
const summaries: Summary[] = [];
for (const members of sizes) {
  for (const fault of faults) {
    const summary = await measure(members, fault, seeds);
    summaries.push(summary);
    if (!values.json) console.log(describe(summary));
  }
}
if (values.json) console.log(JSON.stringify({ latencyMs, summaries }, null, 2));
