import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DockerAddresses, type DockerAddressOptions, overlap, subnetOf } from './docker-addresses.ts';

const byte = fc.nat(255);
const address = fc.tuple(byte, byte, byte, byte).map((bytes) => bytes.join('.'));

describe('subnets', () => {
  it('are found from any address of theirs', () => {
    const subnet = { cidr: '10.64.4.0/22', gateway: '10.64.4.1', strangers: '10.64.7.192/26' };
    for (const host of ['10.64.4.0', '10.64.4.2', '10.64.7.255']) expect(subnetOf(host)).toEqual(subnet);
    expect(subnetOf('10.64.8.0').cidr).toBe('10.64.8.0/22');
  });

  it('overlap if one has an address of the other', () => {
    expect(overlap('10.0.0.0/8', '10.64.4.0/22')).toBe(true);
    expect(overlap('10.64.4.0/22', '10.64.8.0/22')).toBe(false);
    expect(overlap('10.64.7.255/32', '10.64.4.0/22')).toBe(true);
    expect(overlap('0.0.0.0/0', '255.255.255.255/32')).toBe(true);
    fc.assert(
      fc.property(address, address, (one, other) => {
        const [a, b] = [subnetOf(one), subnetOf(other)];
        expect(overlap(a.cidr, b.cidr)).toBe(a.cidr === b.cidr);
        expect(overlap(a.cidr, `${one}/32`)).toBe(true);
        expect(overlap(a.strangers, a.cidr)).toBe(true);
      }),
    );
  });
});

describe('DockerAddresses', () => {
  let nowMs = 0;
  const clock = { now: () => nowMs } as ConstructorParameters<typeof DockerAddresses>[0]['clock'];
  const random = {
    float: () => 0,
    bytes: (length: number) => new Uint8Array(length),
  } as ConstructorParameters<typeof DockerAddresses>[0]['random'];
  const make = (options: Partial<DockerAddressOptions> = {}) =>
    new DockerAddresses(
      { clock, random },
      { inUse: async () => [], subnetOfCluster: async () => undefined, ...options },
    );
  const hostsOf = (given: readonly { listen: { host: string } }[]) => given.map(({ listen }) => listen.host);

  it('keep clear of what is in use, and of other clusters', async () => {
    const addresses = make({ inUse: async () => ['10.64.0.0/23', '10.64.9.9/32'] });
    expect(hostsOf(await addresses.allocate(2, [], 'a'))).toEqual(['10.64.4.2', '10.64.4.3']);
    expect(hostsOf(await addresses.allocate(1, [], 'b'))).toEqual(['10.64.12.2']);
  });

  it('stay in a cluster’s own network, and are not given twice while nobody could say that they are taken', async () => {
    const addresses = make({ subnetOfCluster: async () => '10.99.4.0/22' });
    const first = await addresses.allocate(2, [], 'a');
    expect(hostsOf(first)).toEqual(['10.99.4.2', '10.99.4.3']);
    const [second, third] = await Promise.all([
      addresses.allocate(1, first, 'a'),
      addresses.allocate(1, first, 'a'),
    ]);
    expect(hostsOf([...second, ...third])).toEqual(['10.99.4.4', '10.99.4.5']);
    nowMs += 60_000;
    expect(hostsOf(await addresses.allocate(2, first, 'a'))).toEqual(['10.99.4.4', '10.99.4.5']);
  });

  it('say when a network is full, and when there is none to be had', async () => {
    const addresses = make();
    expect(await addresses.allocate(958, [], 'a')).toHaveLength(958);
    await expect(addresses.allocate(1, [], 'a')).rejects.toMatchObject({ code: 'no-free-address' });
    const none = make({ inUse: async () => ['10.0.0.0/8'] });
    await expect(none.allocate(1, [], 'a')).rejects.toThrow('remove Docker networks that are not needed');
  });
});
