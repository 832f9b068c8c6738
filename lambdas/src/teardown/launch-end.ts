/** Teardown's part of the agreement on one token: first no call is allowed any more, then it is proven that none will have made anything. */
import type { Clock } from '@skep/p2p-core/host';
import { type Instance, isTerminated } from '../ec2/instances.ts';
import { type Agreed, ended, isProvenGone, type LaunchAgreements } from '../launches/agreement.ts';

/** From now on no call for the token's instance is allowed. Idempotent. */
export async function endLaunch(agreements: LaunchAgreements, key: string): Promise<Agreed> {
  for (;;) {
    const agreed = await agreements.read(key);
    const row = ended(agreed?.row);
    if (agreed?.row.state === row.state) return agreed;
    const version = agreed?.version ?? 0;
    if (await agreements.change(key, version, row)) return { row, version: version + 1 };
  }
}

/** Whether the token is proven gone, and written down to be. `seen` was listed after `agreed` was read. */
export async function concludeLaunch(
  { agreements, clock }: { agreements: LaunchAgreements; clock: Clock },
  key: string,
  { row, version }: Agreed,
  seen: readonly Instance[],
): Promise<boolean> {
  const instances = seen.map((instance) => ({ terminated: isTerminated(instance) }));
  if (!isProvenGone(row, instances, clock.wallTime())) return false;
  if (row.state !== 'ending') return true;
  const instanceId = row.instanceId ?? seen[0]?.instanceId;
  const gone = { state: 'gone', ...(instanceId === undefined ? {} : { instanceId }) } as const;
  // Refused if deploy has named an instance meanwhile: it is looked for again.
  return agreements.change(key, version, gone);
}
