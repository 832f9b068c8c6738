/** `skep test`: every node of a cluster tests what it stands in, and a table says what held. */
import { hasPassed, type SelfTestCheck, type SelfTestResult, type SelfTestRun } from '@skep/contract';
import { Command } from 'commander';
import { parseWhole } from '../arguments.ts';
import { meantDeployment } from '../aws/deployment.ts';
import { type AwsFlags, withOptionalStack } from '../aws/flags.ts';
import { runRemoteTests } from '../aws/remote-tests.ts';
import type { Context, Perform } from '../context.ts';
import {
  type ClusterFlags,
  type Connection,
  chooseCluster,
  connect,
  withClusterOptions,
} from '../daemon/connect.ts';
import { exitCodeHelp, exitCodes } from '../exit-codes.ts';
import { isPassing } from '../failure.ts';
import { createBoard } from '../terminal/board.ts';
import { formatDuration, formatTable, printable } from '../terminal/format.ts';
import { until } from '../timing.ts';

interface TestFlags extends ClusterFlags, AwsFlags {
  /** Names a deployment on AWS: its own function is asked, and no connection is needed. */
  readonly stack?: string;
  readonly json?: boolean;
  readonly timeout: number;
}

const checkNames = ['ring', 'dht', 'transfer', 'disk', 'clock'] as const satisfies SelfTestCheck['name'][];
const header = ['NODE', 'GEN', ...checkNames.map((name) => name.toUpperCase())];

export function testCommand(perform: Perform): Command {
  return withOptionalStack(withClusterOptions(new Command('test')))
    .description('Have every node test what it stands in: ring, DHT, a transfer, disk, clock')
    .option('--timeout <seconds>', 'how long to wait until all have told', parseWhole(1, 86_400), 120)
    .addHelpText('after', checkHelp + exitCodeHelp)
    .action((flags: TestFlags) =>
      perform(flags, async (context) => {
        const { output } = context;
        const startedMs = context.host.clock.now();
        const { ok, results } = await testedWhere(context, flags);
        const tookMs = context.host.clock.now() - startedMs;
        for (const line of tableOf(results)) output.line(line);
        for (const line of remarksOn(results)) output.line(line);
        output.line(`${verdictOn(results)} after ${formatDuration(tookMs)}`);
        return ok ? undefined : exitCodes.failed;
      }),
    );
}

const checkHelp = `
What each node checks:
  ring      every other member of its ring answers it; of other nodes: every bootstrap node answers in the DHT
  dht       other nodes keep what it announces, and it finds that again at them
  transfer  it fetches a small torrent from the node after it, by the wire protocol, and it is right
  disk      what is written and synced is read back, and there is room
  clock     the wall clock agrees with the control API's
A node that does not tell in a minute is missing. Nothing is left behind.
`;

interface Tested {
  readonly ok: boolean;
  readonly results: readonly SelfTestResult[];
}

/** Over the control API, or by the function of the stack that is named. Prints the result for programs. */
async function testedWhere(context: Context, flags: TestFlags): Promise<Tested> {
  const timeoutMs = flags.timeout * 1_000;
  if (flags.stack !== undefined) {
    const deployment = await meantDeployment(context, { ...flags, stack: flags.stack });
    const answer = await runRemoteTests(deployment, flags.cluster, timeoutMs);
    context.output.result(answer);
    return answer;
  }
  const connection = connect(context, flags);
  const { name } = await chooseCluster(connection, flags.cluster);
  const run = await tested(context, connection, name, timeoutMs);
  const ok = hasPassed(run);
  context.output.result({ ok, ...run });
  return { ok, results: run.results };
}

async function tested(
  { host, interrupts, output }: Context,
  { api }: Connection,
  cluster: string,
  timeoutMs: number,
): Promise<SelfTestRun> {
  const begun = await api.runTests({ params: { cluster } });
  const board = createBoard({ sink: output.progress, colour: output.colour, now: () => host.clock.now() });
  let told = 0;
  try {
    return await until(
      {
        clock: host.clock,
        signal: interrupts.signal,
        timeoutMs,
        everyMs: 250,
        awaited: () => `the other ${begun.nodes - told} of ${begun.nodes} nodes to tell of their tests`,
      },
      async () => {
        const run = await api.getTests({ params: { cluster, test: begun.id } }).catch((error) => {
          if (isPassing(error)) return undefined;
          throw error;
        });
        if (run === undefined) return undefined;
        told = run.results.length;
        board.show([
          { label: 'tests', fraction: told / run.nodes, detail: `${told} of ${run.nodes} nodes have told` },
        ]);
        return run.state === 'done' ? run : undefined;
      },
    );
  } finally {
    board.settle();
  }
}

/** One row a node, one column a check. */
export function tableOf(results: readonly SelfTestResult[]): string[] {
  return formatTable(
    header,
    results.map(({ slot, generation, outcome, checks }) => [
      slot,
      String(generation),
      ...checkNames.map((name) => {
        const check = checks.find((each) => each.name === name);
        if (check === undefined) return outcome === 'missing' ? 'missing' : '-';
        if (check.outcome === 'passed') return `ok ${formatDuration(check.tookMs)}`;
        return check.outcome === 'failed' ? 'FAILED' : '-';
      }),
    ]),
  );
}

/** What the table has no room for: why a check failed, or had nothing to check. */
export function remarksOn(results: readonly SelfTestResult[]): string[] {
  return results.flatMap(({ slot, generation, outcome, checks }) => {
    const name = `${slot}@${generation}`;
    if (outcome === 'missing')
      return [`${name} has told nothing in time: \`skep logs ${slot}\` may show why`];
    return checks
      .filter((check) => check.outcome !== 'passed')
      .map((check) => `${name} ${check.name} ${check.outcome}: ${printable(check.detail)}`);
  });
}

function verdictOn(results: readonly SelfTestResult[]): string {
  const bad = results.filter(({ outcome }) => outcome !== 'passed').length;
  const nodes = `${results.length} ${results.length === 1 ? 'node' : 'nodes'}`;
  return bad === 0 ? `${nodes} passed` : `${bad} of ${nodes} did not pass,`;
}
