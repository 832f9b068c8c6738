/** `npm run soak -- chaos`: rounds of one kind of fault on real processes, and how long each step of healing took. */
import { parseArgs } from 'node:util';
import { describePhases, type Phases, type PlayedKind, phasesTable } from '../../bench/healing/processes.ts';
import { seededDice } from '../chaos/dice.ts';
import { ChaosRounds, type RoundKind, roundKinds } from '../chaos/rounds.ts';
import { withOptions } from './options.ts';

interface Options {
  readonly rounds: number;
  readonly kinds: readonly RoundKind[];
  readonly seed: number;
  /** Clusters at once. */
  readonly jobs: number;
}

/** Exit codes: 0 all is well, 1 something is wrong, 2 the options make no sense. */
export async function soakChaos(args: readonly string[]): Promise<number> {
  return withOptions(() => readOptions(args), playKinds);
}

async function playKinds(options: Options): Promise<number> {
  let wrong = 0;
  const played: PlayedKind[] = [];
  for (const kind of options.kinds) {
    const { wrong: more, ...result } = await playAll(kind, options);
    wrong += more;
    played.push(result);
  }
  const table = phasesTable(played);
  console.log(
    `\nMilliseconds from the fault (of a zombie's end: from when it went on), p50; p95; p99\n\n${table}`,
  );
  return wrong > 0 ? 1 : 0;
}

function readOptions(args: readonly string[]): Options {
  const { values } = parseArgs({
    args: [...args],
    options: {
      rounds: { type: 'string', default: '50' },
      kind: { type: 'string' },
      jobs: { type: 'string', default: '1' },
      seed: { type: 'string', default: String(Math.floor(Math.random() * 2 ** 31)) },
    },
  });
  const all = Object.keys(roundKinds) as RoundKind[];
  const kinds = values.kind === undefined ? all : all.filter((kind) => kind === values.kind);
  if (kinds.length === 0) throw new Error(`--kind takes one of ${all.join(', ')}, not ${values.kind}`);
  const rounds = Number(values.rounds);
  const seed = Number(values.seed);
  const jobs = Number(values.jobs);
  if (!(isPositive(rounds) && isPositive(jobs) && Number.isInteger(seed)))
    throw new Error('--rounds and --jobs take a number from 1, --seed one');
  return { rounds, kinds, seed, jobs };
}

function isPositive(count: number): boolean {
  return Number.isInteger(count) && count >= 1;
}

async function playAll(
  kind: RoundKind,
  { rounds, seed, jobs }: Options,
): Promise<PlayedKind & { readonly wrong: number }> {
  console.log(`\n# ${kind}: ${roundKinds[kind]}; ${rounds} rounds, seed ${seed}`);
  const fromMs = performance.now();
  const phases: Phases[] = [];
  let wrong = 0;
  let begun = 0;
  let played = 0;
  const tell = (round: number | string, what: string) => {
    wrong += 1;
    console.log(`  round ${round}: ${what}`);
  };
  const playSome = async (job: number): Promise<void> => {
    const chaos = await ChaosRounds.start(kind, seededDice(seed + job));
    let round = 0;
    try {
      while (begun < rounds) {
        begun += 1;
        round = begun;
        const { victims, wrong: found } = await chaos.play();
        phases.push(...victims);
        played += 1;
        for (const what of found) tell(round, what);
      }
    } catch (error) {
      tell(round, error instanceof Error ? error.message : String(error));
    }
    const { processes, files } = await chaos.end();
    if (processes.length > 0) tell('end', `${processes.map(({ slot }) => slot).join(', ')} still lived`);
    if (files.length > 0) tell('end', `${files.join(', ')} left`);
  };
  const clusters = Array.from({ length: Math.min(jobs, rounds) }, (_, job) =>
    playSome(job).catch((error) => tell('start', error instanceof Error ? error.message : String(error))),
  );
  await Promise.all(clusters);
  if (phases.length > 0) console.log(describePhases(phases));
  const tookS = Math.round((performance.now() - fromMs) / 1_000);
  console.log(`  ${played} rounds played in ${tookS} s, ${wrong === 0 ? 'nothing' : wrong} wrong`);
  return { kind, rounds: played, phases, wrong };
}
