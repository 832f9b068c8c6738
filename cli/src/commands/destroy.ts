/** `skep destroy`: the end of a deployment by `cdk destroy`, and the proof by listing that nothing of it is left. */
import { Command } from 'commander';
import { parseWhole } from '../arguments.ts';
import { meantDeployment } from '../aws/deployment.ts';
import { forgetDeployment } from '../aws/deployments.ts';
import { type StackFlags, withStackOptions } from '../aws/flags.ts';
import { takeDown } from '../aws/standing.ts';
import type { Context, Perform } from '../context.ts';
import { stateDirectory } from '../daemon/daemon.ts';
import { exitCodeHelp, exitCodes } from '../exit-codes.ts';
import { CliError } from '../failure.ts';
import { confirm } from '../terminal/confirm.ts';
import { formatDuration } from '../terminal/format.ts';

interface DestroyFlags extends StackFlags {
  readonly yes?: boolean;
  readonly timeout: number;
}

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
  const { account, stack, region } = deployment;
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
  const { machines, others } = await takeDown(context, {
    deployment,
    account: identity.account,
    stackArn: found.id,
    timeoutMs: flags.timeout * 1000,
  });
  const left = [...machines, ...others];
  const tookMs = Math.round(host.clock.now() - startedMs);
  if (left.length > 0) {
    throw new CliError(
      'left-over',
      exitCodes.failed,
      `The stack ${stack} is gone, and AWS still lists ${left.join(', ')}: look whether it is there, and delete it by hand.`,
    );
  }
  output.result({ stack, region, account: identity.account, tookMs, left });
  output.line(
    `${stack} is gone after ${formatDuration(tookMs)}; nothing that carries its tag is left in ${region}`,
  );
  return undefined;
}
