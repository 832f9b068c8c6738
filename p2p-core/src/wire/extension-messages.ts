/**
 * What travels inside the extension protocol's envelope: its handshake (BEP 10) and the exchange of
 * metadata (BEP 9). Each side names the ids under which it wants to receive a message; `LOCAL_EXTENSIONS`
 * are ours. Decoders return undefined for what they can make no sense of, and never throw.
 */

import type { BencodeDict } from './bencode.ts';
import { decodeBencode, dictOf, encodeBencode, integerOf, textOf } from './bencode.ts';

/** Extension messages we understand, by name, with the id under which peers send them to us. */
export const LOCAL_EXTENSIONS = { ut_metadata: 1 } as const;
export type ExtensionName = keyof typeof LOCAL_EXTENSIONS;

export interface ExtensionHandshake {
  /** Ids under which the sender wants to receive each extension; an id of 0 (switched off) is left out. */
  readonly ids: ReadonlyMap<string, number>;
  readonly client?: string;
  /** Port on which the sender accepts connections. */
  readonly listenPort?: number;
  /** Size of the info dictionary in bytes, if the sender has it. */
  readonly metadataSize?: number;
  /** How many unanswered requests the sender keeps. */
  readonly requestQueue?: number;
}

const LIMITS = { maxDepth: 16, maxTokens: 4096, allowTrailing: true };
const MAX_EXTENSIONS = 64;

export function encodeExtensionHandshake(handshake: ExtensionHandshake): Uint8Array {
  const { client, listenPort, metadataSize, requestQueue } = handshake;
  return encodeBencode({
    m: Object.fromEntries(handshake.ids),
    ...(metadataSize === undefined ? {} : { metadata_size: metadataSize }),
    ...(listenPort === undefined ? {} : { p: listenPort }),
    ...(requestQueue === undefined ? {} : { reqq: requestQueue }),
    ...(client === undefined ? {} : { v: client }),
  });
}

export function decodeExtensionHandshake(payload: Uint8Array): ExtensionHandshake | undefined {
  const dict = decodeDict(payload)?.dict;
  if (dict === undefined) return undefined;
  const ids = new Map<string, number>();
  for (const [name, value] of dictOf(dict.get('m')) ?? []) {
    const id = integerOf(value);
    if (id !== undefined && id > 0 && id < 256 && ids.size < MAX_EXTENSIONS) ids.set(name, id);
  }
  return {
    ids,
    client: textOf(dict.get('v'))?.slice(0, 100),
    listenPort: within(integerOf(dict.get('p')), 1, 65535),
    metadataSize: within(integerOf(dict.get('metadata_size')), 1, Number.MAX_SAFE_INTEGER),
    requestQueue: within(integerOf(dict.get('reqq')), 1, Number.MAX_SAFE_INTEGER),
  };
}

/** BEP 9. `data` is a view into the input, at most 16 KiB, and is only there with `data`. */
export type MetadataMessage =
  | { readonly type: 'request' | 'reject'; readonly piece: number }
  | { readonly type: 'data'; readonly piece: number; readonly totalSize: number; readonly data: Uint8Array };

/** Metadata travels in pieces of 16 KiB; the last one may be shorter. */
export const METADATA_PIECE_LENGTH = 16 * 1024;

export function encodeMetadataMessage(message: MetadataMessage): Uint8Array {
  if (message.type !== 'data') {
    return encodeBencode({ msg_type: message.type === 'request' ? 0 : 2, piece: message.piece });
  }
  const header = encodeBencode({ msg_type: 1, piece: message.piece, total_size: message.totalSize });
  const bytes = new Uint8Array(header.length + message.data.length);
  bytes.set(header, 0);
  bytes.set(message.data, header.length);
  return bytes;
}

export function decodeMetadataMessage(payload: Uint8Array): MetadataMessage | undefined {
  const decoded = decodeDict(payload);
  if (decoded === undefined) return undefined;
  const piece = within(integerOf(decoded.dict.get('piece')), 0, 0xffff_ffff);
  if (piece === undefined) return undefined;
  switch (integerOf(decoded.dict.get('msg_type'))) {
    case 0:
      return { type: 'request', piece };
    case 1: {
      const totalSize = within(integerOf(decoded.dict.get('total_size')), 1, Number.MAX_SAFE_INTEGER);
      const data = payload.subarray(decoded.end);
      if (totalSize === undefined || data.length === 0 || data.length > METADATA_PIECE_LENGTH)
        return undefined;
      return { type: 'data', piece, totalSize, data };
    }
    case 2:
      return { type: 'reject', piece };
    default:
      return undefined;
  }
}

function decodeDict(payload: Uint8Array): { dict: BencodeDict; end: number } | undefined {
  try {
    const { value, end } = decodeBencode(payload, LIMITS);
    const dict = dictOf(value);
    return dict === undefined ? undefined : { dict, end };
  } catch {
    return undefined;
  }
}

function within(value: number | undefined, least: number, most: number): number | undefined {
  return value !== undefined && value >= least && value <= most ? value : undefined;
}
