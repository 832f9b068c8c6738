/** The options that say which account, region and stack a command means. */
import type { Command } from 'commander';
import { InvalidArgumentError } from 'commander';
import type { Context } from '../context.ts';

export interface RegionFlags {
  readonly region?: string;
  readonly json?: boolean;
}

export interface AwsFlags extends RegionFlags {
  readonly profile?: string;
}

export interface StackFlags extends AwsFlags {
  readonly stack: string;
}

const defaultStack = 'Skep';
/** Where prices are asked for without a region. */
const exampleRegion = 'us-east-1';

export function withRegionOption(command: Command): Command {
  return withJson(addRegion(command));
}

export function withStackOptions(command: Command): Command {
  return withJson(addAccount(addStack(command, defaultStack)));
}

/** For a command that has --json already, and speaks of a stack only if one is named. */
export function withOptionalStack(command: Command): Command {
  return addAccount(addStack(command, undefined));
}

function withJson(command: Command): Command {
  return command.option('--json', 'print one JSON value for programs');
}

function addStack(command: Command, byDefault: string | undefined): Command {
  return command.option('--stack <name>', 'name of the CloudFormation stack', parseStackName, byDefault);
}

function addAccount(command: Command): Command {
  return addRegion(command).option(
    '--profile <name>',
    'profile of the AWS configuration; default: $AWS_PROFILE',
    parseProfile,
  );
}

function addRegion(command: Command): Command {
  return command.option(
    '--region <region>',
    'AWS region; default: $AWS_REGION, else that of the profile',
    parseRegion,
  );
}

/** The region that prices are for, without a look at the AWS configuration. */
export function priceRegion({ env }: Context, flags: RegionFlags): string {
  return flags.region ?? (env.AWS_REGION || env.AWS_DEFAULT_REGION || exampleRegion);
}

function parseRegion(text: string): string {
  if (/^[a-z]{2}(-[a-z]+)+-\d$/.test(text)) return text;
  throw new InvalidArgumentError('Give a region as in eu-central-1.');
}

function parseProfile(text: string): string {
  if (/^[\w.@:+/-]{1,200}$/.test(text)) return text;
  throw new InvalidArgumentError('Give the name of a profile of ~/.aws/config.');
}

function parseStackName(text: string): string {
  if (/^[a-zA-Z][a-zA-Z0-9-]{0,38}$/.test(text)) return text;
  throw new InvalidArgumentError('Give 1 to 39 letters, digits and dashes, starting with a letter.');
}
