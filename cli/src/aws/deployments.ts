/**
 * The deployments that this user made, remembered in the state directory so that later commands need only the
 * stack's name. Nothing secret is in them; what AWS says of a stack counts more than what is remembered.
 */
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import * as z from 'zod';
import { writePrivately } from '../daemon/daemon.ts';

const Deployment = z.object({
  stack: z.string(),
  region: z.string(),
  profile: z.string().optional(),
  expiresAt: z.iso.datetime(),
});
export type Deployment = z.infer<typeof Deployment>;

export function rememberDeployment(stateDirectory: string, deployment: Deployment): void {
  mkdirSync(folder(stateDirectory), { recursive: true, mode: 0o700 });
  writePrivately(file(stateDirectory, deployment.stack), JSON.stringify(deployment));
}

/** Undefined if none was made here by that name. */
export function recallDeployment(stateDirectory: string, stack: string): Deployment | undefined {
  try {
    return Deployment.parse(JSON.parse(readFileSync(file(stateDirectory, stack), 'utf8')));
  } catch {
    return undefined;
  }
}

export function forgetDeployment(stateDirectory: string, stack: string): void {
  rmSync(file(stateDirectory, stack), { force: true });
}

const folder = (stateDirectory: string): string => join(stateDirectory, 'deployments');
const file = (stateDirectory: string, stack: string): string => join(folder(stateDirectory), `${stack}.json`);
