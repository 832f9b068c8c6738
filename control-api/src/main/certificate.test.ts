import { X509Certificate } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { serverIdentity } from './certificate.ts';

const seed = new Uint8Array(32).fill(7);
const name = 'control-api.bees.skep.internal';

describe('the certificate of a control API', () => {
  it('is the same to the byte for the same seed and name, and another for another', () => {
    expect(serverIdentity(seed, name)).toEqual(serverIdentity(seed.slice(), name));
    const { certificate } = serverIdentity(seed, name);
    expect(serverIdentity(new Uint8Array(32).fill(8), name).certificate).not.toBe(certificate);
    expect(serverIdentity(seed, 'other.internal').certificate).not.toBe(certificate);
  });

  it.each([
    [name, `DNS:${name}`],
    [`${'a'.repeat(60)}.${'b'.repeat(60)}.internal`, `DNS:${'a'.repeat(60)}.${'b'.repeat(60)}.internal`],
    ['127.0.0.1', 'IP Address:127.0.0.1'],
    ['fd00::1:2', 'IP Address:FD00:0:0:0:0:0:1:2'],
  ])('for %s says what it is, as others read it', (asked, alternative) => {
    const { key, certificate } = serverIdentity(seed, asked);
    const read = new X509Certificate(certificate);
    expect(read.subjectAltName).toBe(alternative);
    expect(read.subject).toBe(`CN=${asked.slice(0, 64)}`);
    expect(read.issuer).toBe(read.subject);
    expect(read.ca).toBe(false);
    expect(read.keyUsage).toEqual(['1.3.6.1.5.5.7.3.1']);
    expect(read.publicKey.asymmetricKeyType).toBe('ed25519');
    expect(read.verify(read.publicKey)).toBe(true);
    expect(read.validFrom).toBe('Jan  1 00:00:00 2020 GMT');
    expect(read.validTo).toBe('Dec 31 23:59:59 9999 GMT');
    expect(BigInt(`0x${read.serialNumber}`)).toBeGreaterThan(0n);
    expect(key).toMatch(/^-----BEGIN PRIVATE KEY-----/);
  });

  it('refuses a seed of another length', () => {
    expect(() => serverIdentity(new Uint8Array(16), name)).toThrow(RangeError);
  });
});
