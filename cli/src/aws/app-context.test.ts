import { describe, expect, it } from 'vitest';
import { costlyContext, parseContext } from './app-context.ts';

describe('--context', () => {
  it('gathers keys and values, which may hold anything', () => {
    const domain = 'domain={"name":"bees.example","certificateArn":"arn:x=y"}';
    expect(parseContext(domain, parseContext('spot=true'))).toEqual({
      spot: 'true',
      domain: '{"name":"bees.example","certificateArn":"arn:x=y"}',
    });
  });

  it.each([
    ['spot', /KEY=VALUE/],
    ['=x', /KEY=VALUE/],
    ['@aws-cdk/core:x=1', /KEY=VALUE/],
    ['peers=3', /field peers of the spec/],
    ['stack=Bees', /--stack/],
    ['expiresAt=2027-01-31T18:00:00Z', /--ttl/],
  ])('refuses %s', (text, sentence) => {
    expect(() => parseContext(text)).toThrow(sentence);
  });

  it('says what of it costs', () => {
    expect(costlyContext({})).toEqual({ architecture: 'arm64', loadBalancer: false, hasCluster: true });
    expect(costlyContext({ architecture: 'x86_64', domain: '{}', cluster: 'false' })).toEqual({
      architecture: 'x86_64',
      loadBalancer: true,
      hasCluster: false,
    });
    expect(() => costlyContext({ architecture: 'riscv' })).toThrow(/arm64 or x86_64/);
  });
});
