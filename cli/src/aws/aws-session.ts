/**
 * A cluster of a command's own on AWS: on a deployment that is there, or on the platform of one that is stood up for it
 * and taken down after it. `end` leaves nothing of the cluster, nor of the deployment if that was its own.
 */
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ApiClient, ApiError, type NodeView } from '@skep/contract';
import { toHex } from '@skep/p2p-core/bytes';
import type { Context } from '../context.ts';
import { saveClusterLogs } from '../daemon/cluster-logs.ts';
import type { DemoContent } from '../demo/content.ts';
import { exitCodes } from '../exit-codes.ts';
import { CliError, describeFailure, isPassing } from '../failure.ts';
import { until } from '../timing.ts';
import type { AppContext } from './app-context.ts';
import { type UploadedContent, uploadContent } from './content-upload.ts';
import { type MeantDeployment, meantDeployment } from './deployment.ts';
import type { StackFlags } from './flags.ts';
import { Line } from './line.ts';
import { requireSessionManager } from './session-manager.ts';
import type { StackOutputs } from './stack-outputs.ts';
import { standUp, takeDown } from './standing.ts';

export interface AwsSessionOptions {
  /** Name of the cluster. */
  readonly cluster: string;
  /** Without `stack` a deployment of its own is made, named `ownStack`. */
  readonly flags: Omit<StackFlags, 'stack'> & { readonly stack?: string };
  readonly ownStack: string;
  /** What else the CDK app is told of a deployment of its own. */
  readonly context: AppContext;
  readonly note: (text: string) => void;
}

/** Of a deployment of its own: long enough for the story, short enough for whoever closes the lid on it. */
export const ownHours = 2;

const hourMs = 3_600_000;
/** The control API's instance starts after its stack is said to be complete. */
const controlApiMs = 600_000;
const controlApiEveryMs = 5_000;
const deleteMs = 600_000;
const deleteEveryMs = 2_000;
const leftoversMs = 600_000;

export class AwsSession {
  /** The control API outlives this process, so nothing of it ends by itself. */
  readonly isEphemeral = false;
  /** Aborted by nothing: a line that breaks is opened again. */
  readonly failure = new AbortController().signal;
  readonly #context: Context;
  /** What was begun is to be ended after Ctrl-C too: only a second one ends that. */
  readonly #patientContext: Context;
  readonly #options: AwsSessionOptions;
  readonly #ended = new AbortController();
  #deployment: MeantDeployment | undefined;
  #outputs: StackOutputs | undefined;
  #line: Line | undefined;
  #viewerToken = '';
  #uploaded: UploadedContent | undefined;
  #clusterAsked = false;
  #stackBegun = false;

  /** Throws CliError if programs are missing that it needs. */
  constructor(context: Context, options: AwsSessionOptions) {
    requireSessionManager(context.env.PATH ?? '');
    const { interrupts } = context;
    this.#context = context;
    this.#patientContext = { ...context, interrupts: { ...interrupts, signal: interrupts.hurry } };
    this.#options = options;
  }

  get url(): string {
    return this.#openLine.url;
  }

  get api(): ApiClient {
    return this.#openLine.api;
  }

  get viewerToken(): string {
    return this.#viewerToken;
  }

  /** Finds the deployment or makes one, and opens the line to its control API. Rejects with CliError. */
  async start(): Promise<void> {
    const { flags, ownStack, note } = this.#options;
    const deployment = await meantDeployment(this.#patientContext, {
      ...flags,
      stack: flags.stack ?? ownStack,
    });
    this.#deployment = deployment;
    const outputs =
      flags.stack === undefined
        ? await this.#standUp(deployment)
        : await deployment.account.outputs(flags.stack);
    this.#outputs = outputs;
    const line = await Line.prepare(
      { context: this.#patientContext, deployment },
      { port: 0, outputs, note },
    );
    this.#line = line;
    await this.#open(line);
    void line.hold(this.#ended.signal);
    this.#viewerToken = (await line.api.getViewerToken({})).token ?? '';
  }

  /** Before the cluster is asked for, so that it is deleted even if the answer was lost. */
  expectCluster(): void {
    this.#clusterAsked = true;
  }

  nodes(): Promise<NodeView[]> {
    return this.api.listNodes({ params: { cluster: this.#options.cluster } });
  }

  /** Content goes by the deployment's bucket. Rejects with CliError, for a folder too. */
  async upload({ contentRoot, metainfo }: DemoContent): Promise<{ readonly contentUrl: string }> {
    const { info } = metainfo;
    const [file, ...others] = info.files;
    if (file === undefined || others.length > 0) {
      throw new CliError(
        'usage',
        exitCodes.usage,
        'Instances fetch one file: give a file as --content, no folder.',
      );
    }
    this.#uploaded = await uploadContent(this.#deployment!.account, {
      bucket: this.#outputs!.BundlesBucket,
      key: `demo/${toHex(info.infoHash)}`,
      path: join(contentRoot, file.path),
    });
    return { contentUrl: this.#uploaded.url };
  }

  async saveLogs(): Promise<string> {
    const directory = mkdtempSync(join(tmpdir(), `skep-${this.#options.cluster}-logs-`));
    if (this.#line !== undefined) await saveClusterLogs(this.#line.api, this.#options.cluster, directory);
    return directory;
  }

  /** Never rejects: what could not be ended is told, with how to end it. */
  async end(hurry: AbortSignal): Promise<void> {
    await this.#attempt('The content is still in the bucket', () => this.#uploaded?.remove());
    if (this.#clusterAsked) {
      await this.#attempt(`The cluster ${this.#options.cluster} may still run`, () =>
        this.#deleteCluster(hurry),
      );
    }
    this.#ended.abort();
    await this.#line?.close();
    if (this.#stackBegun) {
      const { ownStack } = this.#options;
      await this.#attempt(`The stack ${ownStack} may still be there: skep destroy --stack ${ownStack}`, () =>
        this.#takeDown(),
      );
    }
  }

  get #openLine(): Line {
    if (this.#line === undefined) throw new Error('the session was not started');
    return this.#line;
  }

  async #standUp(deployment: MeantDeployment): Promise<StackOutputs> {
    const { account } = await deployment.account.identity();
    const { clock } = this.#context.host;
    this.#stackBegun = true;
    return standUp(this.#context, {
      deployment,
      account,
      expiresAt: new Date(clock.wallTime() + ownHours * hourMs).toISOString(),
      // The platform alone: the cluster is the story's first part.
      context: { ...this.#options.context, cluster: 'false' },
    });
  }

  async #open(line: Line): Promise<void> {
    const { host, interrupts } = this.#context;
    const timing = {
      clock: host.clock,
      signal: interrupts.signal,
      timeoutMs: controlApiMs,
      everyMs: controlApiEveryMs,
      awaited: () => 'the control API of the deployment to answer',
    };
    await until(timing, () =>
      line.open(controlApiMs).catch((error) => {
        if (error instanceof CliError && error.code === 'not-running') return undefined;
        throw error;
      }),
    );
  }

  async #deleteCluster(hurry: AbortSignal): Promise<void> {
    const params = { cluster: this.#options.cluster };
    const timing = {
      clock: this.#context.host.clock,
      signal: hurry,
      timeoutMs: deleteMs,
      everyMs: deleteEveryMs,
      awaited: () => `${params.cluster} to be deleted`,
    };
    await until(timing, async () => {
      try {
        await this.api.deleteCluster({ params });
        return undefined;
      } catch (error) {
        if (error instanceof ApiError && error.status === 404) return true;
        if (isPassing(error)) return undefined;
        throw error;
      }
    });
  }

  async #takeDown(): Promise<void> {
    const deployment = this.#deployment!;
    const { account } = await deployment.account.identity();
    const found = await deployment.account.stack(deployment.stack);
    if (found === undefined) return;
    const left = await takeDown(this.#patientContext, {
      deployment,
      account,
      stackArn: found.id,
      timeoutMs: leftoversMs,
    });
    const all = [...left.machines, ...left.others];
    if (all.length > 0)
      throw new CliError('left-over', exitCodes.failed, `AWS still lists ${all.join(', ')}.`);
  }

  async #attempt(obstacle: string, work: () => Promise<void> | undefined): Promise<void> {
    try {
      await work();
    } catch (error) {
      this.#options.note(`${obstacle} (${describeFailure(error).message})`);
    }
  }
}
