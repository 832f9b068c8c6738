/** `skep up`: a cluster from a spec file or flags, on the user's own control API. */
import { type ClusterSpec, type ClusterView, Role } from '@skep/contract';
import { Command } from 'commander';
import { absolutePath, collected, parseRate, parseWhole } from '../arguments.ts';
import type { Context, Perform } from '../context.ts';
import { type ApiFlags, apiClient, type Connection, connect, withApiOptions } from '../daemon/connect.ts';
import { ensureDaemon, stateDirectory, stopDaemon } from '../daemon/daemon.ts';
import { exitCodeHelp, exitCodes } from '../exit-codes.ts';
import { CliError } from '../failure.ts';
import { type RunnerFlags, runnerChoice, withRunnerOptions } from '../runners/choice.ts';
import { defaultClusterName, readSpec } from '../spec-file.ts';
import { type BoardRow, createBoard } from '../terminal/board.ts';
import { until } from '../timing.ts';

interface UpFlags extends ApiFlags, RunnerFlags {
  readonly content?: readonly string[];
  readonly json?: boolean;
  readonly name?: string;
  readonly bootstrap?: number;
  readonly index?: number;
  readonly peers?: number;
  readonly spares?: number;
  readonly uploadLimit?: number;
  readonly downloadLimit?: number;
  readonly timeout: number;
}

export function upCommand(perform: Perform): Command {
  return withRunnerOptions(withApiOptions(new Command('up')))
    .description('Create a cluster, and start a control API for it if none runs')
    .argument('[spec]', 'YAML file that says what the cluster should be', absolutePath)
    .option('--name <name>', `name of the cluster (default: "${defaultClusterName}")`)
    .option('--bootstrap <n>', 'bootstrap nodes (default: 3)', parseWhole(1, 100))
    .option('--index <n>', 'index nodes (default: 0)', parseWhole(0, 100))
    .option('--peers <n>', 'peers (default: 5)', parseWhole(0, 10_000))
    .option(
      '--spares <n>',
      'warm spares, which take over from nodes that die (default: 0)',
      parseWhole(0, 32),
    )
    .option(
      '--content <path>',
      'file or folder here that nodes in containers may read; may be repeated',
      collected(absolutePath),
    )
    .option('--upload-limit <rate>', 'of each node, bytes a second, as in 512K or 2M', parseRate)
    .option('--download-limit <rate>', 'of each node, bytes a second', parseRate)
    .option('--timeout <seconds>', 'how long to wait until all nodes serve', parseWhole(1, 86_400), 120)
    .addHelpText('after', `\nFlags override the file.\n${exitCodeHelp}`)
    .action((specPath: string | undefined, flags: UpFlags) =>
      perform(flags, async (context) => {
        const spec = await readSpec(context.host, specPath, overridesOf(flags));
        const { connection, abandon } = await reach(context, flags);
        const { name } = await connection.api.createCluster({ body: spec }).catch(async (error) => {
          await abandon();
          throw error;
        });
        const cluster = await awaitServing(context, connection, name, flags.timeout * 1000);
        context.output.result({ api: connection.url, cluster });
        context.output.line(
          `${name} is up: ${cluster.nodes.length} nodes serve, the control API is ${connection.url}`,
        );
        return undefined;
      }),
    );
}

interface Reached {
  readonly connection: Connection;
  /** Ends the control API that was started for this cluster, if there is nothing else in it. */
  abandon(): Promise<void>;
}

async function reach(context: Context, flags: UpFlags): Promise<Reached> {
  if (flags.api !== undefined || flags.tokenFile !== undefined) {
    if (flags.runner !== undefined || flags.image !== undefined || flags.content !== undefined) {
      throw new CliError(
        'usage',
        exitCodes.usage,
        'The control API at --api has its runner: leave --runner, --image and --content out.',
      );
    }
    return { connection: connect(context, flags), abandon: async () => undefined };
  }
  const { host, interrupts, env } = context;
  const directory = stateDirectory(env);
  const { runner, image, content = [] } = flags;
  const asked = runner === undefined && image === undefined ? undefined : runnerChoice(flags, content);
  const daemon = await ensureDaemon(directory, asked, host.clock, interrupts.signal);
  const api = apiClient(host, daemon.url, daemon.token, interrupts.signal);
  return {
    connection: { api, url: daemon.url },
    async abandon() {
      const clusters = await api.listClusters({}).catch(() => undefined);
      if (clusters?.length === 0) await stopDaemon(directory, daemon, host.clock, interrupts.signal);
    },
  };
}

/** What the flags say of the spec; undefined where they say nothing. */
function overridesOf(flags: UpFlags): Partial<ClusterSpec> {
  return {
    name: flags.name,
    bootstrap: flags.bootstrap,
    index: flags.index,
    peers: flags.peers,
    spares: flags.spares,
    uploadBytesPerSecond: flags.uploadLimit,
    downloadBytesPerSecond: flags.downloadLimit,
  };
}

async function awaitServing(
  context: Context,
  { api }: Connection,
  name: string,
  timeoutMs: number,
): Promise<ClusterView> {
  const { host, interrupts, output } = context;
  const board = createBoard({ sink: output.progress, colour: output.colour, now: () => host.clock.now() });
  let waiting: string[] = [];
  try {
    return await until(
      {
        clock: host.clock,
        signal: interrupts.signal,
        timeoutMs,
        everyMs: 200,
        awaited: () =>
          `${waiting.join(', ')} to serve (\`skep logs NODE\` shows why, \`skep down ${name}\` gives up)`,
      },
      async () => {
        const cluster = await api.getCluster({ params: { cluster: name } });
        waiting = cluster.nodes
          .filter((node) => node.state !== 'serving')
          .map((node) => `${node.slot} (${node.state})`);
        board.show(servingRows(cluster));
        return waiting.length === 0 ? cluster : undefined;
      },
    );
  } finally {
    board.settle();
  }
}

/** One row a role: how many of its nodes serve. */
export function servingRows({ nodes }: Pick<ClusterView, 'nodes'>): BoardRow[] {
  return Role.options.flatMap((role) => {
    const members = nodes.filter((node) => node.role === role);
    if (members.length === 0) return [];
    const serving = members.filter((node) => node.state === 'serving').length;
    const fraction = serving / members.length;
    return [{ label: role, fraction, detail: `${serving} of ${members.length} serve` }];
  });
}
