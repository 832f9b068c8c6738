/**
 * A node's tests of what it stands in, as the control API commands them: once for each id, in bounded time, beside
 * whatever else the node does, and with nothing left behind once they are commanded no more.
 */
import {
  type Command,
  formatMachineId,
  type MachineId,
  type SelfTestCheck,
  type SelfTestReport,
} from '@skep/contract';
import type { Node } from '@skep/p2p-core';
import type { Address, Host } from '@skep/p2p-core/host';
import type { RingSeat } from './ring-seat.ts';
import { checkBootstraps, checkClock, checkDht, checkDisk, checkRing } from './self-test-checks.ts';
import { TestTransfer } from './self-test-transfer.ts';
import { type Trial, TrialFailure, TrialSkipped, tryWithin } from './trial.ts';

export type SelfTestCommand = Extract<Command, { kind: 'self-test' }>;

export interface SelfTestComponents {
  readonly host: Host;
  readonly node: Node;
  /** Of a bootstrap node. */
  readonly ring: RingSeat | undefined;
}

export interface SelfTestOptions {
  readonly self: MachineId;
  /** The node's: tests have a directory of their own in it. */
  readonly dataDirectory: string;
  /** Where the bootstrap nodes that are up answer in the DHT. */
  readonly bootstraps: () => readonly Address[];
  /** The control API's wall clock, asked for now. */
  readonly controlTime: (signal: AbortSignal) => Promise<number>;
  /** There is something new in `report`. */
  readonly onDone: () => void;
}

/** Together less than the control API waits for a report. */
const limitsMs: Readonly<Record<SelfTestCheck['name'], number>> = {
  ring: 8_000,
  dht: 15_000,
  transfer: 20_000,
  disk: 15_000,
  clock: 10_000,
};
const longestDetail = 400;

export class SelfTest {
  readonly #components: SelfTestComponents;
  readonly #options: SelfTestOptions;
  #run: Run | undefined;
  /** That of the last run: the next one begins after it. */
  #cleaned: Promise<void> = Promise.resolve();

  constructor(components: SelfTestComponents, options: SelfTestOptions) {
    this.#components = components;
    this.#options = options;
  }

  /** Begins what is commanded, if it was not before; ends what is commanded no more. */
  obey(command: SelfTestCommand | undefined): void {
    if (command?.id === this.#run?.id) return;
    this.#end();
    if (command === undefined) return;
    const run = new Run(this.#components, this.#options, command);
    this.#run = run;
    run.start(this.#cleaned);
  }

  /** What came of the test that is commanded, once it is done. */
  report(): SelfTestReport | undefined {
    const { id, checks } = this.#run ?? {};
    return id === undefined || checks === undefined ? undefined : { id, checks: [...checks] };
  }

  /** Ends what goes on, and leaves nothing of it. */
  async close(): Promise<void> {
    this.#end();
    await this.#cleaned;
  }

  #end(): void {
    const run = this.#run;
    this.#run = undefined;
    if (run !== undefined) this.#cleaned = run.end();
  }
}

class Run {
  readonly id: string;
  /** Once all are done. */
  checks: readonly SelfTestCheck[] | undefined;
  readonly #components: SelfTestComponents;
  readonly #options: SelfTestOptions;
  readonly #command: SelfTestCommand;
  readonly #transfer: TestTransfer;
  readonly #over = new AbortController();
  #running: Promise<void> = Promise.resolve();

  constructor(components: SelfTestComponents, options: SelfTestOptions, command: SelfTestCommand) {
    this.id = command.id;
    this.#components = components;
    this.#options = options;
    this.#command = command;
    this.#transfer = new TestTransfer(components, {
      id: command.id,
      self: options.self,
      directory: `${this.#directory}/transfer`,
    });
  }

  start(before: Promise<void>): void {
    this.#running = before
      .then(() => this.#perform())
      // Only what is wanted no more rejects.
      .catch(() => undefined);
  }

  async end(): Promise<void> {
    this.#over.abort(new TrialFailure('The test is wanted no more.'));
    await this.#running;
    // A disk that does not let go of it keeps some kilobytes, until the next test.
    await this.#transfer.close().catch(() => undefined);
    await this.#components.host.files.remove(this.#root).catch(() => undefined);
  }

  /** Of all tests: there is one at a time. */
  get #root(): string {
    return `${this.#options.dataDirectory}/self-test`;
  }

  get #directory(): string {
    return `${this.#root}/${this.#command.id}`;
  }

  async #perform(): Promise<void> {
    // Whatever is there is of tests that did not end well.
    const cleared = this.#components.host.files.remove(this.#root);
    const seeding = this.#seed(cleared);
    const disk = this.#check('disk', async (trial) => {
      trial.awaits('what an earlier test has left to be removed');
      await trial.unlessOver(cleared);
      return checkDisk(this.#components.host, `${this.#directory}/disk`, trial);
    });
    const checks = await Promise.all([
      this.#check('ring', (trial) => this.#ring(trial)),
      this.#check('dht', (trial) => this.#dht(trial)),
      disk.then(({ outcome }) =>
        this.#check('transfer', (trial) => this.#fetch(seeding, outcome === 'passed', trial)),
      ),
      disk,
      this.#check('clock', (trial) => checkClock(this.#components.host, this.#options.controlTime, trial)),
    ]);
    if (this.#over.signal.aborted) return;
    this.checks = checks;
    this.#options.onDone();
  }

  /** Gives why it could not. */
  async #seed(cleared: Promise<void>): Promise<unknown> {
    try {
      await cleared;
      await this.#transfer.seed();
      return undefined;
    } catch (error) {
      return error;
    }
  }

  #ring(trial: Trial): Promise<string> {
    const { host, node, ring } = this.#components;
    if (ring !== undefined) return checkRing(host, ring, trial);
    return checkBootstraps(host, node.dht!, this.#options.bootstraps(), trial);
  }

  async #dht(trial: Trial): Promise<string> {
    const { host, node } = this.#components;
    this.#requirePartner();
    const label = `${this.id}/${formatMachineId(this.#options.self)}`;
    const infoHash = host.compute.hash('sha1', new TextEncoder().encode(label));
    return checkDht(node.dht!, { infoHash, listen: node.listen }, trial);
  }

  async #fetch(seeding: Promise<unknown>, hasDisk: boolean, trial: Trial): Promise<string> {
    const partner = this.#requirePartner();
    if (!hasDisk) throw new TrialSkipped('Nothing can be stored here: see the disk.');
    trial.awaits('its own torrent to be there');
    const failure = await trial.unlessOver(seeding);
    if (failure !== undefined) throw failure;
    return this.#transfer.fetch(partner, trial);
  }

  #requirePartner(): NonNullable<SelfTestCommand['partner']> {
    const { partner } = this.#command;
    if (partner === undefined) throw new TrialSkipped('No other node is tested.');
    return partner;
  }

  async #check(name: SelfTestCheck['name'], work: (trial: Trial) => Promise<string>): Promise<SelfTestCheck> {
    const { clock } = this.#components.host;
    const sinceMs = clock.now();
    const { outcome, detail } = await tryWithin(clock, limitsMs[name], this.#over.signal, work).then(
      (measured) => ({ outcome: 'passed' as const, detail: measured }),
      (error: unknown) => ({
        outcome: error instanceof TrialSkipped ? ('skipped' as const) : ('failed' as const),
        detail: error instanceof Error ? error.message : String(error),
      }),
    );
    return {
      name,
      outcome,
      detail: detail.slice(0, longestDetail),
      tookMs: Math.round(clock.now() - sinceMs),
    };
  }
}
