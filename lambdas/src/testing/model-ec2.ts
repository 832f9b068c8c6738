/**
 * A model of what EC2 promises, and of all that it does not: answers that get lost, calls that are carried out after
 * their caller gave up, refusals, lists that lag behind. Which of these happens is for the schedule to choose.
 */
import type { MachineToken } from '@skep/contract';
import type { Instance, InstanceRuns, Instances, RunOutcome, RunParameters } from '../ec2/instances.ts';
import type { Gates } from './interleaving.ts';

interface Made {
  readonly instanceId: string;
  readonly machine: MachineToken;
  readonly madeAtMs: number;
  terminated: boolean;
}

/** How long lists lag, and how long after its time-out a call is carried out: both within the agreement's margin. */
const lagMs = 15_000;
const lateMs = 10_000;

export type Course =
  | 'answered'
  | 'answer lost'
  | 'carried out late'
  | 'no capacity'
  | 'refused for the moment';

export class ModelEc2 implements InstanceRuns, Instances {
  readonly #gates: Gates;
  readonly #courses: readonly Course[];
  readonly #made = new Map<string, Made>();
  #calls = 0;

  constructor(gates: Gates, courses: readonly Course[]) {
    this.#gates = gates;
    this.#courses = courses;
  }

  /** Those that live, known to anybody or not. */
  living(): string[] {
    return [...this.#made.values()]
      .filter(({ terminated }) => !terminated)
      .map(({ instanceId }) => instanceId);
  }

  async run(parameters: RunParameters, timeoutMs: number): Promise<RunOutcome> {
    await this.#gates.pass('run');
    // Only of the first calls, so that schedules come to an end.
    const course = this.#calls < 2 ? this.#courses[this.#gates.choose(this.#courses.length)]! : 'answered';
    this.#calls += 1;
    if (course === 'no capacity') return { kind: 'no-capacity', message: 'InsufficientInstanceCapacity' };
    if (course === 'refused for the moment') return { kind: 'throttled', message: 'RequestLimitExceeded' };
    const timedOut = new Promise<RunOutcome>((resolve) => {
      this.#gates.clock.setTimer(timeoutMs, () => resolve({ kind: 'unknown', message: 'timed out' }));
    });
    if (course === 'carried out late') {
      this.#gates.clock.setTimer(timeoutMs + lateMs, () => void this.#make(parameters));
      return timedOut;
    }
    const outcome = this.#make(parameters);
    return course === 'answer lost' ? timedOut : outcome;
  }

  async find(machines: readonly Pick<MachineToken, 'token'>[]): Promise<readonly Instance[]> {
    await this.#gates.pass('find');
    return this.#listed().filter(({ machine }) => machines.some(({ token }) => token === machine!.token));
  }

  async list(): Promise<readonly Instance[]> {
    await this.#gates.pass('list');
    return this.#listed().filter(({ state }) => state !== 'terminated');
  }

  async terminate(instanceIds: readonly string[]): Promise<readonly string[]> {
    await this.#gates.pass('terminate');
    for (const made of this.#made.values()) {
      if (instanceIds.includes(made.instanceId)) made.terminated = true;
    }
    return [];
  }

  async consoleOutput(): Promise<string> {
    return '';
  }

  #make({ machine }: RunParameters): RunOutcome {
    const known = this.#made.get(machine.token);
    if (known?.terminated) return { kind: 'terminated', message: 'IdempotentInstanceTerminated' };
    const made = known ?? {
      instanceId: `i-${this.#made.size + 1}`,
      machine,
      madeAtMs: this.#gates.clock.now(),
      terminated: false,
    };
    this.#made.set(machine.token, made);
    return { kind: 'instance', instance: shown(made) };
  }

  #listed(): Instance[] {
    const nowMs = this.#gates.clock.now();
    return [...this.#made.values()].filter(({ madeAtMs }) => nowMs >= madeAtMs + lagMs).map(shown);
  }
}

function shown({ instanceId, machine, terminated }: Made): Instance {
  return { instanceId, machine, state: terminated ? 'terminated' : 'running' };
}
