import { expect, it } from 'vitest';
import { identityOf } from './identity.ts';

const seed = 's'.repeat(64);

it('is the same from the same seed, and tells nothing of one secret by another', () => {
  const identity = identityOf(seed, 'control-api.internal');
  expect(identityOf(seed, 'control-api.internal')).toEqual(identity);
  expect(identity.masterSecret).toHaveLength(32);
  expect(identity.viewerToken).toMatch(/^[0-9a-f]{64}$/);
  expect(Buffer.from(identity.masterSecret).toString('hex')).not.toBe(identity.viewerToken);
  const other = identityOf('t'.repeat(64), 'control-api.internal');
  expect(other.masterSecret).not.toEqual(identity.masterSecret);
  expect(other.viewerToken).not.toBe(identity.viewerToken);
  expect(other.server.certificate).not.toBe(identity.server.certificate);
});

it('is what machines were told by earlier versions', () => {
  // Machines outlive the control API that launched them: another derivation would lock them out.
  const identity = identityOf(seed, 'control-api.internal');
  expect(Buffer.from(identity.masterSecret).toString('hex')).toMatchInlineSnapshot(
    `"0dda13c1fff1142a0ac38ab72044417109dbf1dcbb95c262a27c5319c7f90aba"`,
  );
  expect(identity.viewerToken).toMatchInlineSnapshot(
    `"19c12faa4a0c0e2e87494e562495cf5f7051c0337a459598f7f1c7f3055d4ff3"`,
  );
  expect(identity.server.certificate).toMatchInlineSnapshot(`
    "-----BEGIN CERTIFICATE-----
    MIIBVDCCAQagAwIBAgIQUEQ898wK0AcckpkgLVHO+TAFBgMrZXAwHzEdMBsGA1UE
    AwwUY29udHJvbC1hcGkuaW50ZXJuYWwwIBcNMjAwMTAxMDAwMDAwWhgPOTk5OTEy
    MzEyMzU5NTlaMB8xHTAbBgNVBAMMFGNvbnRyb2wtYXBpLmludGVybmFsMCowBQYD
    K2VwAyEAZGqSmojzKwc2knVP8vofAlBEPPfMCtAHHJKZIC1RzvmjVjBUMAwGA1Ud
    EwEB/wQCMAAwDgYDVR0PAQH/BAQDAgeAMBMGA1UdJQQMMAoGCCsGAQUFBwMBMB8G
    A1UdEQQYMBaCFGNvbnRyb2wtYXBpLmludGVybmFsMAUGAytlcANBAJHhC82m2Iv1
    ervHPbD4nIqzVuKtTEloj2xxu+w0Xhmejft/wz1ig2WgsxkagzxcKAaoSevcGZQx
    907tEhcy5gg=
    -----END CERTIFICATE-----
    "
  `);
});
