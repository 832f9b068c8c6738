import { expect, it } from 'vitest';
import { ipv4Text } from './ipv4.ts';
import { hostRange, subnetOf } from './subnet.ts';

const subnets = [
  { subnetId: 'subnet-a', zone: 'a', cidr: '10.0.0.0/24' },
  { subnetId: 'subnet-b', zone: 'b', cidr: '10.0.1.0/28' },
  { subnetId: 'subnet-c', zone: 'c', cidr: '192.168.255.128/25' },
];

it.each([
  ['10.0.0.3', undefined],
  ['10.0.0.4', 'subnet-a'],
  ['10.0.0.254', 'subnet-a'],
  ['10.0.0.255', undefined],
  ['10.0.1.4', 'subnet-b'],
  ['10.0.1.14', 'subnet-b'],
  ['10.0.1.15', undefined],
  ['192.168.255.131', undefined],
  ['192.168.255.132', 'subnet-c'],
  ['192.168.255.254', 'subnet-c'],
  ['::1', undefined],
])('%s may be a machine’s address in %s', (address, subnetId) => {
  expect(subnetOf(address, subnets)?.subnetId).toBe(subnetId);
});

it.each([
  ['10.0.0.0/16', '10.0.0.4', 65_531],
  ['10.0.1.0/28', '10.0.1.4', 11],
  ['10.0.1.9/28', '10.0.1.4', 11],
  ['255.255.255.0/24', '255.255.255.4', 251],
  ['10.0.1.0/30', '10.0.1.4', 0],
])('the machines of %s have addresses from %s, %i of them', (cidr, first, count) => {
  const range = hostRange(cidr);
  expect([ipv4Text(range.first), range.count]).toEqual([first, count]);
});
