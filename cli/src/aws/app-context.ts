/**
 * What the CDK app is told (infra/lib/deployment-context.ts reads it): by the flags that the command has, and for all else
 * by `--context KEY=VALUE`, as `cdk deploy` takes it.
 */
import { InvalidArgumentError } from 'commander';
import { exitCodes } from '../exit-codes.ts';
import { CliError } from '../failure.ts';
import type { Architecture } from './deployment-size.ts';

export type AppContext = Readonly<Record<string, string>>;

/** Keys that are said otherwise: costs are reckoned, and a stack is found, by what is said there. */
const saidOtherwise: Readonly<Record<string, string>> = {
  spec: 'the argument SPEC',
  stack: '--stack',
  expiresAt: '--ttl',
  controlInstanceType: '--control-instance-type',
  bootstrap: 'the field bootstrap of the spec',
  index: 'the field index of the spec',
  peers: 'the field peers of the spec',
  zones: 'the field placement.zones of the spec',
  instanceTypes: 'the field placement.instanceTypes of the spec',
};

/** `KEY=VALUE`, given any number of times. */
export function parseContext(text: string, previous: AppContext = {}): AppContext {
  const [, key, value] = /^([a-zA-Z]\w{0,63})=(.+)$/s.exec(text) ?? [];
  if (key === undefined || value === undefined) {
    throw new InvalidArgumentError('Write it as KEY=VALUE, for instance spot=true.');
  }
  const where = saidOtherwise[key];
  if (where !== undefined) throw new InvalidArgumentError(`Say that by ${where}.`);
  return { ...previous, [key]: value };
}

/** What of the context changes the cost. Throws CliError for a value that the app would refuse. */
export function costlyContext(context: AppContext): {
  readonly architecture: Architecture;
  readonly loadBalancer: boolean;
  readonly hasCluster: boolean;
} {
  const { architecture = 'arm64', domain, cluster = 'true' } = context;
  if (architecture !== 'arm64' && architecture !== 'x86_64') {
    throw new CliError('usage', exitCodes.usage, 'The architecture is arm64 or x86_64.');
  }
  return { architecture, loadBalancer: domain !== undefined, hasCluster: cluster !== 'false' };
}
