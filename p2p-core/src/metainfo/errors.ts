/** The one error of this folder: what is wrong with a torrent, a magnet, or what one should be made of. */

export type MetainfoErrorCode =
  | 'empty'
  | 'truncated'
  | 'not-a-torrent'
  | 'invalid'
  | 'too-large'
  | 'v2-unsupported'
  | 'not-a-magnet'
  | 'not-found'
  | 'unsafe-name'
  | 'changed';

/** `message` is one sentence for a person; `code` is for deciding. */
export class MetainfoError extends Error {
  readonly code: MetainfoErrorCode;
  constructor(code: MetainfoErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'MetainfoError';
    this.code = code;
  }
}
