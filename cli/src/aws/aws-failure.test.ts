/** Errors of the AWS SDK as sentences; the names are those that services and SDK really use. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { CliError, describeFailure } from '../failure.ts';
import { askAws, awsFailure } from './aws-failure.ts';

function sdkError(name: string, message: string, fields: object = {}): Error {
  return Object.assign(new Error(message), { name, ...fields });
}

const answered = { $metadata: { httpStatusCode: 400 } };

describe('awsFailure', () => {
  it.each([
    ['CredentialsProviderError', {}, 'no-credentials', 5, /aws configure/],
    ['ExpiredTokenException', answered, 'credentials-expired', 5, /aws sso login/],
    ['InvalidClientTokenId', answered, 'bad-credentials', 5, /get-caller-identity/],
    ['AccessDeniedException', answered, 'access-denied', 5, /docs\/aws\.md/],
    ['UnauthorizedOperation', answered, 'access-denied', 5, /docs\/aws\.md/],
    ['ThrottlingException', answered, 'throttled', 5, /wait a minute/],
    ['ResourceNotFoundException', answered, 'not-found', 3, /--region, --profile and --stack/],
    ['Error', { code: 'ENOTFOUND' }, 'unreachable', 4, /cannot be reached/],
    ['TimeoutError', {}, 'unreachable', 4, /cannot be reached/],
    ['ServiceException', answered, 'aws', 1, /AWS refused: ServiceException: it said so\./],
  ] as const)('%s', (name, fields, code, exitCode, sentence) => {
    const failure = describeFailure(awsFailure(sdkError(name, 'it said so', fields)));
    expect(failure).toMatchObject({ code, exitCode });
    expect(failure.message).toMatch(sentence);
  });

  it('asks for a region where there is none', () => {
    expect(describeFailure(awsFailure(new Error('Region is missing')))).toMatchObject({
      code: 'no-region',
      exitCode: 2,
    });
  });

  it('lets our own errors pass, and faults of our own remain such', () => {
    const own = new CliError('usage', 2, 'no');
    expect(awsFailure(own)).toBe(own);
    expect(describeFailure(awsFailure(new TypeError('oops'))).code).toBe('internal');
  });

  it('is the interruption where there was one', async () => {
    const interrupted = new AbortController();
    interrupted.abort(new Error('ended by SIGINT'));
    const asked = askAws(() => Promise.reject(sdkError('AbortError', 'aborted')), interrupted.signal);
    await expect(asked).rejects.toThrow('ended by SIGINT');
  });
});

it('no file loads the SDK before a command needs it: it takes longer than all else', () => {
  const root = join(import.meta.dirname, '..');
  const files = readdirSync(root, { recursive: true, encoding: 'utf8' }).filter((path) =>
    /(?<!\.test)\.ts$/.test(path),
  );
  const loads = files.filter((path) =>
    /^(import|export) (?!type )[^;]*from '@aws-sdk\//m.test(readFileSync(join(root, path), 'utf8')),
  );
  expect(files.length).toBeGreaterThan(40);
  expect(loads).toEqual([]);
});
