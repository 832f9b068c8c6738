/** The agent's log: one JSON object a line, so that people and programs can both read it. */
import type { Clock } from '@skep/p2p-core/host';

export type LogFields = Readonly<Record<string, string | number | boolean | undefined>>;

export interface Log {
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
}

/** `write` is given whole lines. Secrets are never among the fields: callers name what they log. */
export function createLog(clock: Clock, write: (line: string) => void): Log {
  const line = (level: string, message: string, fields: LogFields = {}) =>
    write(
      `${JSON.stringify({ time: new Date(clock.wallTime()).toISOString(), level, message, ...fields })}\n`,
    );
  return {
    info: (message, fields) => line('info', message, fields),
    warn: (message, fields) => line('warn', message, fields),
  };
}
