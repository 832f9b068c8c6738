/** What a torrent tells of itself. */
import type { HostError, HostErrorCode } from '../host/host.ts';

export type TorrentState = 'checking' | 'metadata' | 'downloading' | 'seeding' | 'stopped' | 'error';

export interface TorrentStatus {
  /** Lower-case hex. */
  readonly infoHash: string;
  /** Undefined until the metadata is known, of a magnet without a display name. */
  readonly name: string | undefined;
  readonly state: TorrentState;
  /** What went wrong and what to do about it. In state `seeding` it tells of content that is no longer served. */
  readonly error: { readonly code: string; readonly message: string } | undefined;
  /** Part of the content that is on disk and verified, in [0, 1]. While `checking`, the part checked. */
  readonly progress: number;
  readonly pieces: { readonly have: number; readonly total: number };
  readonly bytes: { readonly have: number; readonly total: number };
  /** Payload of this session and those before it, as far as the resume state remembers. */
  readonly downloadedBytes: number;
  readonly uploadedBytes: number;
  /** Blocks that came twice or unasked. */
  readonly wastedBytes: number;
  /** Pieces whose hash was wrong. */
  readonly corruptBytes: number;
  readonly downloadBytesPerSecond: number;
  readonly uploadBytesPerSecond: number;
  readonly peers: {
    readonly connected: number;
    readonly seeds: number;
    /** We serve them. */
    readonly unchoked: number;
    /** Addresses known, connected or not. */
    readonly known: number;
  };
}

export class TorrentError extends Error {
  readonly code: string;
  constructor(code: string, message: string) {
    super(message);
    this.name = 'TorrentError';
    this.code = code;
  }
}

const ADVICE: Partial<Record<HostErrorCode, string>> = {
  'disk-full': 'The disk is full; free some space and resume the torrent. Nothing verified was lost.',
  permission: 'The content may not be written; correct the permissions and resume the torrent.',
  'not-found': 'The directory of the content has vanished; restore it and resume the torrent.',
};

/** A failure of the disk, told as what to do about it. */
export function diskError(error: HostError): TorrentError {
  return new TorrentError(error.code, ADVICE[error.code] ?? `Storing failed: ${error.message}`);
}

/** A failure to read what was there. */
export function readFailure(error: HostError): TorrentError {
  return new TorrentError(error.code, `The content can no longer be read: ${error.message}`);
}

/** Some of the files of a seed are gone; it serves the pieces that are in the others. */
export function contentLost(files: readonly string[], pieces: number): TorrentError {
  const more = files.length > 1 ? ` and ${files.length - 1} more files` : '';
  return new TorrentError(
    'content-incomplete',
    `${files[0]}${more} vanished or became shorter: ${pieces} pieces are no longer served until the files are restored and the seed is started again.`,
  );
}
