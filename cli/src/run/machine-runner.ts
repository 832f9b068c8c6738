/**
 * The runners `process` and `docker`: a scenario on real machines here, under a control API of the run's own in a temporary
 * directory. Whatever happens, nothing of it is left.
 */
import { createCipheriv, createHash } from 'node:crypto';
import { closeSync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import type { RunRecord, ScenarioPlan } from '@skep/contract';
import {
  type ContentPort,
  describeContent,
  type ExperimentListener,
  runExperiment,
} from '@skep/control-api/experiments';
import { type Host, sleep } from '@skep/p2p-core/host';
import { PrivateSession } from '../daemon/private-session.ts';
import { requireSpace } from '../demo/content.ts';
import { type RunnerChoice, runnerChoice } from '../runners/choice.ts';
import type { Interrupts } from '../terminal/interrupts.ts';

export interface MachineRunOptions {
  readonly runner: RunnerChoice['name'];
  /** Of containers. */
  readonly image?: string;
  readonly seed: string;
  readonly version: string;
  readonly interrupts: Interrupts;
  readonly listener: ExperimentListener;
  readonly note: (text: string) => void;
}

/** Rejects with Interrupted, or with CliError if the platform fails before or beside the run. */
export async function runOnMachines(
  host: Host,
  plan: ScenarioPlan,
  options: MachineRunOptions,
): Promise<RunRecord> {
  const { seed, version, interrupts, listener, note } = options;
  const runner = runnerChoice(options, []);
  const session = new PrivateSession(host, { cluster: 'run', keep: false, runner, note });
  const signal = AbortSignal.any([interrupts.signal, session.failure]);
  try {
    requireSpace(session.directory, spaceFor(plan));
    await session.start();
    session.expectCluster();
    const record = await runExperiment(
      plan,
      {
        api: session.api,
        clock: host.clock,
        compute: host.compute,
        content: contentIn(host, session.contentDirectory, seed, signal),
        listener: {
          ...listener,
          onEvent: (event) => listener.onEvent(event),
          onSample: (sample) => listener.onSample(sample),
          onProgress: (progress) => {
            listener.onProgress(progress);
            // Remembers who lives, for the end.
            void session.nodes().catch(() => undefined);
          },
        },
      },
      { seed, runner: runner.name, version, cluster: 'run', ephemeral: true, signal },
    );
    if (record.verdict === 'broken') note(`the logs are in ${await session.saveLogs()}`);
    return record;
  } finally {
    await session.end(interrupts.hurry);
  }
}

/** Every leech makes a copy; what is added later is counted with the rest. */
function spaceFor({ content, cluster, timeline }: ScenarioPlan): number {
  const peers = cluster.peers + timeline.reduce((sum, { addPeers = 0 }) => sum + addPeers, 0);
  return content.reduce((sum, { bytes }) => sum + bytes * (peers + 1), 0);
}

/** All machines are this one, so one file is at every seed. */
function contentIn(host: Host, contentRoot: string, seed: string, signal: AbortSignal): ContentPort {
  return {
    async make({ name, bytes }) {
      await writeContent(join(contentRoot, name), bytes, `${seed}/${name}`, () =>
        sleep(host.clock, 0, signal),
      );
      return describeContent(host, { contentRoot, name });
    },
  };
}

const chunkBytes = 4 * 1024 * 1024;

/** Bytes that follow from a label: AES in counter mode over zeros. */
async function writeContent(
  path: string,
  length: number,
  label: string,
  yielded: () => Promise<void>,
): Promise<void> {
  const key = createHash('sha256').update(label).digest();
  const cipher = createCipheriv('aes-256-ctr', key, new Uint8Array(16));
  const file = openSync(path, 'w', 0o644);
  try {
    for (let at = 0; at < length; ) {
      const chunk = cipher.update(new Uint8Array(Math.min(chunkBytes, length - at)));
      for (let written = 0; written < chunk.length; ) written += writeSync(file, chunk, written);
      at += chunk.length;
      await yielded();
    }
  } finally {
    closeSync(file);
  }
}
