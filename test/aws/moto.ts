/** Moto's server: a second opinion on what AWS would say, stricter than MiniStack in places, and nothing that runs. */
import { type Emulator, isInstalled, startEmulator } from './emulator.ts';

const command = 'moto_server';

export function hasMoto(): boolean {
  return isInstalled(command);
}

/** Starts one with nothing in it. */
export function startMoto(): Promise<Emulator> {
  return startEmulator({
    command,
    arguments: (host, port) => ['-H', host, '-p', String(port)],
    environment: () => ({}),
    healthPath: '/moto-api/data.json',
  });
}
