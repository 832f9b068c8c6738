/**
 * What the Host seam costs the data path: a file goes over loopback from one process to another, hashed piece
 * by piece and written, once through NodeHost and once by hand. The two take turns and each process is fresh,
 * so that what else the machine does hits both; the median of the rounds is compared.
 *
 * `node bench/seam.ts [--mib 1024] [--rounds 5] [--dir DIR]`
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { hash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { median, sha256Of, writeRandomFile } from './measure.ts';
import type { Plan, Side } from './seam/plan.ts';
import { throughHost } from './seam/through-host.ts';
import { withoutHost } from './seam/without-host.ts';

const SIDES: Readonly<Record<string, Side>> = { seam: throughHost, raw: withoutHost };

/** Runs the comparison, prints it, and resolves to an exit status. */
export async function run(args: readonly string[]): Promise<number> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      mib: { type: 'string', default: '1024' },
      rounds: { type: 'string', default: '5' },
      dir: { type: 'string', default: tmpdir() },
    },
  });
  const directory = mkdtempSync(join(values.dir, 'skep-seam-'));
  try {
    const { plan, sha256 } = makeSource(directory, Number(values.mib) * 2 ** 20);
    const rates: Record<string, number[]> = { seam: [], raw: [] };
    const costs: Record<string, number[]> = { seam: [], raw: [] };
    for (let round = 0; round < Number(values.rounds); round++) {
      // Who goes first alternates too.
      for (const side of round % 2 === 0 ? ['raw', 'seam'] : ['seam', 'raw']) {
        const { seconds, cpuSeconds } = await transfer(side, plan);
        if (sha256Of(plan.target) !== sha256) throw new Error(`${side}: the copy differs from its source`);
        rmSync(plan.target);
        const rate = plan.lengthBytes / seconds / 1e6;
        rates[side]!.push(rate);
        costs[side]!.push((cpuSeconds / plan.lengthBytes) * 2 ** 30);
        console.log(`round ${round + 1}  ${figures(side, rate, costs[side]!.at(-1)!)}`);
      }
    }
    const rate = { seam: median(rates.seam!), raw: median(rates.raw!) };
    const cost = { seam: median(costs.seam!), raw: median(costs.raw!) };
    for (const side of ['raw', 'seam'] as const)
      console.log(`median   ${figures(side, rate[side], cost[side])}`);
    console.log(
      `ratio    rate ${(rate.seam / rate.raw).toFixed(3)}, processor time ${(cost.seam / cost.raw).toFixed(3)} (seam to raw)`,
    );
    return 0;
  } finally {
    rmSync(directory, { recursive: true });
  }
}

function figures(side: string, rate: number, cost: number): string {
  return `${side.padEnd(4)}  ${rate.toFixed(0).padStart(5)} MB/s  ${cost.toFixed(2)} processor seconds a GiB`;
}

function makeSource(directory: string, lengthBytes: number): { plan: Plan; sha256: string } {
  const plan: Plan = {
    source: join(directory, 'source'),
    target: join(directory, 'target'),
    hashes: join(directory, 'hashes'),
    lengthBytes,
  };
  const hashes: Uint8Array[] = [];
  // Chunks are as long as the pieces.
  const sha256 = writeRandomFile(plan.source, lengthBytes, (piece) =>
    hashes.push(hash('sha1', piece, 'buffer')),
  );
  writeFileSync(plan.hashes, Buffer.concat(hashes));
  return { plan, sha256 };
}

interface Outcome {
  readonly seconds: number;
  /** Processor time of both processes, threads and system included; other load on the machine moves it less. */
  readonly cpuSeconds: number;
}

/** One transfer by a sender and a receiver process. */
async function transfer(side: string, plan: Plan): Promise<Outcome> {
  const sender = start(side, 'send', plan);
  try {
    const senderLines = linesOf(sender);
    const port = await senderLines();
    const receiverLines = linesOf(start(side, 'receive', plan, port));
    const seconds = Number(await receiverLines());
    return { seconds, cpuSeconds: Number(await receiverLines()) + Number(await senderLines()) };
  } finally {
    sender.kill();
  }
}

function start(side: string, role: string, plan: Plan, port = '0'): ChildProcess {
  return spawn(process.execPath, [import.meta.filename, '--child', side, role, JSON.stringify(plan), port], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
}

/** Reads a child's lines one by one; rejects if it ends before it has said as many. */
function linesOf(child: ChildProcess): () => Promise<string> {
  const lines = createInterface({ input: child.stdout! })[Symbol.asyncIterator]();
  return async () => {
    const { done, value } = await lines.next();
    if (done)
      throw new Error(`a process of the benchmark ended too early (${child.exitCode ?? child.signalCode})`);
    return value;
  };
}

async function child([side, role, planText, port]: readonly string[]): Promise<void> {
  const program = SIDES[side!]!;
  const plan = JSON.parse(planText!) as Plan;
  if (role === 'send') {
    const sending = await program.send(plan);
    console.log(sending.port);
    await sending.done;
  } else {
    const { seconds } = await program.receive(plan, Number(port));
    console.log(seconds);
  }
  const { user, system } = process.cpuUsage();
  console.log((user + system) / 1e6);
  process.exit();
}

if (import.meta.main) {
  const args = process.argv.slice(2);
  if (args[0] === '--child') await child(args.slice(1));
  else process.exitCode = await run(args);
}
