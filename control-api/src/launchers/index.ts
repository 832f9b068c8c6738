/** Launchers of the real world. */
export { ProcessLauncher, type ProcessLauncherOptions } from './process.ts';
