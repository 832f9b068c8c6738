/** The deployment that a command means, by its flags and by what is remembered of the one made here. */
import type { Context } from '../context.ts';
import { stateDirectory } from '../daemon/daemon.ts';
import { AwsAccount } from './account.ts';
import { recallDeployment } from './deployments.ts';
import type { StackFlags } from './flags.ts';

export interface MeantDeployment {
  readonly stack: string;
  readonly account: AwsAccount;
  readonly region: string;
  readonly profile: string | undefined;
}

/** Rejects with CliError if no region is known. */
export async function meantDeployment(context: Context, flags: StackFlags): Promise<MeantDeployment> {
  const { env, interrupts } = context;
  const remembered = recallDeployment(stateDirectory(env), flags.stack);
  const profile = flags.profile ?? remembered?.profile;
  const account = new AwsAccount({
    region: flags.region ?? (env.AWS_REGION || env.AWS_DEFAULT_REGION || remembered?.region),
    profile,
    signal: interrupts.signal,
  });
  return {
    stack: flags.stack,
    account,
    region: await account.region(),
    profile,
  };
}
