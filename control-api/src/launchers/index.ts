/** Launchers of the real world. */
export { AwsLauncher, type AwsLauncherComponents, type AwsLauncherOptions } from './aws.ts';
export { ProcessLauncher, type ProcessLauncherOptions } from './process.ts';
