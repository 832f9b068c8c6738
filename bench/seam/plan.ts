/** What both sides of the comparison agree on: the pieces, the blocks, and the protocol that moves them. */

/**
 * The receiver asks for a piece by its index (4 bytes); the sender answers with the piece's blocks, each
 * behind a header of as many bytes as BitTorrent's. The receiver keeps `WINDOW_PIECES` asked for or unstored.
 */
export interface Plan {
  readonly source: string;
  readonly target: string;
  readonly lengthBytes: number;
  /** SHA-1 of each piece, 20 bytes each, in a file. */
  readonly hashes: string;
}

export const BLOCK_BYTES = 16_384;
export const HEADER_BYTES = 13;
export const PIECE_BYTES = 2 ** 20;
export const WINDOW_PIECES = 12;

export function pieceCount(plan: Plan): number {
  return Math.ceil(plan.lengthBytes / PIECE_BYTES);
}

export function pieceLength(plan: Plan, index: number): number {
  return Math.min(PIECE_BYTES, plan.lengthBytes - index * PIECE_BYTES);
}

/** How one side sends and receives; each is called in a process of its own. */
export interface Side {
  /** Listens at `port` for one receiver; `done` when it has left. */
  send(plan: Plan): Promise<{ port: number; done: Promise<void> }>;
  receive(plan: Plan, port: number): Promise<{ seconds: number }>;
}
