/** `skep build`: the image of a deployment, built by its build function; or its digest, if it is there. */
import { BuildAnswer, type BuildRequest } from '@skep/contract';
import { sleep } from '@skep/p2p-core/host';
import { Command } from 'commander';
import { parseWhole } from '../arguments.ts';
import { BuildLog } from '../aws/build-log.ts';
import { meantDeployment } from '../aws/deployment.ts';
import { type StackFlags, withStackOptions } from '../aws/flags.ts';
import type { Context, Perform } from '../context.ts';
import { exitCodeHelp, exitCodes } from '../exit-codes.ts';
import { CliError } from '../failure.ts';
import { printable } from '../terminal/format.ts';
import { within } from '../timing.ts';

interface BuildFlags extends StackFlags {
  readonly wait?: boolean;
  readonly timeout: number;
}

const everyMs = 2_000;
const invocationMs = 60_000;

export function buildCommand(perform: Perform): Command {
  return withStackOptions(new Command('build'))
    .description('Build the image of a deployment on AWS, or find the one that is there')
    .option('--wait', 'show the log until the build has ended')
    .option('--timeout <seconds>', 'how long to wait', parseWhole(1, 86_400), 1_800)
    .addHelpText('after', exitCodeHelp)
    .action((flags: BuildFlags) => perform(flags, (context) => build(context, flags)));
}

async function build(context: Context, flags: BuildFlags): Promise<undefined> {
  const { host, output, interrupts } = context;
  const { account, stack } = await meantDeployment(context, flags);
  const { BuildFunction, SourceHash } = await account.outputs(stack);
  const ask = () => {
    const request: BuildRequest = { sourceHash: SourceHash, waitMs: 0 };
    return account.invoke(BuildFunction, request, { answer: BuildAnswer, timeoutMs: invocationMs });
  };
  let answer = await ask();
  if (flags.wait && answer.state === 'building') {
    output.note(`builds ${SourceHash}${answer.buildId === undefined ? '' : ` as ${answer.buildId}`}`);
    const timing = {
      clock: host.clock,
      signal: interrupts.signal,
      timeoutMs: flags.timeout * 1000,
      awaited: () => 'the build to end (it goes on: `skep build` tells how it went)',
    };
    answer = await within(timing, async (signal) => {
      let log: BuildLog | undefined;
      for (let latest = answer; ; latest = await ask()) {
        const { logGroup: group, logStream: stream } = latest;
        if (log === undefined && group !== undefined && stream !== undefined) {
          log = new BuildLog(account, { group, stream });
        }
        for (const line of (await log?.read()) ?? []) output.note(printable(line));
        if (latest.state !== 'building') return latest;
        await sleep(host.clock, everyMs, signal);
      }
    });
  }
  const { state, message } = answer;
  if (state === 'failed') {
    throw new CliError(
      'build-failed',
      exitCodes.failed,
      `The build failed: ${message ?? 'its log says why'}.`,
    );
  }
  output.result({ stack, sourceHash: SourceHash, ...answer });
  output.line(
    state === 'built'
      ? `the image is ${answer.image}`
      : `it is being built${answer.buildId === undefined ? '' : ` as ${answer.buildId}`}; --wait shows the log`,
  );
  return undefined;
}
