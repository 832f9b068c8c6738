/** MiniStack: most of AWS in one process, with instances and functions that really run. */
import { type Emulator, emulatorRegion, isInstalled, startEmulator } from './emulator.ts';

const command = 'ministack';

export interface MiniStackOptions {
  /** 0.0.0.0 lets containers reach it. @default 127.0.0.1 */
  readonly listenHost?: string;
  /** Settings of its own, and what the functions that it runs are to have in their environment. */
  readonly environment?: Readonly<Record<string, string>>;
}

export function hasMiniStack(): boolean {
  return isInstalled(command);
}

/** Starts one with nothing in it. */
export function startMiniStack(options: MiniStackOptions = {}): Promise<Emulator> {
  const program = {
    command,
    arguments: () => [],
    environment: (host: string, port: number) => ({
      BIND_HOST: host,
      GATEWAY_PORT: String(port),
      MINISTACK_HOST: '127.0.0.1',
      MINISTACK_REGION: emulatorRegion,
      LOG_LEVEL: 'WARNING',
    }),
    healthPath: '/_ministack/health',
  };
  return startEmulator(program, options.listenHost, options.environment);
}
