/**
 * Runs one scenario against a control API: stands its cluster up, spreads its content, does its timeline, looks
 * at every node at an interval, judges what is expected, and takes everything down. The same on every runner:
 * all that differs is behind the API, the clock and the ContentPort.
 */
import {
  type ApiClient,
  bundleFormat,
  type ClusterView,
  type ContentPlan,
  type Fault,
  type RunEvent,
  type RunnerName,
  type RunRecord,
  type RunSample,
  type ScenarioPlan,
  type TimelineEntry,
} from '@skep/contract';
import { type Clock, type Compute, sleep } from '@skep/p2p-core/host';
import { minimumDistributionMs, slotRates } from './bound.ts';
import type { ContentPort } from './content.ts';
import { Spread } from './downloads.ts';
import { type Expectation, expectationsOf, outcomeOf, type Seen, verdictOf } from './expectations.ts';
import { HealingWatch } from './healing-watch.ts';
import { samplesOf } from './samples.ts';
import { drawBySeed, leaderSlot, needsLeader, resolveFault } from './selectors.ts';
import { BrokenRun, Subject, sentenceOf } from './subject.ts';

export interface Violation {
  readonly invariant: string;
  readonly atMs: number;
  readonly detail: string;
}

export interface ExperimentComponents {
  readonly api: ApiClient;
  readonly clock: Clock;
  readonly compute: Pick<Compute, 'hash'>;
  readonly content: ContentPort;
  readonly listener: ExperimentListener;
  /** Rules of the design that were broken so far, where the runner sees all of the world. */
  readonly violations?: () => readonly Violation[];
  /** Told of each fault just before it is injected. */
  readonly onFault?: (fault: Fault) => void;
}

export interface ExperimentOptions {
  readonly seed: string;
  readonly runner: RunnerName;
  readonly version: string;
  /** Name of the cluster, which must not exist. */
  readonly cluster: string;
  /** Machines remove their data when they end. */
  readonly ephemeral: boolean;
  /** Ends the run early, and rejects it with the signal's reason. Nothing is taken down then. */
  readonly signal: AbortSignal;
}

/** Where the run stands: what a progress display shows. */
export interface ExperimentProgress {
  readonly phase: 'starting' | 'running' | 'ending';
  /** Since the cluster served; since the beginning, as long as it does not. */
  readonly atMs: number;
  readonly nodes: number;
  readonly serving: number;
  readonly spreads: readonly {
    readonly content: string;
    readonly leeches: number;
    readonly complete: number;
    /** Of all leeches together, 0 to 1. */
    readonly fraction: number;
  }[];
}

/** Called in the order of the times; must neither throw nor take long. */
export interface ExperimentListener {
  onEvent(event: RunEvent): void;
  onSample(sample: RunSample): void;
  onProgress(progress: ExperimentProgress): void;
}

/** How long a cluster may take until all of it serves and somebody leads. */
const startupMs = 300_000;
const startupLookMs = 200;
/** How long the control API may fail to answer while the run goes on. */
const blindMs = 60_000;
/** How long a fault of the leader waits for there being one. */
const leaderlessMs = 60_000;

/** Rejects only with the signal's reason: whatever else goes wrong makes the run a broken one. */
export async function runExperiment(
  plan: ScenarioPlan,
  components: ExperimentComponents,
  options: ExperimentOptions,
): Promise<RunRecord> {
  return new Experiment(plan, components, options).run();
}

interface Action {
  readonly atMs: number;
  readonly act: () => Promise<void>;
}

class Experiment {
  readonly #plan: ScenarioPlan;
  readonly #parts: ExperimentComponents;
  readonly #options: ExperimentOptions;
  readonly #subject: Subject;
  readonly #expectations: readonly Expectation[];
  readonly #healing: HealingWatch;
  readonly #spreads: Spread[] = [];
  readonly #startedAtMs: number;
  #view: ClusterView | undefined;
  #seenAtMs: number;
  /** When the cluster served: the zero of the run's times, by the clock and by the wall. */
  #zeroMs: number | undefined;
  #zeroWallMs = 0;
  #endedAtMs: number | undefined;
  #actionsLeft = 0;
  #redeployments = 0;

  constructor(plan: ScenarioPlan, components: ExperimentComponents, options: ExperimentOptions) {
    const { clock, api } = components;
    this.#plan = plan;
    this.#parts = components;
    this.#options = options;
    this.#subject = new Subject({ api, clock, signal: options.signal }, options.cluster);
    this.#expectations = expectationsOf(plan.expect, options.runner);
    this.#healing = new HealingWatch(plan.cluster);
    this.#startedAtMs = clock.now();
    this.#seenAtMs = this.#startedAtMs;
  }

  async run(): Promise<RunRecord> {
    const { signal } = this.#options;
    let problem: string | undefined;
    let seen: Seen | undefined;
    try {
      await this.#start();
      await this.#proceed();
      this.#endedAtMs = this.#now();
      seen = this.#seen();
      await this.#end();
    } catch (error) {
      signal.throwIfAborted();
      problem = error instanceof BrokenRun ? error.message : `The run itself failed: ${sentenceOf(error)}`;
    }
    return this.#record(seen, problem);
  }

  // ---- the phases

  async #start(): Promise<void> {
    const { cluster, network } = this.#plan;
    const { clock } = this.#parts;
    const spec = {
      ...cluster,
      ephemeral: this.#options.ephemeral,
      ...(network === undefined ? {} : { network }),
    };
    await this.#subject.create(spec);
    for (;;) {
      await this.#look();
      const lacking = this.#view === undefined ? 'the control API does not answer' : notServing(this.#view);
      this.#tellProgress('starting');
      if (lacking === undefined) break;
      if (clock.now() - this.#startedAtMs > startupMs) {
        throw new BrokenRun(`The cluster did not come up: ${lacking} after ${startupMs / 1_000} s.`);
      }
      await this.#sleep(startupLookMs);
    }
    this.#zeroMs = clock.now();
    this.#zeroWallMs = clock.wallTime();
    await this.#readEvents();
    this.#tell('cluster-serves', { nodes: this.#view!.nodes.length });
  }

  /** Until everything is done and decided, or the time is up. */
  async #proceed(): Promise<void> {
    const { forMs, limitMs, sampleIntervalMs } = this.#plan;
    const actions = this.#actions();
    this.#actionsLeft = actions.length;
    let nextSampleMs = 0;
    for (;;) {
      while (actions[0] !== undefined && actions[0].atMs <= this.#now()) {
        await actions.shift()!.act();
        this.#actionsLeft = actions.length;
      }
      if (this.#now() >= nextSampleMs) {
        await this.#look();
        await this.#readEvents();
        this.#takeSamples();
        this.#tellProgress('running');
        // Looks that took long are not made up for.
        nextSampleMs = Math.max(nextSampleMs + sampleIntervalMs, this.#now());
        if (this.#now() >= limitMs) return;
        if (this.#now() >= forMs && actions.length === 0 && this.#isDecided()) return;
      }
      const nextMs = Math.min(nextSampleMs, actions[0]?.atMs ?? Infinity);
      // Whole milliseconds: what is left of a sum of fractions may be too little to move the clock.
      await this.#sleep(Math.max(1, Math.ceil(nextMs - this.#now())));
    }
  }

  async #end(): Promise<void> {
    this.#tellProgress('ending');
    await this.#readEvents();
    await this.#subject.remove();
  }

  // ---- what is done

  #actions(): Action[] {
    const { content, timeline } = this.#plan;
    const onTimeline = new Set(timeline.map(({ addContent }) => addContent));
    const actions: Action[] = content
      .filter(({ name }) => !onTimeline.has(name))
      .map((plan) => ({ atMs: plan.atMs, act: () => this.#addContent(plan) }));
    for (const [index, entry] of timeline.entries()) {
      actions.push({ atMs: entry.atMs, act: () => this.#doEntry(entry, index) });
    }
    // Sorting is stable: what is due at one time happens in the order of the file.
    return actions.sort((one, other) => one.atMs - other.atMs);
  }

  async #doEntry({ fault, addPeers, addContent }: TimelineEntry, index: number): Promise<void> {
    if (addContent !== undefined)
      await this.#addContent(this.#plan.content.find(({ name }) => name === addContent)!);
    if (addPeers !== undefined) {
      const peers = this.#view!.nodes.filter(({ role }) => role === 'peer').length;
      this.#tell('peers-added', { count: addPeers });
      await this.#subject.addPeersUpTo(peers + addPeers);
      await this.#look();
    }
    if (fault !== undefined) await this.#injectFault(fault, index);
  }

  async #addContent(plan: ContentPlan): Promise<void> {
    const peers = this.#view!.nodes.filter(({ role }) => role === 'peer').map(({ slot }) => slot);
    const seeds = typeof plan.seeds === 'number' ? peers.slice(0, plan.seeds) : plan.seeds;
    const others = peers.filter((slot) => !seeds.includes(slot));
    const leeches = typeof plan.leeches === 'number' ? others.slice(0, plan.leeches) : plan.leeches;
    const content = await this.#parts.content.make(plan, seeds);
    const addedAtMs = this.#now();
    await this.#subject.addTorrent(content, seeds, leeches);
    const rates = (slot: string) => slotRates(slot, this.#plan);
    const boundMs = minimumDistributionMs(content.lengthBytes, {
      seedUpBytesPerSecond: seeds.reduce((sum, slot) => sum + rates(slot).upBytesPerSecond, 0),
      leeches: (leeches === 'all' ? others : leeches).map(rates),
    });
    const spread = new Spread({ plan, content, seeds, leeches, addedAtMs, boundMs });
    spread.observe(this.#view!.nodes, addedAtMs);
    this.#spreads.push(spread);
    const { infoHash, lengthBytes } = content;
    this.#tell(
      'content-added',
      { content: plan.name, infoHash, lengthBytes, seeds: seeds.join(' ') },
      addedAtMs,
    );
  }

  async #injectFault(plan: NonNullable<TimelineEntry['fault']>, index: number): Promise<void> {
    await this.#look();
    const giveUpAtMs = this.#now() + leaderlessMs;
    while (needsLeader(plan) && leaderSlot(this.#view!) === undefined) {
      if (this.#now() > giveUpAtMs)
        throw new BrokenRun('Nobody led for a minute, so no fault could be done to the leader.');
      await this.#sleep(startupLookMs);
      await this.#look();
    }
    const { compute } = this.#parts;
    const fault = resolveFault(
      plan,
      this.#view!,
      drawBySeed(compute, this.#options.seed),
      `timeline/${index}`,
    );
    this.#healing.injected(fault, this.#view!.nodes, this.#now());
    this.#tell('fault', factsOf(fault));
    this.#parts.onFault?.(fault);
    await this.#subject.inject(fault);
  }

  // ---- what is seen

  async #look(): Promise<void> {
    const view = await this.#subject.look();
    const nowMs = this.#parts.clock.now();
    if (view === undefined) {
      if (nowMs - this.#seenAtMs > blindMs) {
        throw new BrokenRun(`The control API did not answer for ${blindMs / 1_000} s.`);
      }
      return;
    }
    this.#view = view;
    this.#seenAtMs = nowMs;
    if (this.#zeroMs === undefined) return;
    const atMs = this.#now();
    for (const spread of this.#spreads) spread.observe(view.nodes, atMs);
    this.#healing.observe(view, atMs);
  }

  #takeSamples(): void {
    if (this.#view === undefined || this.#seenAtMs < this.#zeroMs!) return;
    const atMs = Math.round(this.#seenAtMs - this.#zeroMs!);
    for (const sample of samplesOf(this.#view.nodes, atMs)) this.#parts.listener.onSample(sample);
  }

  async #readEvents(): Promise<void> {
    for (const event of await this.#subject.newEvents()) {
      if (event.kind === 'redeployment-accepted') this.#redeployments += 1;
      const atMs = Math.round(event.atMs - this.#zeroWallMs);
      this.#parts.listener.onEvent({ ...event, atMs, source: 'cluster' });
    }
  }

  #seen(): Seen {
    return {
      nowMs: this.#now(),
      timelineDone: this.#actionsLeft === 0,
      spreads: this.#spreads,
      healing: this.#healing,
      lacking: this.#view === undefined ? 'it cannot be seen' : this.#healing.lacks(this.#view),
      violations: this.#parts.violations?.() ?? [],
    };
  }

  #isDecided(): boolean {
    const seen = this.#seen();
    return this.#expectations.every((expectation) => expectation.look(seen).outcome !== 'undecided');
  }

  #record(seen: Seen | undefined, problem: string | undefined): RunRecord {
    const { seed, runner, version } = this.#options;
    const expectations = seen === undefined ? [] : this.#expectations.map((each) => outcomeOf(each, seen));
    const lastEndMs = this.#healing.lastEndMs;
    const healedAfterMs = this.#healing.healedAfterMs(this.#endedAtMs ?? 0);
    return {
      format: bundleFormat,
      scenario: this.#plan.name,
      seed,
      runner,
      versions: { skep: version },
      verdict: problem === undefined ? verdictOf(expectations) : 'broken',
      ...(problem === undefined ? {} : { problem }),
      expectations,
      ...(this.#zeroMs === undefined ? {} : { startupMs: Math.round(this.#zeroMs - this.#startedAtMs) }),
      ...(this.#endedAtMs === undefined ? {} : { durationMs: Math.round(this.#endedAtMs) }),
      downloads: this.#spreads.map((spread) => spread.summary()),
      ...(lastEndMs === undefined
        ? {}
        : {
            healing: {
              faults: this.#healing.faults,
              lastFaultEndedMs: Math.round(lastEndMs),
              ...(healedAfterMs === undefined ? {} : { healedAfterMs: Math.round(healedAfterMs) }),
              redeployments: this.#redeployments,
            },
          }),
      violations: [...(this.#parts.violations?.() ?? [])],
    };
  }

  // ---- telling

  #tell(kind: string, data: RunEvent['data'], atMs = this.#now()): void {
    this.#parts.listener.onEvent({ atMs: Math.round(atMs), source: 'run', kind, data });
  }

  #tellProgress(phase: ExperimentProgress['phase']): void {
    const nodes = this.#view?.nodes ?? [];
    this.#parts.listener.onProgress({
      phase,
      atMs: this.#zeroMs === undefined ? this.#parts.clock.now() - this.#startedAtMs : this.#now(),
      nodes: nodes.length,
      serving: nodes.filter(({ state }) => state === 'serving').length,
      spreads: this.#spreads.map((spread) => spread.progress(nodes)),
    });
  }

  /** Milliseconds since the cluster served. */
  #now(): number {
    return this.#parts.clock.now() - this.#zeroMs!;
  }

  #sleep(ms: number): Promise<void> {
    return sleep(this.#parts.clock, ms, this.#options.signal);
  }
}

function notServing(view: ClusterView): string | undefined {
  const waiting = view.nodes.filter(({ state }) => state !== 'serving');
  if (waiting.length > 0) {
    const shown = waiting
      .slice(0, 5)
      .map(({ slot, state, reason }) => `${slot} is ${state}${reason === undefined ? '' : ` (${reason})`}`);
    return `${shown.join(', ')}${waiting.length > shown.length ? ` and ${waiting.length - shown.length} more` : ''}`;
  }
  return leaderSlot(view) === undefined ? 'nobody of the ring leads' : undefined;
}

/** A fault on one level, as events have it. */
function factsOf(fault: object): RunEvent['data'] {
  const facts = Object.entries(fault).map(([key, value]) => [
    key,
    Array.isArray(value) ? value.join(' ') : value,
  ]);
  return Object.fromEntries(facts);
}
