/** `skep sim`: tools for simulated runs. So far one: where two of them part. */
import { statSync } from 'node:fs';
import { basename, join } from 'node:path';
import { bundleFiles } from '@skep/contract';
import { Command } from 'commander';
import { absolutePath } from '../arguments.ts';
import type { Context, Perform } from '../context.ts';
import { exitCodeHelp, exitCodes } from '../exit-codes.ts';
import { CliError } from '../failure.ts';
import { type Comparison, compareLines, type Difference } from '../run/line-diff.ts';
import { printable } from '../terminal/format.ts';

interface DiffFlags {
  readonly json?: boolean;
}

interface Pair {
  readonly name: string;
  readonly a: string;
  readonly b: string;
}

export function simCommand(perform: Perform): Command {
  return new Command('sim').description('Tools for simulated runs').addCommand(diffCommand(perform));
}

function diffCommand(perform: Perform): Command {
  return new Command('diff')
    .description('Show the first event at which two traces, or two bundles, differ')
    .argument('<a>', 'trace file of `skep run --trace`, or bundle directory', absolutePath)
    .argument('<b>', 'another one of the same kind', absolutePath)
    .option('--json', 'print one JSON object: identical, and if not file, line, before, a, b')
    .addHelpText('after', `\nThe exit status is 0 if they are identical, 1 if they differ.\n${exitCodeHelp}`)
    .action((a: string, b: string, flags: DiffFlags) => perform(flags, (context) => diff(context, a, b)));
}

async function diff({ output }: Context, a: string, b: string): Promise<number | undefined> {
  let equalLines = 0;
  for (const pair of pairsOf(a, b)) {
    const comparison: Comparison = await compareLines(pair.a, pair.b);
    equalLines += comparison.equalLines;
    const { difference } = comparison;
    if (difference === undefined) continue;
    output.result({ identical: false, file: pair.name, ...difference });
    for (const line of describe(pair, difference)) output.line(line);
    return exitCodes.failed;
  }
  output.result({ identical: true, lines: equalLines });
  output.line(`identical: ${equalLines} lines`);
  return undefined;
}

/** The files to compare, in the order in which a difference says most. */
function pairsOf(a: string, b: string): Pair[] {
  const [isBundleA, isBundleB] = [isDirectory(a), isDirectory(b)];
  if (isBundleA !== isBundleB) {
    throw new CliError(
      'usage',
      exitCodes.usage,
      'One is a directory and the other a file: give two traces or two bundles.',
    );
  }
  if (!isBundleA) return [{ name: basename(a), a, b }];
  const { scenario, events, samples, run } = bundleFiles;
  return [scenario, events, samples, run].map((name) => {
    const pair = { name, a: join(a, name), b: join(b, name) };
    for (const path of [pair.a, pair.b]) isDirectory(path);
    return pair;
  });
}

function isDirectory(path: string): boolean {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat === undefined)
    throw new CliError('not-found', exitCodes.notFound, `There is no trace or bundle ${path}.`);
  return stat.isDirectory();
}

function describe({ name }: Pair, { line, before, a, b }: Difference): string[] {
  const shown = (mark: string, lines: readonly string[]) =>
    lines.length === 0 ? [`${mark} (ends here)`] : lines.map((text) => `${mark} ${printable(text)}`);
  return [
    `${name} differs at line ${line}${timeOf(a[0] ?? b[0])}:`,
    ...before.map((text) => `  ${printable(text)}`),
    ...shown('-', a),
    ...shown('+', b),
  ];
}

/** Traces and events say when. */
function timeOf(line: string | undefined): string {
  try {
    const { timeMs, atMs } = JSON.parse(line ?? '');
    const ms = timeMs ?? atMs;
    return typeof ms === 'number' ? `, ${(ms / 1_000).toFixed(3)} s` : '';
  } catch {
    return '';
  }
}
