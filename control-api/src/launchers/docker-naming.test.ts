import { createNodeHost } from '@skep/p2p-core/host/node';
import { expect, it } from 'vitest';
import { machineRef } from '../ports/launcher.ts';
import { evidenceOf } from './docker-containers.ts';
import { containerName, labels, machineLabels, machineOf } from './docker-naming.ts';

const { compute } = createNodeHost();
const machine = machineRef(compute, {
  clusterUid: '0123456789abcdef'.repeat(2),
  slot: 'peer-12',
  generation: 3,
  attempt: 2,
});

it('names a container by its machine alone, and finds the machine again in its labels', () => {
  expect(containerName(machine)).toBe('skep-0123456789ab-peer-12-3.2');
  expect(machineOf(compute, machineLabels('me', machine))).toEqual(machine);
});

it.each([
  ['none', {}],
  ['another generation than the token’s', { ...machineLabels('me', machine), [labels.generation]: '4' }],
  ['no number', { ...machineLabels('me', machine), [labels.attempt]: 'two' }],
  ['another’s token', { ...machineLabels('me', machine), [labels.token]: 'f'.repeat(64) }],
])('takes no container for a machine whose labels are %s', (_, found) => {
  expect(machineOf(compute, found)).toBeUndefined();
});

it.each([
  [{ exitCode: 0 }, 'exit code 0'],
  [{ exitCode: 17 }, 'exit code 17'],
  [{ exitCode: 137 }, 'killed by SIGKILL'],
  [{ exitCode: 143 }, 'killed by SIGTERM'],
  [{ exitCode: 137, outOfMemory: true }, 'killed by the kernel: it needed more than its 512 MiB of memory'],
])('says of an end %o: %s', (end, words) => {
  expect(evidenceOf({ outOfMemory: false, memoryBytes: 512 * 1024 ** 2, ...end })).toBe(words);
});
