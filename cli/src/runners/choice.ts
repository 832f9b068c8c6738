/** Which runner the nodes of a cluster are to live in, as options say and as is remembered with the user's daemon. */
import { type Command, Option } from 'commander';
import * as z from 'zod';
import { version } from '../version.ts';

export const RunnerChoice = z.discriminatedUnion('name', [
  z.strictObject({ name: z.literal('process') }),
  z.strictObject({
    name: z.literal('docker'),
    image: z.string().min(1),
    /** Files and folders of this machine that the nodes may read. */
    content: z.array(z.string()),
  }),
]);
export type RunnerChoice = z.infer<typeof RunnerChoice>;

export interface RunnerFlags {
  readonly runner?: RunnerChoice['name'];
  readonly image?: string;
}

/** Adds the options that say where nodes run; on machines of this computer, or wherever `also` says. */
export function withRunnerOptions(command: Command, also: Readonly<Record<string, string>> = {}): Command {
  const kinds = ['a process', 'a Docker container', ...Object.values(also)];
  const what = `what each node is: ${kinds.slice(0, -1).join(', ')}, or ${kinds.at(-1)} (default: "process")`;
  return command
    .addOption(new Option('--runner <name>', what).choices(['process', 'docker', ...Object.keys(also)]))
    .option('--image <name>', `of containers (default: "skep:${version}")`);
}

export function runnerChoice(
  { runner = 'process', image }: RunnerFlags,
  content: readonly string[],
): RunnerChoice {
  if (runner === 'process') return { name: 'process' };
  return { name: 'docker', image: image ?? `skep:${version}`, content: [...content] };
}

/** What the control API is told of it. */
export function runnerEnvironment(choice: RunnerChoice): Record<string, string> {
  if (choice.name === 'process') return { SKEP_RUNNER: 'process' };
  return {
    SKEP_RUNNER: 'docker',
    SKEP_IMAGE: choice.image,
    SKEP_CONTENT: JSON.stringify(choice.content),
  };
}
