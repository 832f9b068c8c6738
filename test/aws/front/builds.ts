/**
 * Builds of CodeBuild that do their work: MiniStack's succeed at once, and do nothing. A build runs the given work with the
 * project's environment, is in progress meanwhile, and ends as the work does.
 * https://docs.aws.amazon.com/codebuild/latest/APIReference/API_Build.html
 */
import * as z from 'zod';

/** Environment of a build, by name. */
export type BuildEnvironment = Readonly<Record<string, string>>;

const Variables = z
  .object({ environmentVariables: z.array(z.object({ name: z.string(), value: z.string() })).default([]) })
  .default({ environmentVariables: [] });
const Build = z.looseObject({ id: z.string(), environment: Variables });
const Started = z.looseObject({ build: Build });
const Got = z.looseObject({ builds: z.array(Build).default([]) });
const Asked = z.looseObject({
  environmentVariablesOverride: z.array(z.object({ name: z.string(), value: z.string() })).default([]),
});

type Outcome = 'IN_PROGRESS' | 'SUCCEEDED' | 'FAILED';

export interface BuildsOptions {
  readonly onTrouble: (sentence: string) => void;
}

export class Builds {
  readonly #work: (environment: BuildEnvironment) => Promise<void>;
  readonly #onTrouble: (sentence: string) => void;
  readonly #outcomes = new Map<string, Outcome>();

  constructor(
    { work }: { work: (environment: BuildEnvironment) => Promise<void> },
    { onTrouble }: BuildsOptions,
  ) {
    this.#work = work;
    this.#onTrouble = onTrouble;
  }

  /** Begins the work of a build that MiniStack has made a record of. What it answers is made true. */
  started(request: unknown, answer: unknown): unknown {
    const { build, ...rest } = Started.parse(answer);
    const { environmentVariablesOverride } = Asked.parse(request);
    const variables = [...build.environment.environmentVariables, ...environmentVariablesOverride];
    const environment = Object.fromEntries(variables.map(({ name, value }) => [name, value]));
    this.#outcomes.set(build.id, 'IN_PROGRESS');
    this.#work(environment).then(
      () => this.#outcomes.set(build.id, 'SUCCEEDED'),
      (error: Error) => {
        this.#outcomes.set(build.id, 'FAILED');
        this.#onTrouble(`the build ${build.id} failed: ${error.message}`);
      },
    );
    return { ...rest, build: this.#asItIs(build) };
  }

  /** What BatchGetBuilds answers, made true. */
  got(answer: unknown): unknown {
    const { builds, ...rest } = Got.parse(answer);
    return { ...rest, builds: builds.map((build) => this.#asItIs(build)) };
  }

  #asItIs(build: z.infer<typeof Build>) {
    const buildStatus = this.#outcomes.get(build.id);
    if (buildStatus === undefined) return build;
    const isOver = buildStatus !== 'IN_PROGRESS';
    const { endTime, ...begun } = build;
    return {
      ...(isOver ? { ...begun, endTime } : begun),
      buildStatus,
      buildComplete: isOver,
      currentPhase: isOver ? 'COMPLETED' : 'BUILD',
      phases: [],
    };
  }
}
