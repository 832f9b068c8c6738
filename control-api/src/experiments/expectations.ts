/**
 * What a scenario expects, each as a small object that says, of what has been seen so far, whether it holds.
 * `undecided` may become either; what is decided stays so.
 */
import type { ExpectationOutcome, Expectations, RunnerName, Verdict } from '@skep/contract';
import { sayTime } from '@skep/contract';
import type { Spread } from './downloads.ts';
import type { HealingWatch } from './healing-watch.ts';

/** Everything that expectations are judged by. */
export interface Seen {
  readonly nowMs: number;
  /** Whether everything of the timeline has been done. */
  readonly timelineDone: boolean;
  readonly spreads: readonly Spread[];
  readonly healing: HealingWatch;
  /** What the cluster lacks just now, in words. */
  readonly lacking: string | undefined;
  readonly violations: readonly { readonly invariant: string; readonly detail: string }[];
}

export interface Finding {
  readonly outcome: 'passed' | 'failed' | 'not-judged' | 'undecided';
  readonly detail: string;
}

export interface Expectation {
  readonly name: ExpectationOutcome['expectation'];
  look(seen: Seen): Finding;
}

/** The expectations of a scenario, in a fixed order. The simulator judges the invariants always. */
export function expectationsOf(expect: Expectations, runner: RunnerName): Expectation[] {
  const list: Expectation[] = [];
  if (expect.downloads !== undefined) list.push(downloadsComplete(expect.downloads));
  if (expect.healed !== undefined) list.push(clusterHealed(expect.healed));
  if (expect.lastFinisher !== undefined) list.push(lastFinisherNearBound(expect.lastFinisher));
  if (runner === 'sim') list.push(invariantsHold());
  else if (expect.invariants) list.push(notJudged('invariants', 'only the simulator sees all of the world'));
  return list;
}

/** What is undecided at the end of a run has not come in time. */
export function outcomeOf(expectation: Expectation, seen: Seen): ExpectationOutcome {
  const { outcome, detail } = expectation.look(seen);
  return { expectation: expectation.name, outcome: outcome === 'undecided' ? 'failed' : outcome, detail };
}

export function verdictOf(outcomes: readonly ExpectationOutcome[]): Verdict {
  if (outcomes.some(({ outcome }) => outcome === 'failed')) return 'failed';
  // Where nothing was judged, nothing is known.
  return outcomes.some(({ outcome }) => outcome === 'passed') ? 'passed' : 'broken';
}

function downloadsComplete({ withinMs, share }: { withinMs: number; share: number }): Expectation {
  return {
    name: 'downloads',
    look({ nowMs, timelineDone, spreads }) {
      let [inTime, pending, wrong, leeches] = [0, 0, 0, 0];
      let failed = false;
      for (const spread of spreads) {
        let [good, open] = [0, 0];
        for (const { sinceMs, finished, wrong: isWrong } of spread.leeches) {
          if (isWrong) wrong += 1;
          if (finished !== undefined && finished.tookMs <= withinMs) good += 1;
          else if (finished === undefined && !isWrong && nowMs <= sinceMs + withinMs) open += 1;
        }
        const count = spread.leeches.length;
        const needed = Math.ceil(share * count);
        if (good + open < needed) failed = true;
        inTime += good;
        pending += open;
        leeches += count;
      }
      const detail = `${inTime} of ${leeches} downloads complete within ${sayTime(withinMs)}${
        wrong > 0 ? `; ${wrong} have another SHA-256 than the original` : ''
      }${share < 1 ? `; ${Math.round(share * 100)} % are enough` : ''}`;
      if (failed || wrong > 0) return { outcome: 'failed', detail };
      // Peers that are still to come change what is asked.
      if (!timelineDone || spreads.length === 0 || pending > 0) return { outcome: 'undecided', detail };
      return { outcome: leeches > 0 ? 'passed' : 'failed', detail };
    },
  };
}

function clusterHealed({ withinMs }: { withinMs: number }): Expectation {
  return {
    name: 'healed',
    look({ nowMs, timelineDone, healing, lacking }) {
      const within = `within ${sayTime(withinMs)} of the last fault's end`;
      if (!timelineDone || healing.lastEndMs === undefined) {
        return { outcome: 'undecided', detail: 'the faults are not over' };
      }
      const afterMs = healing.healedAfterMs(nowMs);
      if (afterMs !== undefined) {
        return {
          outcome: afterMs <= withinMs ? 'passed' : 'failed',
          detail: `whole again after ${(afterMs / 1_000).toFixed(1)} s, expected ${within}`,
        };
      }
      const detail = `not whole ${within}: ${lacking ?? 'it did not last'}`;
      const lateMs = healing.lastEndMs + withinMs + healing.settleMs;
      return { outcome: nowMs > lateMs ? 'failed' : 'undecided', detail };
    },
  };
}

function lastFinisherNearBound({ timesBound }: { timesBound: number }): Expectation {
  return {
    name: 'lastFinisher',
    look({ timelineDone, spreads }) {
      const open = spreads.filter((spread) => !spread.isComplete);
      if (!timelineDone || spreads.length === 0 || open.length > 0) {
        return { outcome: 'undecided', detail: 'not all downloads are complete' };
      }
      const ratios = spreads.map((spread) => {
        const { lastMs = 0, boundMs } = spread.summary();
        return boundMs === undefined ? undefined : lastMs / boundMs;
      });
      const known = ratios.filter((ratio) => ratio !== undefined);
      if (known.length === 0)
        return { outcome: 'not-judged', detail: 'the links have no limits, so there is no bound' };
      const worst = Math.max(...known);
      return {
        outcome: worst <= timesBound ? 'passed' : 'failed',
        detail: `the last finished after ${worst.toFixed(2)} times the bound, at most ${timesBound} expected`,
      };
    },
  };
}

function invariantsHold(): Expectation {
  return {
    name: 'invariants',
    look({ violations }) {
      const [first] = violations;
      return first === undefined
        ? { outcome: 'passed', detail: 'no rule of the design was broken' }
        : { outcome: 'failed', detail: `${first.invariant}: ${first.detail}` };
    },
  };
}

function notJudged(name: Expectation['name'], detail: string): Expectation {
  return { name, look: () => ({ outcome: 'not-judged', detail }) };
}
