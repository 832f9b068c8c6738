/** Where the demonstration can play: on machines of this computer, or on instances of AWS. */

import type { AppContext } from '../aws/app-context.ts';
import { AwsSession } from '../aws/aws-session.ts';
import type { StackFlags } from '../aws/flags.ts';
import type { Context } from '../context.ts';
import { PrivateSession } from '../daemon/private-session.ts';
import type { RunnerChoice } from '../runners/choice.ts';
import { requireSpace } from './content.ts';
import type { DemoSession, DemoStage } from './demo.ts';

/** Both ends of a stage. */
export interface StagedSession extends DemoSession {
  /** Reads only: fit to stand in an address that is shown. */
  readonly viewerToken: string;
  /** Aborted with CliError when the control API cannot be kept running. */
  readonly failure: AbortSignal;
  /** Saves what tells how it went; gives the directory. */
  saveLogs(): Promise<string>;
  /** Leaves nothing of it. With `hurry` aborted it does not wait. */
  end(hurry: AbortSignal): Promise<void>;
}

export interface Staged extends DemoStage {
  readonly session: StagedSession;
}

export interface LocalOptions {
  readonly runner: RunnerChoice;
  readonly keep: boolean;
  readonly note: (text: string) => void;
}

const name = 'demo';

export function localStage({ host }: Context, options: LocalOptions): Staged {
  const session = new PrivateSession(host, { cluster: name, ...options });
  return {
    session,
    cluster: name,
    nodeIs: options.runner.name === 'docker' ? 'a container' : 'a process',
    howKilled: 'with SIGKILL',
    servingMs: 60_000,
    healingMs: 90_000,
    orphanMs: 20_000,
    reachesNodes: true,
    async offer({ contentRoot, metainfo }, copies) {
      requireSpace(session.directory, metainfo.info.length * copies);
      return { contentRoot };
    },
  };
}

export interface AwsOptions {
  /** The deployment to play on; missing for one of its own, which ends with the story. */
  readonly flags: Omit<StackFlags, 'stack'> & { readonly stack?: string; readonly context?: AppContext };
  readonly note: (text: string) => void;
}

/** Instances take minutes to start, and their addresses are private. */
const instanceMs = 600_000;

export function awsStage(context: Context, { flags, note }: AwsOptions): Staged {
  const tail = Buffer.from(context.host.random.bytes(3)).toString('hex');
  // Others may play on the same deployment.
  const cluster = `${name}-${tail}`;
  const session = new AwsSession(context, {
    flags,
    cluster,
    ownStack: `SkepDemo-${tail}`,
    context: flags.context ?? {},
    note,
  });
  return {
    session,
    cluster,
    nodeIs: 'an instance',
    howKilled: 'by having its instance terminated',
    servingMs: instanceMs,
    healingMs: instanceMs,
    orphanMs: 60_000,
    reachesNodes: false,
    offer: (content) => session.upload(content),
  };
}
