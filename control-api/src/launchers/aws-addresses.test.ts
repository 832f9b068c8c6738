import { expect, it } from 'vitest';
import { createVirtualHost } from '../testing/virtual-host.ts';
import { AwsAddresses, freeAddresses } from './aws-addresses.ts';

const a = { subnetId: 'subnet-a', zone: 'a', cidr: '10.0.0.0/28' };
const b = { subnetId: 'subnet-b', zone: 'b', cidr: '10.0.1.0/28' };
const c = { subnetId: 'subnet-c', zone: 'c', cidr: '10.0.2.0/24' };

it.each([
  ['spreads over the subnets', [a, b, c], 4, [], ['10.0.0.4', '10.0.1.4', '10.0.2.4', '10.0.0.5']],
  ['passes by what is taken', [a], 2, ['10.0.0.4', '10.0.0.6'], ['10.0.0.5', '10.0.0.7']],
  ['makes up for an uneven spread', [a, b], 2, ['10.0.0.4', '10.0.0.5'], ['10.0.1.4', '10.0.1.5']],
  ['heeds no address of elsewhere', [a], 1, ['192.168.0.4'], ['10.0.0.4']],
  [
    'goes on where one subnet is full',
    [{ ...a, cidr: '10.0.0.0/29' }, b],
    5,
    [],
    ['10.0.0.4', '10.0.1.4', '10.0.0.5', '10.0.1.5', '10.0.0.6'],
  ],
  ['gives the last there is', [{ ...a, cidr: '10.0.0.0/29' }], 3, [], ['10.0.0.4', '10.0.0.5', '10.0.0.6']],
  ['has no more than there are', [{ ...a, cidr: '10.0.0.0/29' }], 4, [], undefined],
])('%s', (_, subnets, count, taken, found) => {
  expect(freeAddresses(subnets, count, new Set(taken))).toEqual(found);
});

it.each([
  ['where they are wanted', ['c', 'a', 'c', undefined], ['10.0.2.4', '10.0.0.4', '10.0.2.5', '10.0.1.4']],
  ['elsewhere where there is no such zone', ['z', 'b'], ['10.0.0.4', '10.0.1.4']],
])('finds them %s', (_, zones, found) => {
  expect(freeAddresses([a, b, c], zones.length, new Set(), zones)).toEqual(found);
});

it('finds them elsewhere where their zone is full', () => {
  const small = { ...a, cidr: '10.0.0.0/29' };
  const found = freeAddresses([small, b], 4, new Set(), ['a', 'a', 'a', 'a']);
  expect(found).toEqual(['10.0.0.4', '10.0.0.5', '10.0.0.6', '10.0.1.4']);
});

it('gives no address twice, until nobody can be about to take it', async () => {
  const { host, advance } = createVirtualHost();
  const addresses = new AwsAddresses(host, { subnets: [a] });
  const hosts = (count: number) => addresses.allocate(count, [], []).map(({ listen }) => listen.host);
  expect(hosts(6)).toHaveLength(6);
  expect(new Set([...hosts(5)]).has('10.0.0.4')).toBe(false);
  expect(() => hosts(1)).toThrow(/no 1 free addresses in the subnets 10.0.0.0\/28/);
  await advance(60_000);
  expect(hosts(1)).toEqual(['10.0.0.4']);
});
