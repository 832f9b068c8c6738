/**
 * The line to a deployment's control API: a tunnel to whichever instance it is on, opened again when that breaks, and a
 * client that speaks through it with the admin token from Secrets Manager.
 */
import { type ApiClient, ApiError } from '@skep/contract';
import { sleep } from '@skep/p2p-core/host';
import * as z from 'zod';
import type { Context } from '../context.ts';
import { apiClient } from '../daemon/connect.ts';
import { exitCodes } from '../exit-codes.ts';
import { CliError } from '../failure.ts';
import { printable } from '../terminal/format.ts';
import { aborted, until } from '../timing.ts';
import type { MeantDeployment } from './deployment.ts';
import { freePort, openTunnel, requireSessionManager, type Tunnel } from './session-manager.ts';
import type { StackOutputs } from './stack-outputs.ts';

/** Where the control API answers on its instance's loopback. */
const controlApiPort = 7701;
const pollMs = 300;
/** After a tunnel that broke: the instance may be on its way back, or a new one. */
const reopenMs = 3_000;
const reopenPatienceMs = 60_000;
/** What Session Manager says of an instance that has not reported to it since it started. */
const notYetThere = /TargetNotConnected/;

const AdminSecret = z.object({ token: z.string().regex(/^[\x21-\x7e]{16,1000}$/) });

export interface LineOptions {
  /** Of this machine; 0 takes a free one. */
  readonly port: number;
  readonly outputs: StackOutputs;
  /** For people: what became of the tunnel. */
  readonly note: (text: string) => void;
}

/** Must be closed. */
export class Line {
  readonly url: string;
  readonly api: ApiClient;
  /** Never to be shown. */
  readonly token: string;
  readonly #context: Context;
  readonly #deployment: MeantDeployment;
  readonly #options: LineOptions;
  #tunnel: Tunnel | undefined;

  private constructor(
    { context, deployment }: { context: Context; deployment: MeantDeployment },
    options: LineOptions,
    token: string,
  ) {
    this.#context = context;
    this.#deployment = deployment;
    this.#options = options;
    this.token = token;
    this.url = `http://127.0.0.1:${options.port}`;
    this.api = apiClient(context.host, this.url, token, context.interrupts.signal);
  }

  /** One that is not open yet. Rejects with CliError if programs or permissions are missing. */
  static async prepare(
    components: { context: Context; deployment: MeantDeployment },
    options: LineOptions,
  ): Promise<Line> {
    requireSessionManager(components.context.env.PATH ?? '');
    const token = await adminToken(components.deployment, options.outputs);
    const port = options.port === 0 ? await freePort() : options.port;
    return new Line(components, { ...options, port }, token);
  }

  /** Resolves with the instance's id once the control API answers. Rejects with CliError. */
  async open(timeoutMs: number): Promise<string> {
    const { host, interrupts } = this.#context;
    const { account, region, profile } = this.#deployment;
    const { outputs, port } = this.#options;
    const group = outputs.ControlGroup;
    const [instanceId] = await account.instancesOf(group);
    if (instanceId === undefined) {
      throw new CliError(
        'not-running',
        exitCodes.unreachable,
        `No instance of the control API is in service (group ${group}): it starts within minutes, unless its time to live is over.`,
      );
    }
    let words: string | undefined;
    const begin = () => {
      words = undefined;
      const tunnel = openTunnel({
        instanceId,
        remotePort: controlApiPort,
        localPort: port,
        region,
        profile,
      });
      this.#tunnel = tunnel;
      void tunnel.ended.then((said) => {
        words = said;
      });
    };
    begin();
    const timing = {
      clock: host.clock,
      signal: interrupts.signal,
      timeoutMs,
      everyMs: pollMs,
      awaited: () => `the control API on ${instanceId} to answer through the tunnel`,
    };
    return until(timing, async (signal) => {
      if (words !== undefined) {
        if (!notYetThere.test(words)) {
          throw new CliError(
            'tunnel',
            exitCodes.unreachable,
            `The tunnel to ${instanceId} ended: ${printable(words)}`,
          );
        }
        await sleep(host.clock, reopenMs, signal);
        begin();
      }
      const healthy = await this.api.health({}).catch((error) => {
        if (isPassing(error)) return undefined;
        throw error;
      });
      return healthy?.ok ? instanceId : undefined;
    });
  }

  /** Keeps it open, through whatever breaks the tunnel, until the signal is aborted. Never rejects. */
  async hold(signal: AbortSignal): Promise<void> {
    const { clock } = this.#context.host;
    while (!signal.aborted) {
      const words = await Promise.race([this.#tunnel?.ended, aborted(signal)]);
      if (signal.aborted) return;
      this.#options.note(`The tunnel ended (${printable(words ?? '')}); opening it again.`);
      for (let isOpen = false; !isOpen && !signal.aborted; ) {
        await sleep(clock, reopenMs, signal).catch(() => undefined);
        isOpen = await this.#reopened(signal);
      }
    }
  }

  async close(): Promise<void> {
    await this.#tunnel?.close();
  }

  async #reopened(signal: AbortSignal): Promise<boolean> {
    await this.close();
    try {
      await this.open(reopenPatienceMs);
      this.#options.note('The tunnel stands again.');
      return true;
    } catch (error) {
      if (!signal.aborted) this.#options.note(error instanceof Error ? error.message : String(error));
      return false;
    }
  }
}

/** The tunnel takes connections before the other end does. */
function isPassing(error: unknown): boolean {
  if (error instanceof CliError) return error.code === 'unreachable';
  return error instanceof ApiError && (error.status === 503 || error.problem === undefined);
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

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
