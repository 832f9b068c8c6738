/** Which control API a command speaks to, by flags, environment or the user's own daemon; and which cluster. */
import { readFileSync } from 'node:fs';
import { type ApiClient, type ClusterView, createApiClient, type Fetch } from '@skep/contract';
import { type Host, HostError } from '@skep/p2p-core/host';
import { type Command, Option } from 'commander';
import { absolutePath, parseHttpUrl } from '../arguments.ts';
import type { Context } from '../context.ts';
import { exitCodes } from '../exit-codes.ts';
import { CliError } from '../failure.ts';
import { readDaemonRecord, stateDirectory } from './daemon.ts';
import { readTunnelledApi } from './tunnelled.ts';

export interface ApiFlags {
  readonly api?: string;
  readonly tokenFile?: string;
}

export interface ClusterFlags extends ApiFlags {
  readonly cluster?: string;
}

export interface Connection {
  readonly api: ApiClient;
  readonly url: string;
}

/** Adds the options that say which control API is meant. */
export function withApiOptions(command: Command): Command {
  return command
    .addOption(
      new Option('--api <url>', 'control API to speak to; default: the one that `skep up` started').argParser(
        parseHttpUrl,
      ),
    )
    .addOption(
      new Option(
        '--token-file <file>',
        'file that holds the token for --api; default: $SKEP_TOKEN',
      ).argParser(absolutePath),
    )
    .option('--json', 'print one JSON value for programs');
}

/** Adds the options that say which cluster is meant. */
export function withClusterOptions(command: Command): Command {
  return withApiOptions(
    command.option('-c, --cluster <name>', 'cluster; may be left out where there is only one'),
  );
}

export function connect(context: Context, flags: ApiFlags): Connection {
  const { host, env, interrupts } = context;
  const directory = stateDirectory(env);
  const known = [readDaemonRecord(directory), readTunnelledApi(directory)].filter(
    (each) => each !== undefined,
  );
  const speakTo = (url: string, token: string | undefined): Connection => ({
    api: apiClient(host, url, token, interrupts.signal),
    url,
  });
  if (flags.api !== undefined) {
    const own = known.find(({ url }) => url === flags.api)?.token;
    const token = flags.tokenFile === undefined ? env.SKEP_TOKEN || own : readToken(flags.tokenFile);
    return speakTo(flags.api, token);
  }
  if (flags.tokenFile !== undefined) {
    throw new CliError('usage', exitCodes.usage, '--token-file belongs to --api: give both.');
  }
  const [only] = known;
  if (only === undefined) {
    throw new CliError(
      'unreachable',
      exitCodes.unreachable,
      'No control API runs for this user: `skep up` starts one with a cluster, `skep connect` leads to one on AWS, --api names another.',
    );
  }
  if (known.length > 1) {
    throw new CliError(
      'usage',
      exitCodes.usage,
      `There is a control API of this machine and one that skep connect leads to: say which with --api ${known.map(({ url }) => url).join(' or --api ')}.`,
    );
  }
  return speakTo(only.url, only.token);
}

/** A client whose failures to reach the API say which address and what to do. */
export function apiClient(
  host: Host,
  baseUrl: string,
  token: string | undefined,
  signal?: AbortSignal,
): ApiClient {
  const fetch: Fetch = async (url, init) => {
    const signals = [signal, init.signal].filter((each) => each !== undefined);
    const either = signals.length === 0 ? undefined : AbortSignal.any(signals);
    try {
      return await host.http.fetch(url, either === undefined ? init : { ...init, signal: either });
    } catch (error) {
      if (either?.aborted) throw either.reason;
      if (!(error instanceof HostError)) throw error;
      throw new CliError(
        'unreachable',
        exitCodes.unreachable,
        `The control API at ${baseUrl} cannot be reached (${error.code}): see whether it still runs and the address is right.`,
        { cause: error },
      );
    }
  };
  return createApiClient({ baseUrl, fetch, ...(token === undefined ? {} : { token }) });
}

/** The cluster that was named, or the only one there is. */
export async function chooseCluster({ api }: Connection, name: string | undefined): Promise<ClusterView> {
  if (name !== undefined) return api.getCluster({ params: { cluster: name } });
  const clusters = await api.listClusters({});
  const [only] = clusters;
  if (only === undefined) {
    throw new CliError('not-found', exitCodes.notFound, 'There is no cluster: `skep up` creates one.');
  }
  if (clusters.length > 1) {
    const names = clusters.map((cluster) => cluster.name).join(', ');
    throw new CliError(
      'usage',
      exitCodes.usage,
      `There are several clusters (${names}): say which is meant.`,
    );
  }
  return only;
}

function readToken(path: string): string {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch {
    throw new CliError('not-found', exitCodes.notFound, `The token file ${path} cannot be read.`);
  }
  const token = text.trim();
  if (!/^[\x21-\x7e]{1,1000}$/.test(token)) {
    throw new CliError('usage', exitCodes.usage, `The file ${path} does not hold a token alone.`);
  }
  return token;
}
