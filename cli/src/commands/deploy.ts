/** `skep deploy`: a cluster on AWS by `cdk deploy`, after its cost was shown and agreed to. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command } from 'commander';
import { absolutePath, parseTimeToLive } from '../arguments.ts';
import { type AppContext, costlyContext, parseContext } from '../aws/app-context.ts';
import { type Cost, costOf } from '../aws/cost.ts';
import { costLines } from '../aws/cost-table.ts';
import { meantDeployment } from '../aws/deployment.ts';
import { deploymentDefaults, deploymentSize } from '../aws/deployment-size.ts';
import { rememberDeployment } from '../aws/deployments.ts';
import { type StackFlags, withStackOptions } from '../aws/flags.ts';
import { priceTable } from '../aws/price-table.ts';
import { changeStack, stackId } from '../aws/stack-change.ts';
import { type StackOutputs, stackOutputs } from '../aws/stack-outputs.ts';
import type { Context, Perform } from '../context.ts';
import { stateDirectory } from '../daemon/daemon.ts';
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
  const { host, env, output } = context;
  const spec = await readSpec(host, specPath, {});
  if (spec.spares > 0) {
    throw new CliError(
      'bad-spec',
      exitCodes.usage,
      'Machines on AWS cannot be given another slot: leave spares out of the spec.',
    );
  }
  const { account, stack, region, profile } = await meantDeployment(context, flags);
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
  const outputs = await withOutputsFile(async (outputsFile) => {
    // Before the first call: what was begun must be found again, however it ends.
    rememberDeployment(stateDirectory(env), { stack, region, profile, expiresAt });
    await changeStack(context, {
      words: [
        ...['deploy', stackId, '--require-approval', 'never', '--progress', 'events'],
        ...['--outputs-file', outputsFile],
      ],
      stack,
      account: identity.account,
      region,
      profile,
      context: { ...told, ...defined({ stack, spec: specPath, expiresAt, controlInstanceType }) },
    });
    return readOutputs(outputsFile, stack);
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

async function withOutputsFile<T>(work: (path: string) => Promise<T>): Promise<T> {
  const directory = mkdtempSync(join(tmpdir(), 'skep-outputs-'));
  try {
    return await work(join(directory, 'outputs.json'));
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

function readOutputs(path: string, stack: string): StackOutputs {
  const written: unknown = JSON.parse(readFileSync(path, 'utf8'));
  const [outputs] = Object.values(written as Record<string, unknown>);
  return stackOutputs(stack, outputs);
}

function defined(values: Readonly<Record<string, string | undefined>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(values).filter((entry): entry is [string, string] => entry[1] !== undefined),
  );
}
