/** `skep deploy`: a cluster on AWS by `cdk deploy`, after its cost was shown and agreed to. */
import { Command } from 'commander';
import { absolutePath, parseTimeToLive } from '../arguments.ts';
import { type AppContext, costlyContext, parseContext } from '../aws/app-context.ts';
import { type Cost, costOf } from '../aws/cost.ts';
import { costLines } from '../aws/cost-table.ts';
import { meantDeployment } from '../aws/deployment.ts';
import { deploymentDefaults, deploymentSize } from '../aws/deployment-size.ts';
import { type StackFlags, withStackOptions } from '../aws/flags.ts';
import { priceTable } from '../aws/price-table.ts';
import type { StackOutputs } from '../aws/stack-outputs.ts';
import { standUp } from '../aws/standing.ts';
import type { Context, Perform } from '../context.ts';
import { exitCodeHelp, exitCodes } from '../exit-codes.ts';
import { CliError } from '../failure.ts';
import { readSpec } from '../spec-file.ts';
import { confirm } from '../terminal/confirm.ts';
import { formatDuration } from '../terminal/format.ts';

interface DeployFlags extends StackFlags {
  readonly ttl: number;
  readonly controlInstanceType?: string;
  readonly context?: AppContext;
  readonly yes?: boolean;
}

const hourMs = 3_600_000;

export function deployCommand(perform: Perform): Command {
  return withStackOptions(new Command('deploy'))
    .description('Stand a cluster up on AWS: show what it costs, ask, then run `cdk deploy`')
    .argument('[spec]', 'YAML file that says what the cluster should be', absolutePath)
    .option(
      '--ttl <time>',
      'time to live, as in 30m, 8h or 2d; then all its instances are ended (default: 8h)',
      parseTimeToLive,
      deploymentDefaults.hours,
    )
    .option('--control-instance-type <type>', 'of the control API')
    .option('--context <key=value>', 'of the CDK app, as in spot=true; may be repeated', parseContext)
    .option('-y, --yes', 'do not ask')
    .addHelpText('after', exitCodeHelp)
    .action((specPath: string | undefined, flags: DeployFlags) =>
      perform(flags, (context) => deploy(context, specPath, flags)),
    );
}

async function deploy(
  context: Context,
  specPath: string | undefined,
  flags: DeployFlags,
): Promise<undefined> {
  const { host, output } = context;
  const spec = await readSpec(host, specPath, {});
  if (spec.spares > 0) {
    throw new CliError(
      'bad-spec',
      exitCodes.usage,
      'Machines on AWS cannot be given another slot: leave spares out of the spec.',
    );
  }
  const deployment = await meantDeployment(context, flags);
  const { account, stack, region } = deployment;
  const { controlInstanceType, context: told = {} } = flags;
  const { architecture, loadBalancer, hasCluster } = costlyContext(told);
  const size = deploymentSize(spec, {
    region,
    hours: flags.ttl,
    architecture,
    controlInstanceType,
    loadBalancer,
  });
  const cost = costOf(priceTable, hasCluster ? size : { ...size, nodes: [] });
  for (const line of costLines(cost, priceTable)) output.note(line);
  const identity = await account.identity();
  output.note(`as ${identity.caller}`);
  await confirm(context, {
    text: `Deploy the stack ${stack} to ${region} of account ${identity.account}?`,
    yes: flags.yes === true,
  });
  const startedMs = host.clock.now();
  const expiresAt = new Date(host.clock.wallTime() + flags.ttl * hourMs).toISOString();
  const outputs = await standUp(context, {
    deployment,
    account: identity.account,
    expiresAt,
    context: { ...told, ...defined({ spec: specPath, controlInstanceType }) },
  });
  const tookMs = Math.round(host.clock.now() - startedMs);
  report(context, { stack, region, account: identity.account, expiresAt, tookMs, outputs, cost });
  return undefined;
}

interface Report {
  readonly stack: string;
  readonly region: string;
  readonly account: string;
  readonly expiresAt: string;
  readonly tookMs: number;
  readonly outputs: StackOutputs;
  readonly cost: Cost;
}

function report({ output }: Context, deployed: Report): void {
  const { stack, region, expiresAt, tookMs } = deployed;
  output.result(deployed);
  output.line(`${stack} is up in ${region} after ${formatDuration(tookMs)}; it lives until ${expiresAt}`);
  output.line(`  skep connect --stack ${stack}   leads the other commands and a browser to it`);
  output.line(`  skep destroy --stack ${stack}   ends it`);
}

function defined(values: Readonly<Record<string, string | undefined>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(values).filter((entry): entry is [string, string] => entry[1] !== undefined),
  );
}
