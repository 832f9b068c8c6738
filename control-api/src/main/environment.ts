/** What the environment of the process says, read with errors that say what it should. */
import { mkdirSync } from 'node:fs';
import { resolve } from 'node:path';
import { type Address, parseAddress } from '@skep/p2p-core/host';
import type * as z from 'zod';

export type Environment = Readonly<Record<string, string | undefined>>;

/** Throws a sentence that names the variable. */
export function required(env: Environment, name: string): string {
  const value = env[name];
  if (value === undefined || value === '') throw new Error(`the environment variable ${name} must be set`);
  return value;
}

/** An address as in 127.0.0.1:7700; `missing` if the variable is not set. */
export function addressIn(env: Environment, name: string, missing: Address): Address {
  const text = env[name];
  if (text === undefined) return missing;
  const address = parseAddress(text);
  if (address === undefined)
    throw new Error(`${name} is no address: ${text}; give for instance 127.0.0.1:7700`);
  return address;
}

/** JSON of the schema's form. */
export function jsonIn<T extends z.ZodType>(env: Environment, name: string, schema: T): z.output<T> {
  const text = required(env, name);
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    throw new Error(`${name} is no JSON`);
  }
  const parsed = schema.safeParse(json);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new Error(
    `${name} is not as it should be, at ${issue?.path.join('.') || 'its top'}: ${issue?.message}`,
  );
}

/** SKEP_STATE_DIRECTORY, made if it is missing, for this user only. */
export function stateDirectoryIn(env: Environment): string {
  const directory = resolve(required(env, 'SKEP_STATE_DIRECTORY'));
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  return directory;
}
