/**
 * State changes of instances as EventBridge brings them: to the queues of the rules that they match. EC2 is the source on
 * AWS; here it is the front's, and as on AWS nobody may put events of `aws.ec2`, so the rules' queues are sent to.
 * https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/monitoring-instance-state-changes.html
 */
import { randomUUID } from 'node:crypto';
import {
  type EventBridgeClient,
  ListRulesCommand,
  ListTargetsByRuleCommand,
  type Rule,
  TestEventPatternCommand,
} from '@aws-sdk/client-eventbridge';
import { GetQueueUrlCommand, SendMessageCommand, type SQSClient } from '@aws-sdk/client-sqs';
import type { Instance } from './instances.ts';

export interface StateChangesOptions {
  readonly region: string;
  readonly account: string;
  /** Told of what could not be delivered. */
  readonly onTrouble: (sentence: string) => void;
}

export class StateChanges {
  readonly #eventBridge: EventBridgeClient;
  readonly #sqs: SQSClient;
  readonly #options: StateChangesOptions;
  #delivering: Promise<void> = Promise.resolve();

  constructor(components: { eventBridge: EventBridgeClient; sqs: SQSClient }, options: StateChangesOptions) {
    this.#eventBridge = components.eventBridge;
    this.#sqs = components.sqs;
    this.#options = options;
  }

  /** Delivers one after another, in the background. */
  tell({ instanceId, state }: Pick<Instance, 'instanceId' | 'state'>): void {
    const { region, account, onTrouble } = this.#options;
    const event = JSON.stringify({
      version: '0',
      id: randomUUID(),
      'detail-type': 'EC2 Instance State-change Notification',
      source: 'aws.ec2',
      account,
      time: `${new Date().toISOString().slice(0, 19)}Z`,
      region,
      resources: [`arn:aws:ec2:${region}:${account}:instance/${instanceId}`],
      detail: { 'instance-id': instanceId, state },
    });
    this.#delivering = this.#delivering
      .then(() => this.#deliver(event))
      .catch((error) => onTrouble(`${instanceId} ${state} was not delivered: ${error.message}`));
  }

  /** Resolves when all that was told is delivered. */
  idle(): Promise<void> {
    return this.#delivering;
  }

  async #deliver(event: string): Promise<void> {
    const { Rules = [] } = await this.#eventBridge.send(new ListRulesCommand({}));
    for (const rule of Rules) {
      if (!(await this.#isMatched(rule, event))) continue;
      const { Targets = [] } = await this.#eventBridge.send(
        new ListTargetsByRuleCommand({ Rule: rule.Name }),
      );
      for (const { Arn = '' } of Targets) await this.#send(Arn, event);
    }
  }

  async #isMatched({ State, EventPattern }: Rule, Event: string): Promise<boolean> {
    if (State !== 'ENABLED' || EventPattern === undefined) return false;
    const { Result } = await this.#eventBridge.send(new TestEventPatternCommand({ EventPattern, Event }));
    return Result === true;
  }

  async #send(target: string, event: string): Promise<void> {
    const [, , service, , , QueueName] = target.split(':');
    if (service !== 'sqs') throw new Error(`${target} is no queue, and only queues are delivered to`);
    try {
      const { QueueUrl } = await this.#sqs.send(new GetQueueUrlCommand({ QueueName }));
      await this.#sqs.send(new SendMessageCommand({ QueueUrl, MessageBody: event }));
    } catch (error) {
      // A rule whose queue went with its stack: EventBridge drops what it cannot deliver.
      if ((error as Error).name !== 'QueueDoesNotExist') throw error;
    }
  }
}
