/** The log of an image build, read as it grows. */
import type { AwsAccount } from './account.ts';

export interface LogPlace {
  readonly group: string;
  readonly stream: string;
}

/** Reads on where it stopped: each line is given once. */
export class BuildLog {
  readonly #account: AwsAccount;
  readonly #place: LogPlace;
  #next: string | undefined;

  constructor(account: AwsAccount, place: LogPlace) {
    this.#account = account;
    this.#place = place;
  }

  /** The lines that came since; none while the log does not exist yet. Rejects with CliError. */
  async read(): Promise<string[]> {
    const { CloudWatchLogsClient, GetLogEventsCommand, ResourceNotFoundException } = await import(
      '@aws-sdk/client-cloudwatch-logs'
    );
    const logs = new CloudWatchLogsClient(this.#account.settings);
    const lines: string[] = [];
    for (;;) {
      const page = await this.#account.ask(async (abortSignal) => {
        const command = new GetLogEventsCommand({
          logGroupName: this.#place.group,
          logStreamName: this.#place.stream,
          startFromHead: true,
          ...(this.#next === undefined ? {} : { nextToken: this.#next }),
        });
        try {
          return await logs.send(command, { abortSignal });
        } catch (error) {
          if (error instanceof ResourceNotFoundException) return undefined;
          throw error;
        }
      });
      const events = page?.events ?? [];
      lines.push(...events.map(({ message }) => (message ?? '').trimEnd()));
      // The end of a log gives back the token that it was asked with.
      const ended = page?.nextForwardToken === undefined || page.nextForwardToken === this.#next;
      this.#next = page?.nextForwardToken ?? this.#next;
      if (ended || events.length === 0) return lines;
    }
  }
}
