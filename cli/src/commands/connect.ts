/**
 * `skep connect`: a tunnel to the control API of a deployment on AWS, until Ctrl-C. While it stands, the other commands
 * speak to that control API; the admin token goes from Secrets Manager to a file for the user alone.
 */
import { type ApiClient, ApiError } from '@skep/contract';
import { sleep } from '@skep/p2p-core/host';
import { Command } from 'commander';
import * as z from 'zod';
import { parsePort, parseWhole } from '../arguments.ts';
import { type MeantDeployment, meantDeployment } from '../aws/deployment.ts';
import { type StackFlags, withStackOptions } from '../aws/flags.ts';
import { freePort, openTunnel, requireSessionManager, type Tunnel } from '../aws/session-manager.ts';
import type { StackOutputs } from '../aws/stack-outputs.ts';
import type { Context, Perform } from '../context.ts';
import { apiClient } from '../daemon/connect.ts';
import { stateDirectory } from '../daemon/daemon.ts';
import { publishTunnelledApi, tunnelTokenFile, withdrawTunnelledApi } from '../daemon/tunnelled.ts';
import { exitCodeHelp, exitCodes } from '../exit-codes.ts';
import { CliError } from '../failure.ts';
import { printable } from '../terminal/format.ts';
import { aborted, until } from '../timing.ts';

interface ConnectFlags extends StackFlags {
  readonly port: number;
  readonly timeout: number;
}

/** Where the control API answers on its instance's loopback. */
const controlApiPort = 7701;
const pollMs = 300;
/** After a tunnel that broke: the instance may be on its way back, or a new one. */
const reopenMs = 3_000;

const AdminSecret = z.object({ token: z.string().regex(/^[\x21-\x7e]{16,1000}$/) });

export function connectCommand(perform: Perform): Command {
  return withStackOptions(new Command('connect'))
    .description('Lead the other commands and a browser to a deployment on AWS, until Ctrl-C')
    .option('--port <port>', 'of this machine; 0 takes a free one', parsePort, 0)
    .option('--timeout <seconds>', 'how long to wait for the control API', parseWhole(1, 86_400), 120)
    .addHelpText('after', `\nNeeds the AWS CLI and its Session Manager plugin.\n${exitCodeHelp}`)
    .action((flags: ConnectFlags) => perform(flags, (context) => leadTo(context, flags)));
}

async function leadTo(context: Context, flags: ConnectFlags): Promise<undefined> {
  const { env, host, output, interrupts } = context;
  requireSessionManager(env.PATH ?? '');
  const deployment = await meantDeployment(context, flags);
  const { account, stack, region } = deployment;
  const outputs = await account.outputs(stack);
  const token = await adminToken(deployment, outputs);
  const directory = stateDirectory(env);
  const localPort = flags.port === 0 ? await freePort() : flags.port;
  const url = `http://127.0.0.1:${localPort}`;
  const api = apiClient(host, url, token, interrupts.signal);
  const line = new Line(context, deployment, { group: outputs.ControlGroup, localPort, api });
  try {
    const instanceId = await line.open(flags.timeout * 1000);
    publishTunnelledApi(directory, { url, token, stack });
    const viewer = await api.getViewerToken({});
    const [first] = await api.listClusters({});
    const anchor = new URLSearchParams({
      ...(viewer.token === undefined ? {} : { token: viewer.token }),
      ...(first === undefined ? {} : { cluster: first.name }),
    });
    const page = `${url}/#${anchor}`;
    output.result({ stack, region, instanceId, api: url, page, tokenFile: tunnelTokenFile(directory) });
    output.line(`control API  ${url}, of ${stack} in ${region} (${instanceId})`);
    output.line(`live page    ${page}`);
    output.line('The other commands speak to it until Ctrl-C; the cluster goes on after that.');
    await line.hold();
    return undefined;
  } finally {
    await line.close();
    withdrawTunnelledApi(directory);
    if (interrupts.signal.aborted && !output.json) output.note('disconnected');
  }
}

async function adminToken({ account, stack }: MeantDeployment, outputs: StackOutputs): Promise<string> {
  const secret = AdminSecret.safeParse(jsonOf(await account.secret(outputs.AdminTokenSecret)));
  if (secret.success) return secret.data.token;
  throw new CliError(
    'not-a-deployment',
    exitCodes.failed,
    `The secret of ${stack} does not hold a token: it was changed by hand. Deploy the stack again to have a new one.`,
  );
}

interface LineOptions {
  readonly group: string;
  readonly localPort: number;
  readonly api: ApiClient;
}

/** The tunnel to whichever instance the control API is on, opened again when it breaks. */
class Line {
  readonly #context: Context;
  readonly #deployment: MeantDeployment;
  readonly #options: LineOptions;
  #tunnel: Tunnel | undefined;

  constructor(context: Context, deployment: MeantDeployment, options: LineOptions) {
    this.#context = context;
    this.#deployment = deployment;
    this.#options = options;
  }

  /** Resolves with the instance's id once the control API answers. Rejects with CliError. */
  async open(timeoutMs: number): Promise<string> {
    const { host, interrupts } = this.#context;
    const { account, region, profile } = this.#deployment;
    const { group, localPort, api } = this.#options;
    const [instanceId] = await account.instancesOf(group);
    if (instanceId === undefined) {
      throw new CliError(
        'not-running',
        exitCodes.unreachable,
        `No instance of the control API is in service (group ${group}): it starts within minutes, unless its time to live is over.`,
      );
    }
    const tunnel = openTunnel({ instanceId, remotePort: controlApiPort, localPort, region, profile });
    this.#tunnel = tunnel;
    let words: string | undefined;
    void tunnel.ended.then((said) => {
      words = said;
    });
    const timing = {
      clock: host.clock,
      signal: interrupts.signal,
      timeoutMs,
      everyMs: pollMs,
      awaited: () => `the control API on ${instanceId} to answer through the tunnel`,
    };
    return until(timing, async () => {
      if (words !== undefined) {
        throw new CliError(
          'tunnel',
          exitCodes.unreachable,
          `The tunnel to ${instanceId} ended: ${printable(words)}`,
        );
      }
      const healthy = await api.health({}).catch((error) => {
        if (isPassing(error)) return undefined;
        throw error;
      });
      return healthy?.ok ? instanceId : undefined;
    });
  }

  /** Until Ctrl-C, through whatever breaks the tunnel. */
  async hold(): Promise<void> {
    const { host, interrupts, output } = this.#context;
    const { signal } = interrupts;
    while (!signal.aborted) {
      const words = await Promise.race([this.#tunnel?.ended, aborted(signal)]);
      if (signal.aborted) return;
      output.note(`The tunnel ended (${printable(words ?? '')}); opening it again.`);
      for (let isOpen = false; !isOpen && !signal.aborted; ) {
        await sleep(host.clock, reopenMs, signal).catch(() => undefined);
        isOpen = await this.#reopened();
      }
    }
  }

  async close(): Promise<void> {
    await this.#tunnel?.close();
  }

  async #reopened(): Promise<boolean> {
    await this.close();
    try {
      await this.open(60_000);
      this.#context.output.note('The tunnel stands again.');
      return true;
    } catch (error) {
      if (!this.#context.interrupts.signal.aborted) {
        this.#context.output.note(error instanceof Error ? error.message : String(error));
      }
      return false;
    }
  }
}

/** The tunnel takes connections before the other end does. */
function isPassing(error: unknown): boolean {
  if (error instanceof CliError) return error.code === 'unreachable';
  return error instanceof ApiError && (error.status === 503 || error.problem === undefined);
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
