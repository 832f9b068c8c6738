import { ApiError, type Problem } from '@skep/contract';
import { HostError } from '@skep/p2p-core/host';
import { MetainfoError } from '@skep/p2p-core/metainfo';
import { describe, expect, it } from 'vitest';
import { exitCodeHelp, exitCodes } from './exit-codes.ts';
import { CliError, describeFailure } from './failure.ts';
import { Interrupted } from './terminal/interrupts.ts';

function problem(status: number, code: Problem['code'], rest: Partial<Problem> = {}): ApiError {
  return new ApiError(status, 'It says why.', {
    type: 'x',
    title: 'x',
    status,
    code,
    detail: 'It says why.',
    ...rest,
  });
}

describe('failures', () => {
  it.each([
    [new CliError('timeout', exitCodes.timeout, 'Waited.'), 'timeout', 8],
    [new HostError('address-in-use', 'The port is taken.'), 'address-in-use', 7],
    [new HostError('disk-full', 'The disk is full.'), 'disk-full', 7],
    [new HostError('refused', 'Nobody listens.'), 'refused', 4],
    [new HostError('not-found', 'No such file.'), 'not-found', 3],
    [new MetainfoError('truncated', 'It ends too early.'), 'truncated', 6],
    [new MetainfoError('changed', 'It changed.'), 'changed', 1],
    [new MetainfoError('not-found', 'There is none.'), 'not-found', 3],
    [problem(404, 'node-not-found'), 'node-not-found', 3],
    [problem(409, 'cluster-exists'), 'cluster-exists', 5],
    [problem(401, 'unauthorized'), 'unauthorized', 5],
    [problem(400, 'bad-request'), 'bad-request', 2],
    [problem(503, 'store-unavailable'), 'store-unavailable', 4],
    [new ApiError(502, 'Not a control API.'), 'bad-answer', 4],
    [new TypeError('x is not a function'), 'internal', 1],
    [new Interrupted('SIGTERM'), 'interrupted', 143],
    ['a string', 'internal', 1],
  ])('%s has code %s and exit status %d', (error, code, exitCode) => {
    expect(describeFailure(error)).toMatchObject({ code, exitCode });
  });

  it('are one line that no terminal obeys', () => {
    const { message } = describeFailure(new MetainfoError('invalid', "The name '\u001b[2J' is\n  odd."));
    expect(message).toBe("The name '\ufffd[2J' is odd.");
  });

  it('say where in a request the mistake is', () => {
    const error = problem(400, 'bad-request', { issues: [{ path: 'peers', message: 'too many' }] });
    expect(describeFailure(error).message).toBe('It says why. (peers: too many)');
  });
});

it('every exit status is explained', () => {
  for (const code of Object.values(exitCodes)) expect(exitCodeHelp).toMatch(new RegExp(`^ {2}${code} `, 'm'));
});
