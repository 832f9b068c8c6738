/** How a Docker engine fails; apart, so that whoever only tells of it need not load what speaks to one. */

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
