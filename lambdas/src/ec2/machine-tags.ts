/** A machine's name as the tags of its instance, and back: pure. What is found by tags was launched with them. */
import type { Tag } from '@aws-sdk/client-ec2';
import { MachineToken, tagKeys } from '@skep/contract';
import type { RunParameters } from './instances.ts';

export function tagsOf(
  deployment: string,
  { machine, role, frozen }: Pick<RunParameters, 'machine' | 'role' | 'frozen'>,
): Tag[] {
  const { clusterUid, slot, generation, attempt, token } = machine;
  const values: Readonly<Record<string, string | undefined>> = {
    Name: `${deployment} ${slot}@${generation}`,
    [tagKeys.deployment]: deployment,
    [tagKeys.uid]: clusterUid,
    [tagKeys.slot]: slot,
    [tagKeys.role]: role,
    [tagKeys.generation]: String(generation),
    [tagKeys.attempt]: String(attempt),
    [tagKeys.token]: token,
    [tagKeys.stack]: frozen.stack,
    [tagKeys.expiresAt]: frozen.expiresAt,
  };
  return Object.entries(values).flatMap(([Key, Value]) => (Value === undefined ? [] : [{ Key, Value }]));
}

/** Undefined if they name no machine. */
export function machineOf(tags: readonly Tag[]): MachineToken | undefined {
  const tag = (key: string) => tags.find(({ Key }) => Key === key)?.Value;
  const read = MachineToken.safeParse({
    clusterUid: tag(tagKeys.uid),
    slot: tag(tagKeys.slot),
    generation: Number(tag(tagKeys.generation)),
    attempt: Number(tag(tagKeys.attempt)),
    token: tag(tagKeys.token),
  });
  return read.data;
}
