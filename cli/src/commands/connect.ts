/**
 * `skep connect`: a tunnel to the control API of a deployment on AWS, until Ctrl-C. While it stands, the other commands
 * speak to that control API; the admin token goes from Secrets Manager to a file for the user alone.
 */
import type { ApiClient } from '@skep/contract';
import { Command } from 'commander';
import { parsePort, parseWhole } from '../arguments.ts';
import { meantDeployment } from '../aws/deployment.ts';
import { type StackFlags, withStackOptions } from '../aws/flags.ts';
import { Line } from '../aws/line.ts';
import { requireSessionManager } from '../aws/session-manager.ts';
import type { Context, Perform } from '../context.ts';
import { stateDirectory } from '../daemon/daemon.ts';
import { publishTunnelledApi, tunnelTokenFile, withdrawTunnelledApi } from '../daemon/tunnelled.ts';
import { exitCodeHelp } from '../exit-codes.ts';

interface ConnectFlags extends StackFlags {
  readonly port: number;
  readonly timeout: number;
}

export function connectCommand(perform: Perform): Command {
  return withStackOptions(new Command('connect'))
    .description('Lead the other commands and a browser to a deployment on AWS, until Ctrl-C')
    .option('--port <port>', 'of this machine; 0 takes a free one', parsePort, 0)
    .option('--timeout <seconds>', 'how long to wait for the control API', parseWhole(1, 86_400), 120)
    .addHelpText('after', `\nNeeds the AWS CLI and its Session Manager plugin.\n${exitCodeHelp}`)
    .action((flags: ConnectFlags) => perform(flags, (context) => leadTo(context, flags)));
}

async function leadTo(context: Context, flags: ConnectFlags): Promise<undefined> {
  const { env, output, interrupts } = context;
  requireSessionManager(env.PATH ?? '');
  const deployment = await meantDeployment(context, flags);
  const { account, stack, region } = deployment;
  const outputs = await account.outputs(stack);
  const directory = stateDirectory(env);
  const line = await Line.prepare(
    { context, deployment },
    { port: flags.port, outputs, note: (text) => output.note(text) },
  );
  try {
    const instanceId = await line.open(flags.timeout * 1000);
    const { url, api, token } = line;
    publishTunnelledApi(directory, { url, token, stack });
    const page = await pageOf(url, api);
    output.result({ stack, region, instanceId, api: url, page, tokenFile: tunnelTokenFile(directory) });
    output.line(`control API  ${url}, of ${stack} in ${region} (${instanceId})`);
    output.line(`live page    ${page}`);
    output.line('The other commands speak to it until Ctrl-C; the cluster goes on after that.');
    await line.hold(interrupts.signal);
    return undefined;
  } finally {
    await line.close();
    withdrawTunnelledApi(directory);
    if (interrupts.signal.aborted && !output.json) output.note('disconnected');
  }
}

/** With the token of viewers, for it is shown. */
async function pageOf(url: string, api: ApiClient): Promise<string> {
  const { token } = await api.getViewerToken({});
  const [first] = await api.listClusters({});
  const anchor = new URLSearchParams({
    ...(token === undefined ? {} : { token }),
    ...(first === undefined ? {} : { cluster: first.name }),
  });
  return `${url}/#${anchor}`;
}
