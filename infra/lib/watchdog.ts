/**
 * The functions that nobody calls: the watchdog heals while the control API is gone, the reaper ends what is past its time
 * to live. Schedules alone drive them, so that they depend on nothing that could be dead.
 */
import { Duration } from 'aws-cdk-lib';
import * as events from 'aws-cdk-lib/aws-events';
import * as targets from 'aws-cdk-lib/aws-events-targets';
import type * as lambda from 'aws-cdk-lib/aws-lambda';
import { Construct } from 'constructs';

export interface WatchdogProps {
  readonly watchdog: lambda.IFunction;
  readonly reap: lambda.IFunction;
  /** @default - a minute */
  readonly watchdogInterval?: Duration;
  /** @default - five minutes */
  readonly reapInterval?: Duration;
}

export class Watchdog extends Construct {
  constructor(scope: Construct, id: string, props: WatchdogProps) {
    super(scope, id);
    const { watchdogInterval = Duration.minutes(1), reapInterval = Duration.minutes(5) } = props;
    this.#schedule(
      'Watch',
      'Heals a Skep cluster whose control API is gone',
      watchdogInterval,
      props.watchdog,
    );
    this.#schedule('Reap', 'Ends a Skep cluster that is past its time to live', reapInterval, props.reap);
  }

  /** One that failed is not repeated: the next comes soon. */
  #schedule(id: string, description: string, interval: Duration, target: lambda.IFunction): void {
    new events.Rule(this, id, {
      description,
      schedule: events.Schedule.rate(interval),
      targets: [new targets.LambdaFunction(target, { retryAttempts: 0 })],
    });
  }
}
