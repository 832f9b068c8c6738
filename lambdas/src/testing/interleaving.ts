/**
 * Runs actors in every order: whatever an actor asks of the world waits at a gate, and the schedule says whose gate opens
 * next. All schedules are tried, depth first, by running the world anew for each; or some, drawn by a seed.
 */
import type { Clock } from '@skep/p2p-core/host';

export interface Gates {
  /** Resolves when the schedule lets this step happen. `tag` tells steps apart that schedules treat apart. */
  pass(tag: string): Promise<void>;
  /** One of `count` courses that the world can take here, from 0. */
  choose(count: number): number;
  readonly clock: Clock;
}

export interface Schedule {
  /** Names it in a failure, so that it can be run again. */
  readonly name: string;
  /** What is chosen where, as the `index`-th choice, there are `count` courses. */
  readonly choose: (index: number, count: number) => number;
}

/** What was met on the way: of each choice, how many there were. */
export interface Met {
  readonly counts: readonly number[];
}

interface Waiting {
  readonly tag: string;
  readonly open: () => void;
}

interface Due {
  readonly atMs: number;
  readonly callback: () => void;
}

const wallOriginMs = 1_800_000_000_000;
/** Longer than any call that was allowed, and the margin after it. */
const jumpMs = 60_000;
const mostSteps = 2_000;

export class InterleavedWorld implements Gates {
  readonly #schedule: Schedule;
  readonly #counts: number[] = [];
  readonly #waiting: Waiting[] = [];
  readonly #timers = new Set<Due>();
  #jumpsLeft: number;
  #nowMs = 0;

  readonly clock: Clock = {
    now: () => this.#nowMs,
    wallTime: () => wallOriginMs + this.#nowMs,
    setTimer: (delayMs, callback) => {
      const due = { atMs: this.#nowMs + Math.max(0, delayMs), callback };
      this.#timers.add(due);
      return { cancel: () => this.#timers.delete(due) };
    },
  };

  /** Time may pass by `jumps` leaps while somebody waits at a gate; else it passes only while nobody does. */
  constructor(schedule: Schedule, { jumps }: { jumps: number }) {
    this.#schedule = schedule;
    this.#jumpsLeft = jumps;
  }

  pass(tag: string): Promise<void> {
    return new Promise((open) => this.#waiting.push({ tag, open }));
  }

  choose(count: number): number {
    if (count === 1) return 0;
    this.#counts.push(count);
    return this.#schedule.choose(this.#counts.length - 1, count);
  }

  /** Lets all happen until the actors are done, and then all that is still due. */
  async run(actors: readonly Promise<unknown>[]): Promise<Met> {
    let isDone = false;
    const done = Promise.all(actors).finally(() => {
      isDone = true;
    });
    // Awaited when all that is due has happened.
    done.catch(() => undefined);
    for (let steps = 0; ; steps++) {
      await settle();
      if (isDone && this.#waiting.length === 0 && this.#timers.size === 0) break;
      if (steps > mostSteps) throw new Error('the actors do not come to an end');
      this.#step();
    }
    await done;
    return { counts: this.#counts };
  }

  #step(): void {
    // A call to EC2 is bounded in time; whoever else is slow may be as slow as can be.
    const mayJump =
      this.#jumpsLeft > 0 && this.#waiting.length > 0 && !this.#waiting.some(({ tag }) => tag === 'run');
    const chosen = this.#waiting.length === 0 ? 0 : this.choose(this.#waiting.length + (mayJump ? 1 : 0));
    if (chosen < this.#waiting.length) {
      this.#waiting.splice(chosen, 1)[0]!.open();
      return;
    }
    if (this.#waiting.length === 0) {
      this.#fire();
      return;
    }
    this.#jumpsLeft -= 1;
    const untilMs = this.#nowMs + jumpMs;
    while ([...this.#timers].some(({ atMs }) => atMs <= untilMs)) this.#fire();
    this.#nowMs = untilMs;
  }

  #fire(): void {
    const [next] = [...this.#timers].sort((one, other) => one.atMs - other.atMs);
    if (next === undefined) throw new Error('the actors wait for nothing');
    this.#timers.delete(next);
    this.#nowMs = Math.max(this.#nowMs, next.atMs);
    next.callback();
  }
}

/** Every schedule of a world that is made anew for each. Resolves with how many there were. */
export async function exploreAll(run: (schedule: Schedule) => Promise<Met>): Promise<number> {
  let choices: number[] = [];
  for (let runs = 1; ; runs++) {
    const tried = choices;
    const { counts } = await run(replay(tried));
    const taken = counts.map((_, index) => tried[index] ?? 0);
    const last = counts.findLastIndex((count, index) => taken[index]! + 1 < count);
    if (last < 0) return runs;
    choices = [...taken.slice(0, last), taken[last]! + 1];
  }
}

/** These choices, and after them the first of each. */
export function replay(choices: readonly number[]): Schedule {
  return { name: JSON.stringify(choices), choose: (index) => choices[index] ?? 0 };
}

/** Choices drawn by a seed. */
export function drawn(seed: number): Schedule {
  let state = seed;
  return {
    name: `seed ${seed}`,
    choose: (_, count) => {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
      return Math.floor((state / 2 ** 32) * count);
    },
  };
}

function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
