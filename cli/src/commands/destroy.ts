/** `skep destroy`: the end of a deployment by `cdk destroy`, and the proof by listing that nothing of it is left. */
import { Command } from 'commander';
import { parseWhole } from '../arguments.ts';
import { type MeantDeployment, meantDeployment } from '../aws/deployment.ts';
import { forgetDeployment } from '../aws/deployments.ts';
import { type StackFlags, withStackOptions } from '../aws/flags.ts';
import { findLeftovers, type Leftovers } from '../aws/leftovers.ts';
import { changeStack, stackId } from '../aws/stack-change.ts';
import type { Context, Perform } from '../context.ts';
import { stateDirectory } from '../daemon/daemon.ts';
import { exitCodeHelp, exitCodes } from '../exit-codes.ts';
import { CliError } from '../failure.ts';
import { confirm } from '../terminal/confirm.ts';
import { formatDuration } from '../terminal/format.ts';
import { until } from '../timing.ts';

interface DestroyFlags extends StackFlags {
  readonly yes?: boolean;
  readonly timeout: number;
}

const everyMs = 5_000;

export function destroyCommand(perform: Perform): Command {
  return withStackOptions(new Command('destroy'))
    .description('End a deployment on AWS with all that it owns, and show that nothing is left')
    .option('-y, --yes', 'do not ask')
    .option('--timeout <seconds>', 'how long to look for what is left', parseWhole(1, 86_400), 600)
    .addHelpText('after', exitCodeHelp)
    .action((flags: DestroyFlags) => perform(flags, (context) => destroy(context, flags)));
}

async function destroy(context: Context, flags: DestroyFlags): Promise<undefined> {
  const { host, env, output } = context;
  const deployment = await meantDeployment(context, flags);
  const { account, stack, region, profile } = deployment;
  const identity = await account.identity();
  const found = await account.stack(stack);
  if (found === undefined) {
    forgetDeployment(stateDirectory(env), stack);
    throw new CliError(
      'not-found',
      exitCodes.notFound,
      `There is no stack ${stack} in ${region} of account ${identity.account}: nothing is to be destroyed.`,
    );
  }
  await confirm(context, {
    text: `Destroy the stack ${stack} in ${region} of account ${identity.account}, with its machines and all its data?`,
    yes: flags.yes === true,
  });
  const startedMs = host.clock.now();
  await changeStack(context, {
    words: ['destroy', stackId, '--force', '--progress', 'events'],
    stack,
    account: identity.account,
    region,
    profile,
    context: { stack },
  });
  const { machines, others } = await awaitNothing(context, deployment, found.id, flags.timeout * 1000);
  const left = [...machines, ...others];
  const tookMs = Math.round(host.clock.now() - startedMs);
  if (left.length > 0) {
    throw new CliError(
      'left-over',
      exitCodes.failed,
      `The stack ${stack} is gone, and AWS still lists ${left.join(', ')}: look whether it is there, and delete it by hand.`,
    );
  }
  forgetDeployment(stateDirectory(env), stack);
  output.result({ stack, region, account: identity.account, tookMs, left });
  output.line(
    `${stack} is gone after ${formatDuration(tookMs)}; nothing that carries its tag is left in ${region}`,
  );
  return undefined;
}

/** Looks until nothing is listed, or time is up: listings lag behind. */
async function awaitNothing(
  { host, interrupts }: Context,
  { account }: MeantDeployment,
  stackId: string,
  timeoutMs: number,
): Promise<Leftovers> {
  let left: Leftovers = { machines: [], others: [] };
  const timing = {
    clock: host.clock,
    signal: interrupts.signal,
    timeoutMs,
    everyMs,
    awaited: () => 'AWS to list nothing more',
  };
  return until(timing, async () => {
    left = await findLeftovers(account, stackId);
    return left.machines.length + left.others.length === 0 ? left : undefined;
  }).catch((error) => {
    if (error instanceof CliError && error.code === 'timeout') return left;
    throw error;
  });
}
