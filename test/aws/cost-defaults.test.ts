/** What costs are reckoned with where nothing is said is what the constructs take then. */
import { expect, it } from 'vitest';
import { deploymentDefaults } from '../../cli/src/aws/deployment-size.ts';
import { containerHost } from '../../infra/lib/container-host.ts';

it.each(['arm64', 'x86_64'] as const)('instances of %s', (architecture) => {
  const { instanceType } = containerHost({ architecture });
  expect(String(instanceType)).toBe(deploymentDefaults.instanceTypes[architecture]);
});
