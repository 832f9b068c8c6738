/** How a Docker engine fails; apart, so that whoever only tells of it need not load what speaks to one. */
import { LaunchError } from '../ports/launcher.ts';

/** The Engine refused, or could not be reached; the message is a sentence that names what. */
export class EngineError extends Error {
  override readonly name = 'EngineError';
  /** Of HTTP; missing if nothing answered. */
  readonly status: number | undefined;
  constructor(message: string, status: number | undefined, options?: ErrorOptions) {
    super(message, options);
    this.status = status;
  }
}

/** What the Engine refuses a launch is an outcome that may be tried again. */
export async function asLaunch<T>(action: () => Promise<T>): Promise<T> {
  try {
    return await action();
  } catch (error) {
    if (!(error instanceof EngineError)) throw error;
    throw new LaunchError('not-launched', error.message, { cause: error });
  }
}
