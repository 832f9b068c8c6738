/**
 * From any error to what a user sees: one sentence, a stable code, an exit status. Every command fails
 * through here, so that none shows a stack trace by accident.
 */
import { ApiError } from '@skep/contract';
import { TorrentError } from '@skep/p2p-core';
import { HostError, type HostErrorCode } from '@skep/p2p-core/host';
import { MetainfoError } from '@skep/p2p-core/metainfo';
import { BencodeError } from '@skep/p2p-core/wire';
import { CommanderError } from 'commander';
import { type ExitCode, exitCodes } from './exit-codes.ts';
import { printable } from './terminal/format.ts';
import { Interrupted } from './terminal/interrupts.ts';

/** A failure that the command line itself speaks of; `message` is one sentence that says what to do. */
export class CliError extends Error {
  readonly code: string;
  readonly exitCode: ExitCode;
  constructor(code: string, exitCode: ExitCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'CliError';
    this.code = code;
    this.exitCode = exitCode;
  }
}

export interface Failure {
  readonly code: string;
  readonly exitCode: number;
  readonly message: string;
}

const hostExitCodes: Record<HostErrorCode, ExitCode> = {
  refused: exitCodes.unreachable,
  timeout: exitCodes.timeout,
  reset: exitCodes.unreachable,
  unreachable: exitCodes.unreachable,
  closed: exitCodes.failed,
  'address-in-use': exitCodes.machine,
  'address-unavailable': exitCodes.machine,
  'name-not-found': exitCodes.notFound,
  'not-found': exitCodes.notFound,
  exists: exitCodes.failed,
  permission: exitCodes.machine,
  untrusted: exitCodes.unreachable,
  'disk-full': exitCodes.machine,
  'too-large': exitCodes.failed,
  'unsafe-path': exitCodes.failed,
  io: exitCodes.machine,
};

/** What to tell of an error of any kind. */
export function describeFailure(error: unknown): Failure {
  const cause = error instanceof Error ? error : new Error(String(error));
  if (cause instanceof Interrupted) return failureOf('interrupted', cause.exitCode, cause.message);
  if (cause instanceof CliError) return failureOf(cause.code, cause.exitCode, cause.message);
  if (cause instanceof CommanderError)
    return failureOf('usage', exitCodes.usage, cause.message.replace(/^error: /, ''));
  if (cause instanceof TorrentError) return failureOf(cause.code, torrentExitCode(cause.code), cause.message);
  if (cause instanceof HostError) return failureOf(cause.code, hostExitCodes[cause.code], cause.message);
  if (cause instanceof MetainfoError) {
    const exitCode =
      cause.code === 'not-found'
        ? exitCodes.notFound
        : ['empty', 'unsafe-name', 'changed'].includes(cause.code)
          ? exitCodes.failed
          : exitCodes.badTorrent;
    return failureOf(cause.code, exitCode, cause.message);
  }
  if (cause instanceof BencodeError) return failureOf(cause.code, exitCodes.badTorrent, cause.message);
  if (cause instanceof ApiError) return apiFailure(cause);
  return failureOf(
    'internal',
    exitCodes.failed,
    `an error of skep's own: ${cause.message}; run it again with SKEP_DEBUG=1 and report what that shows`,
  );
}

/** Whether the control API was only not there at that moment: it may be on its way back. */
export function isPassing(error: unknown): boolean {
  if (error instanceof CliError) return error.code === 'unreachable';
  return error instanceof ApiError && error.status === 503;
}

/** A torrent fails by what its files did (then the code is a Host's), or by what was in them. */
function torrentExitCode(code: string): ExitCode {
  return code in hostExitCodes ? hostExitCodes[code as HostErrorCode] : exitCodes.failed;
}

function apiFailure(error: ApiError): Failure {
  const code = error.problem?.code ?? 'bad-answer';
  const issue = error.problem?.issues?.[0];
  const message = issue === undefined ? error.message : `${error.message} (${issue.path}: ${issue.message})`;
  if (error.status === 404) return failureOf(code, exitCodes.notFound, message);
  if (code === 'bad-request') return failureOf(code, exitCodes.usage, message);
  if (code === 'bad-metainfo') return failureOf(code, exitCodes.badTorrent, message);
  if (code === 'bad-answer' || error.status === 503) return failureOf(code, exitCodes.unreachable, message);
  return failureOf(code, error.status >= 500 ? exitCodes.failed : exitCodes.refused, message);
}

/** One line, without what a terminal would obey. */
function failureOf(code: string, exitCode: number, message: string): Failure {
  return { code, exitCode, message: printable(message.replace(/\s*\n\s*/g, ' ').trim()) };
}
