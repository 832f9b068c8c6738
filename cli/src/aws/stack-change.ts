/** A deployment or its end by the CDK CLI, its progress shown as a board, its failure told as a sentence. */
import { join } from 'node:path';
import type { Context } from '../context.ts';
import { stateDirectory } from '../daemon/daemon.ts';
import { createBoard } from '../terminal/board.ts';
import { runCdk } from './cdk.ts';
import { cdkError } from './cdk-failure.ts';
import { advanceProgress, noProgress, progressRows } from './cdk-progress.ts';

/** What the CDK app calls its one stack, whatever CloudFormation's name of it. */
export const stackId = 'Skep';

export interface StackChange {
  readonly words: readonly string[];
  readonly stack: string;
  readonly account: string;
  readonly region: string;
  readonly profile: string | undefined;
  /** What the CDK app is told. */
  readonly context: Readonly<Record<string, string>>;
}

/** Resolves when CloudFormation is done. Rejects with CliError, or with Interrupted once the CDK CLI is gone. */
export async function changeStack(context: Context, change: StackChange): Promise<void> {
  const { host, output, interrupts, env } = context;
  const { stack, account, region, profile } = change;
  const board = createBoard({ sink: output.progress, colour: output.colour, now: () => host.clock.now() });
  const logFile = join(stateDirectory(env), 'deployments', `${stack}.log`);
  let progress = noProgress;
  const { exitCode, complaint } = await runCdk(change.words, {
    context: change.context,
    region,
    profile,
    logFile,
    signal: interrupts.signal,
    onLine(line) {
      const before = progress.failures.length;
      progress = advanceProgress(progress, line);
      for (const failure of progress.failures.slice(before)) board.print(`  failed: ${failure}`);
      board.show(progressRows(progress));
    },
  }).finally(() => board.settle());
  if (interrupts.signal.aborted) {
    output.note(
      progress.phase === 'resources'
        ? `CloudFormation goes on with the stack ${stack} by itself. How it is:\n` +
            `  aws cloudformation describe-stacks --stack-name ${stack} --region ${region}\n` +
            `To have nothing of it left: skep destroy --stack ${stack} --region ${region}`
        : 'Nothing was asked of CloudFormation yet.',
    );
    throw interrupts.signal.reason;
  }
  if (exitCode === 0) return;
  throw cdkError({ complaint, failures: progress.failures, stack, account, region, logFile });
}
