/** From what the CDK CLI says as it fails to a sentence that says what to do. Pure. */
import { type ExitCode, exitCodes } from '../exit-codes.ts';
import { CliError } from '../failure.ts';

export interface CdkFailure {
  /** What it wrote to standard error. */
  readonly complaint: string;
  /** What CloudFormation said of resources, if it came that far. */
  readonly failures: readonly string[];
  readonly stack: string;
  readonly account: string;
  readonly region: string;
  readonly logFile: string;
}

export function cdkError(failure: CdkFailure): CliError {
  const { complaint, failures, stack, account, region, logFile } = failure;
  const said = [complaint, ...failures].join('\n');
  const because = failures[0] ?? lastWords(complaint);
  const fail = (code: string, exitCode: ExitCode, sentence: string) => new CliError(code, exitCode, sentence);
  if (/environment been bootstrapped|not been bootstrapped|requires bootstrap stack version/i.test(said)) {
    return fail(
      'not-bootstrapped',
      exitCodes.refused,
      `The CDK has not been set up in ${region} of this account: run \`npx cdk bootstrap aws://${account}/${region}\` once, then this again.`,
    );
  }
  if (/Unable to resolve AWS (account|credentials)|no credentials have been configured/i.test(said)) {
    return fail(
      'no-credentials',
      exitCodes.refused,
      'AWS credentials are missing: run `aws configure` or `aws sso login`, or name a profile with --profile.',
    );
  }
  if (/No stacks match/.test(said)) {
    return fail(
      'not-found',
      exitCodes.notFound,
      `The CDK app has no stack ${stack}: see its log, ${logFile}.`,
    );
  }
  if (/LimitExceeded|QuotaExceeded|limit .*exceeded|exceeded .*(limit|quota)/i.test(said)) {
    return fail(
      'quota',
      exitCodes.refused,
      `A quota of the account stands in the way (${because}): ask for more at Service Quotas, or deploy fewer or smaller machines. ${afterwards(failure)}`,
    );
  }
  if (/ECONNREFUSED|ENOTFOUND|EAI_AGAIN|ETIMEDOUT/.test(said)) {
    return fail('unreachable', exitCodes.unreachable, `AWS cannot be reached from here (${because}).`);
  }
  return fail('cdk', exitCodes.failed, `${capitalised(because)}. ${afterwards(failure)}`);
}

function afterwards({ failures, stack, region, logFile }: CdkFailure): string {
  if (failures.length === 0) return `The CDK's own words are in ${logFile}.`;
  return `CloudFormation takes back what it did; \`skep destroy --stack ${stack} --region ${region}\` removes the rest. The CDK's own words are in ${logFile}.`;
}

/** The last line that is an error and no place in a source file. */
function lastWords(complaint: string): string {
  const lines = complaint
    .split('\n')
    .map((line) => line.replace(/^[\s‣❌]+/u, '').trim())
    .filter((line) => line !== '' && !/^(at |Source Location|\.\.\.)/.test(line));
  return (lines.at(-1) ?? 'The CDK failed without a word').replace(/\.$/, '');
}

function capitalised(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
