/** `npm run soak -- chaos`: rounds of one kind of fault on real processes, and how long each step of healing took. */
import { parseArgs } from 'node:util';
import { describePhases, type Phases } from '../../bench/healing/processes.ts';
import { seededDice } from '../chaos/dice.ts';
import { ChaosRounds, type RoundKind, roundKinds } from '../chaos/rounds.ts';

interface Options {
  readonly rounds: number;
  readonly kinds: readonly RoundKind[];
  readonly seed: number;
}

/** Exit codes: 0 all is well, 1 something is wrong, 2 the options make no sense. */
export async function soakChaos(args: readonly string[]): Promise<number> {
  let options: Options;
  try {
    options = readOptions(args);
  } catch (error) {
    console.error(`${(error as Error).message}; see npm run soak -- --help`);
    return 2;
  }
  let wrong = 0;
  for (const kind of options.kinds) wrong += await playAll(kind, options);
  return wrong > 0 ? 1 : 0;
}

function readOptions(args: readonly string[]): Options {
  const { values } = parseArgs({
    args: [...args],
    options: {
      rounds: { type: 'string', default: '50' },
      kind: { type: 'string' },
      seed: { type: 'string', default: String(Math.floor(Math.random() * 2 ** 31)) },
    },
  });
  const all = Object.keys(roundKinds) as RoundKind[];
  const kinds = values.kind === undefined ? all : all.filter((kind) => kind === values.kind);
  if (kinds.length === 0) throw new Error(`--kind takes one of ${all.join(', ')}, not ${values.kind}`);
  const rounds = Number(values.rounds);
  const seed = Number(values.seed);
  if (!(Number.isInteger(rounds) && rounds >= 1 && Number.isInteger(seed)))
    throw new Error('--rounds takes a number from 1, --seed one');
  return { rounds, kinds, seed };
}

/** Gives how much was wrong. */
async function playAll(kind: RoundKind, { rounds, seed }: Options): Promise<number> {
  console.log(`\n# ${kind}: ${roundKinds[kind]}; ${rounds} rounds, seed ${seed}`);
  const phases: Phases[] = [];
  let wrong = 0;
  const tell = (round: number | string, what: string) => {
    wrong += 1;
    console.log(`  round ${round}: ${what}`);
  };
  const chaos = await ChaosRounds.start(kind, seededDice(seed));
  let round = 1;
  try {
    for (; round <= rounds; round++) {
      const played = await chaos.play();
      phases.push(...played.victims);
      for (const what of played.wrong) tell(round, what);
    }
  } catch (error) {
    tell(round, error instanceof Error ? error.message : String(error));
  }
  const { processes, files } = await chaos.end();
  if (processes.length > 0) tell('end', `${processes.map(({ slot }) => slot).join(', ')} still lived`);
  if (files.length > 0) tell('end', `${files.join(', ')} left`);
  if (phases.length > 0) console.log(describePhases(phases));
  console.log(`  ${round - 1} rounds played, ${wrong === 0 ? 'nothing' : wrong} wrong`);
  return wrong;
}
