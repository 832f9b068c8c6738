/**
 * EC2's events of instances that end, as a queue brings them: EventBridge puts them there, and whoever heals takes them
 * out. They come at least once, late, and in any order, and some may never: they are a reason to look, and no proof.
 */
import {
  DeleteMessageBatchCommand,
  type Message,
  ReceiveMessageCommand,
  type SQSClient,
} from '@aws-sdk/client-sqs';
import { type Clock, sleep } from '@skep/p2p-core/host';
import * as z from 'zod';

/** https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/monitoring-instance-state-changes.html */
const StateChange = z.object({
  source: z.literal('aws.ec2'),
  'detail-type': z.literal('EC2 Instance State-change Notification'),
  detail: z.object({ 'instance-id': z.string().regex(/^i-[0-9a-f]+$/), state: z.string() }),
});

const endStates = ['stopping', 'stopped', 'shutting-down', 'terminated'];
const longestPollSeconds = 20;
const mostMessages = 10;
/** One that was given to a poll whose caller is gone comes again soon. Told twice is no harm. */
const visibilitySeconds = 5;
const retryMs = 5_000;

/** The instance that a message says is ending or has ended; undefined if it says anything else. Pure. */
export function endedInstance(body: string): string | undefined {
  let json: unknown;
  try {
    json = JSON.parse(body);
  } catch {
    return undefined;
  }
  const event = StateChange.safeParse(json).data;
  return event !== undefined && endStates.includes(event.detail.state)
    ? event.detail['instance-id']
    : undefined;
}

export interface InstanceEndsComponents {
  readonly clock: Clock;
  readonly sqs: SQSClient;
  /** Looks at these instances. What it rejects stays in the queue, and comes again. */
  readonly onEnds: (instanceIds: readonly string[]) => Promise<void>;
}

export interface InstanceEndsOptions {
  readonly queueUrl: string;
  readonly onTrouble: (message: string) => void;
}

export class InstanceEnds {
  readonly #components: InstanceEndsComponents;
  readonly #options: InstanceEndsOptions;
  readonly #closing = new AbortController();

  constructor(components: InstanceEndsComponents, options: InstanceEndsOptions) {
    this.#components = components;
    this.#options = options;
    void this.#listen();
  }

  close(): void {
    this.#closing.abort();
  }

  async #listen(): Promise<void> {
    let failures = 0;
    while (!this.#closing.signal.aborted) {
      try {
        await this.#receive();
        failures = 0;
      } catch (error) {
        if (this.#closing.signal.aborted) return;
        failures += 1;
        if (failures === 1) {
          const { name, message } = error as Error;
          this.#options.onTrouble(`no news of instances that end (${name}: ${message}): trying on`);
        }
        await sleep(this.#components.clock, retryMs, this.#closing.signal).catch(() => undefined);
      }
    }
  }

  async #receive(): Promise<void> {
    const { sqs, onEnds } = this.#components;
    const { queueUrl } = this.#options;
    const { Messages = [] } = await sqs.send(
      new ReceiveMessageCommand({
        QueueUrl: queueUrl,
        WaitTimeSeconds: longestPollSeconds,
        MaxNumberOfMessages: mostMessages,
        VisibilityTimeout: visibilitySeconds,
      }),
      { abortSignal: this.#closing.signal },
    );
    if (Messages.length === 0) return;
    const ended = Messages.flatMap(({ Body = '' }) => endedInstance(Body) ?? []);
    if (ended.length > 0) await onEnds([...new Set(ended)]);
    await sqs.send(new DeleteMessageBatchCommand({ QueueUrl: queueUrl, Entries: entriesOf(Messages) }));
  }
}

function entriesOf(messages: readonly Message[]) {
  return messages.map(({ ReceiptHandle }, index) => ({ Id: String(index), ReceiptHandle }));
}
