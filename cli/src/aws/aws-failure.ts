/**
 * From an error of the AWS SDK to a sentence that says what to do. Every call to AWS goes through `askAws`, so that no
 * command shows the words of a service without their meaning.
 */
import { type ExitCode, exitCodes } from '../exit-codes.ts';
import { CliError } from '../failure.ts';
import { Interrupted } from '../terminal/interrupts.ts';

interface AwsErrorFields {
  readonly name: string;
  readonly message: string;
  readonly code?: string;
  readonly $metadata?: { readonly httpStatusCode?: number };
}

interface Meaning {
  readonly code: string;
  readonly exitCode: ExitCode;
  readonly names: RegExp;
  readonly advice: string;
}

/** By the error's name or code; the first that fits. */
const meanings: readonly Meaning[] = [
  {
    code: 'no-credentials',
    exitCode: exitCodes.refused,
    names: /^(CredentialsProviderError|TokenProviderError|ProviderError)$/,
    advice:
      'AWS credentials are missing: run `aws configure` or `aws sso login`, or name a profile with --profile',
  },
  {
    code: 'credentials-expired',
    exitCode: exitCodes.refused,
    names: /^(ExpiredToken(Exception)?|RequestExpired)$/,
    advice: 'The AWS credentials have expired: sign in again, for instance with `aws sso login`',
  },
  {
    code: 'bad-credentials',
    exitCode: exitCodes.refused,
    names:
      /^(InvalidClientTokenId|UnrecognizedClientException|SignatureDoesNotMatch|AuthFailure|InvalidSignatureException)$/,
    advice: 'AWS does not know these credentials: see with `aws sts get-caller-identity` which are used',
  },
  {
    code: 'access-denied',
    exitCode: exitCodes.refused,
    names: /^(AccessDenied(Exception)?|UnauthorizedOperation|NotAuthorized)$/,
    advice: 'These credentials may not do that: docs/aws.md lists the permissions that each command needs',
  },
  {
    code: 'throttled',
    exitCode: exitCodes.refused,
    names: /^(Throttling(Exception)?|TooManyRequestsException|RequestLimitExceeded)$/,
    advice: 'AWS asks for fewer requests: wait a minute and run it again',
  },
  {
    code: 'not-found',
    exitCode: exitCodes.notFound,
    names: /^(ResourceNotFoundException|StackNotFoundException|NoSuchEntity)$/,
    advice:
      'AWS does not have it: see whether --region, --profile and --stack are those it was deployed with',
  },
  {
    code: 'unreachable',
    exitCode: exitCodes.unreachable,
    names:
      /^(ENOTFOUND|ECONNREFUSED|ECONNRESET|EHOSTUNREACH|ENETUNREACH|EAI_AGAIN|TimeoutError|NetworkingError)$/,
    advice: 'AWS cannot be reached from here: see whether this machine is on line and the region is right',
  },
];

/** Does what asks AWS; rejects with CliError in place of the SDK's own errors. */
export async function askAws<T>(work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (signal?.aborted) throw signal.reason;
    throw awsFailure(error);
  }
}

/** Errors that the command line speaks of itself pass as they are. */
export function awsFailure(error: unknown): Error {
  if (error instanceof CliError || error instanceof Interrupted) return error;
  if (!(error instanceof Error)) return new Error(String(error));
  const fields: AwsErrorFields = error;
  if (/region is missing/i.test(error.message)) {
    return new CliError(
      'no-region',
      exitCodes.usage,
      'No AWS region is set: give --region, or set AWS_REGION or the region of the profile.',
      { cause: error },
    );
  }
  const meaning = meanings.find(({ names }) => names.test(fields.name) || names.test(fields.code ?? ''));
  const said = `${fields.name}: ${fields.message}`.replace(/[\s.]+$/, '');
  if (meaning !== undefined) {
    const { code, exitCode, advice } = meaning;
    return new CliError(code, exitCode, `${advice} (${said}).`, { cause: error });
  }
  // What no service said is no answer of AWS, but a fault of our own.
  if (fields.$metadata === undefined) return error;
  return new CliError('aws', exitCodes.failed, `AWS refused: ${said}.`, { cause: error });
}
