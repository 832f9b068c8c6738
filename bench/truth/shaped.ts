/** A scenario that ships, on real processes whose hosts are shaped and in the simulator, seed by seed. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { DownloadSummary, RunRecord } from '@skep/contract';
import { median } from '../measure.ts';

const skep = fileURLToPath(import.meta.resolve('../../cli/src/main.ts'));
const scenario = fileURLToPath(import.meta.resolve('../../scenarios/first-swarm.yaml'));

/** Prints a line a round, and the medians. */
export function compareWithProcesses(rounds: number): void {
  console.log(
    '\nshaped: first-swarm.yaml (1 seed, 20 leeches, 64 MiB, 10 Mbit/s up, 40 down, 5-40 ms one way); seconds',
  );
  console.log(
    'seed        bound   processes: median   last   simulated: median   last   simulated/processes',
  );
  const real: Times[] = [];
  const simulated: Times[] = [];
  for (let seed = 1; seed <= rounds; seed++) {
    const [processes, simulation] = [run('process', seed), run('sim', seed)];
    real.push(processes);
    simulated.push(simulation);
    printLine(String(seed), processes, simulation);
  }
  if (rounds > 1) printLine('median', middle(real), middle(simulated));
}

interface Times {
  readonly boundMs: number;
  readonly medianMs: number;
  readonly lastMs: number;
}

function run(runner: 'process' | 'sim', seed: number): Times {
  const out = mkdtempSync(join(tmpdir(), 'skep-truth-'));
  try {
    const args = [skep, 'run', scenario, '--runner', runner, '--seed', String(seed), '--out', out, '--json'];
    const { stdout, status } = spawnSync(process.execPath, args, {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    if (status !== 0) throw new Error(`${scenario} did not pass as ${runner} with seed ${seed}`);
    const [download] = (JSON.parse(stdout) as RunRecord).downloads;
    return download as DownloadSummary & Times;
  } finally {
    rmSync(out, { recursive: true, force: true });
  }
}

function middle(times: readonly Times[]): Times {
  return {
    boundMs: median(times.map(({ boundMs }) => boundMs)),
    medianMs: median(times.map(({ medianMs }) => medianMs)),
    lastMs: median(times.map(({ lastMs }) => lastMs)),
  };
}

function printLine(name: string, real: Times, simulated: Times): void {
  const seconds = (ms: number, width: number) => (ms / 1_000).toFixed(1).padStart(width);
  const ratios = `${(simulated.medianMs / real.medianMs).toFixed(2)} ${(simulated.lastMs / real.lastMs).toFixed(2)}`;
  console.log(
    [
      name.padEnd(10),
      seconds(real.boundMs, 6),
      seconds(real.medianMs, 19),
      seconds(real.lastMs, 6),
      seconds(simulated.medianMs, 19),
      seconds(simulated.lastMs, 6),
      ratios.padStart(21),
    ].join(' '),
  );
}
