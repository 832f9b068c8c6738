/** The YAML file that says what a cluster should be, read and checked; flags may override its fields. */
import { ClusterSpec } from '@skep/contract';
import type { Host } from '@skep/p2p-core/host';
import * as yaml from 'yaml';
import { exitCodes } from './exit-codes.ts';
import { CliError } from './failure.ts';

export const defaultClusterName = 'skep';
const mostSpecBytes = 1_000_000;

/**
 * The spec in the file, or the default one without a file, with the defined ones of `overrides` in place. Rejects with
 * CliError `bad-spec` that names the field, and with HostError if the file cannot be read.
 */
export async function readSpec(
  host: Host,
  path: string | undefined,
  overrides: Partial<ClusterSpec>,
): Promise<ClusterSpec> {
  const fromFile = path === undefined ? {} : parseSpec(path, await host.files.read(path, mostSpecBytes));
  const given = Object.entries(overrides).filter(([, value]) => value !== undefined);
  const spec = ClusterSpec.safeParse({ name: defaultClusterName, ...fromFile, ...Object.fromEntries(given) });
  if (spec.success) return spec.data;
  const [issue] = spec.error.issues;
  const place = issue?.path.join('.');
  throw new CliError(
    'bad-spec',
    exitCodes.usage,
    `The spec of the cluster is wrong${place ? ` at ${place}` : ''}: ${issue?.message ?? 'unknown'}.`,
  );
}

function parseSpec(path: string, bytes: Uint8Array): object {
  let value: unknown;
  try {
    // Few aliases: a small file must not unfold to a huge one.
    value = yaml.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes), { maxAliasCount: 20 });
  } catch (error) {
    const [reason] = String(error instanceof Error ? error.message : error).split('\n');
    throw new CliError('bad-spec', exitCodes.usage, `${path} is not YAML: ${reason}`);
  }
  if (value === null || value === undefined) return {};
  if (typeof value === 'object' && !Array.isArray(value)) return value;
  throw new CliError('bad-spec', exitCodes.usage, `${path} does not hold the fields of a cluster spec.`);
}
