/** What the CDK CLI said as it failed, for real (testdata/) and in the words of its source, as sentences. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { cdkError } from './cdk-failure.ts';

const recorded = (name: string) => readFileSync(new URL(`testdata/${name}`, import.meta.url), 'utf8');
const errorOf = (complaint: string, failures: readonly string[] = []) =>
  cdkError({
    complaint,
    failures,
    stack: 'Skep',
    account: '123456789012',
    region: 'eu-west-1',
    logFile: '/x.log',
  });

describe('cdkError', () => {
  it.each([
    [
      'not-bootstrapped',
      5,
      recorded('not-bootstrapped.complaint.txt'),
      [],
      /npx cdk bootstrap aws:\/\/123456789012\/eu-west-1/,
    ],
    [
      'no-credentials',
      5,
      'Unable to resolve AWS account to use. It must be either configured when you define your CDK Stack, or through the environment',
      [],
      /aws configure/,
    ],
    ['not-found', 3, 'No stacks match the name(s) Skep', [], /no stack Skep/],
    [
      'unreachable',
      4,
      'Skep: connect ECONNREFUSED 127.0.0.1:9\n‣ Error: connect ECONNREFUSED 127.0.0.1:9',
      [],
      /ECONNREFUSED/,
    ],
    [
      'quota',
      5,
      'DeploymentError: failed',
      [
        'Cluster/Running: VcpuLimitExceeded: you have requested more vCPU capacity than your current limit of 32',
      ],
      /Service Quotas.*skep destroy --stack Skep --region eu-west-1/,
    ],
    [
      'cdk',
      1,
      recorded('deploy-fails.complaint.txt'),
      ["X: 'int' object is not iterable"],
      /^X: 'int' object is not iterable\. CloudFormation takes back.*\/x\.log/,
    ],
    [
      'cdk',
      1,
      'app failed\n  at file.ts:3\nError: expiresAt is no time: x.',
      [],
      /^Error: expiresAt is no time: x\. The CDK's own/,
    ],
    ['cdk', 1, '', [], /without a word/],
  ] as const)('is %s, status %i', (code, exitCode, complaint, failures, sentence) => {
    const error = errorOf(complaint, failures);
    expect(error).toMatchObject({ code, exitCode });
    expect(error.message).toMatch(sentence);
    expect(error.message).not.toContain('\n');
  });
});
