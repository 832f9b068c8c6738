/**
 * One announce to an HTTP tracker (BEP 3, compact answers by BEP 23 and BEP 7): the request as a URL, and the
 * answer as values. Trackers are strangers: answers are bounded before they are read, and every field is checked.
 */
import { concatBytes } from '../../bytes.ts';
import { addressFamily, decodeCompactAddresses } from '../../host/address.ts';
import type { Address, Http } from '../../host/host.ts';
import {
  type BencodeDict,
  bytesOf,
  decodeBencode,
  dictOf,
  integerOf,
  listOf,
  textOf,
} from '../../wire/bencode.ts';

export type AnnounceEvent = 'started' | 'completed' | 'stopped';

export interface AnnounceRequest {
  /** 20 bytes. */
  readonly infoHash: Uint8Array;
  /** 20 bytes. */
  readonly peerId: Uint8Array;
  /** Where this peer accepts connections. */
  readonly port: number;
  readonly uploadedBytes: number;
  readonly downloadedBytes: number;
  readonly leftBytes: number;
  readonly event?: AnnounceEvent;
  /** How many peers to send at most; the tracker may send fewer. */
  readonly peersWanted?: number;
  /** Tells this peer from others behind one address; the same for every announce. */
  readonly key?: string;
  /** What the tracker's last answer gave, to be sent back. */
  readonly trackerId?: Uint8Array;
}

export interface AnnounceResponse {
  readonly peers: readonly Address[];
  /** When to announce again; undefined if the tracker gave no usable interval. */
  readonly intervalMs?: number;
  /** Not to be announced to more often. */
  readonly minIntervalMs?: number;
  readonly seeds?: number;
  readonly leeches?: number;
  readonly warning?: string;
  readonly trackerId?: Uint8Array;
}

export type TrackerErrorCode =
  | 'unsupported'
  | 'unreachable'
  | 'http-status'
  | 'too-large'
  | 'malformed'
  | 'refused';

/** An announce that failed; `refused` carries the tracker's own reason. */
export class TrackerError extends Error {
  readonly code: TrackerErrorCode;
  constructor(code: TrackerErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'TrackerError';
    this.code = code;
  }
}

const MAX_RESPONSE_BYTES = 1024 * 1024;
const MAX_PEERS = 2000;
const MAX_TEXT_LENGTH = 300;
const MAX_TRACKER_ID_BYTES = 256;
const DEFAULT_TIMEOUT_MS = 20_000;

/**
 * Announces to the tracker at `url`. Rejects with TrackerError: `unsupported` (no http or https URL), `unreachable`
 * (no answer in time; aborted), `http-status`, `too-large`, `malformed`, `refused` (the tracker's failure reason).
 */
export async function announce(
  http: Http,
  url: string,
  request: AnnounceRequest,
  options: { readonly timeoutMs?: number; readonly signal?: AbortSignal } = {},
): Promise<AnnounceResponse> {
  const timeoutMs = options.timeoutMs ?? DEFAULT_TIMEOUT_MS;
  const target = announceUrl(url, request);
  let body: Uint8Array;
  try {
    const response = await http.fetch(target, { timeoutMs, signal: options.signal });
    if (response.status !== 200) {
      await response.body?.cancel();
      throw new TrackerError('http-status', `The tracker answered with HTTP status ${response.status}.`);
    }
    body = await readBounded(response);
  } catch (error) {
    if (error instanceof TrackerError) throw error;
    const why = error instanceof Error ? error.message : String(error);
    throw new TrackerError('unreachable', `The tracker could not be reached: ${why}`, { cause: error });
  }
  return parseAnnounceResponse(body);
}

/** The URL of an announce (BEP 3, "Trackers"). Throws TrackerError `unsupported`. */
export function announceUrl(url: string, request: AnnounceRequest): string {
  if (!isHttpTracker(url)) {
    throw new TrackerError('unsupported', 'Only trackers with http and https URLs are supported.');
  }
  const [base = ''] = url.split('#', 1);
  const parameters = [
    `info_hash=${percentEncode(request.infoHash)}`,
    `peer_id=${percentEncode(request.peerId)}`,
    `port=${request.port}`,
    `uploaded=${request.uploadedBytes}`,
    `downloaded=${request.downloadedBytes}`,
    `left=${request.leftBytes}`,
    'compact=1',
  ];
  if (request.event !== undefined) parameters.push(`event=${request.event}`);
  if (request.peersWanted !== undefined) parameters.push(`numwant=${request.peersWanted}`);
  if (request.key !== undefined) parameters.push(`key=${encodeURIComponent(request.key)}`);
  if (request.trackerId !== undefined) parameters.push(`trackerid=${percentEncode(request.trackerId)}`);
  return `${base}${base.includes('?') ? '&' : '?'}${parameters.join('&')}`;
}

/** Whether this client can announce to `url`. */
export function isHttpTracker(url: string): boolean {
  return /^https?:\/\//i.test(url) && URL.canParse(url);
}

/** Reads a tracker's answer. Throws TrackerError `malformed`, or `refused` if it is a failure reason. */
export function parseAnnounceResponse(body: Uint8Array): AnnounceResponse {
  let answer: BencodeDict | undefined;
  try {
    answer = dictOf(
      decodeBencode(body, { maxBytes: MAX_RESPONSE_BYTES, maxDepth: 10, maxTokens: 100_000 }).value,
    );
  } catch (error) {
    throw malformed(`it is not bencode (${(error as Error).message})`);
  }
  if (answer === undefined) throw malformed('it is not a dictionary');
  if (answer.has('failure reason')) {
    const reason = readText(answer, 'failure reason') ?? 'no reason given';
    throw new TrackerError('refused', `The tracker refused: ${reason}`);
  }
  const trackerId = bytesOf(answer.get('tracker id'));
  return {
    peers: readPeers(answer),
    intervalMs: readSeconds(answer, 'interval'),
    minIntervalMs: readSeconds(answer, 'min interval'),
    seeds: readCount(answer, 'complete'),
    leeches: readCount(answer, 'incomplete'),
    warning: readText(answer, 'warning message'),
    trackerId: trackerId !== undefined && trackerId.length <= MAX_TRACKER_ID_BYTES ? trackerId : undefined,
  };
}

function readPeers(answer: BencodeDict): Address[] {
  const peers: Address[] = [];
  const v4 = answer.get('peers');
  const v6 = answer.get('peers6');
  if (v4 instanceof Uint8Array) {
    if (v4.length % 6 !== 0) throw malformed("'peers' is not made of 6-byte addresses");
    peers.push(...decodeCompactAddresses(v4.subarray(0, 6 * MAX_PEERS), 4));
  } else if (v4 !== undefined) {
    const list = listOf(v4);
    if (list === undefined) throw malformed("'peers' is neither a byte string nor a list");
    for (const entry of list.slice(0, MAX_PEERS)) {
      const host = textOf(dictOf(entry)?.get('ip'));
      const port = integerOf(dictOf(entry)?.get('port'));
      if (host === undefined || port === undefined) throw malformed("an entry of 'peers' has no address");
      // BEP 3 allows names here; nobody sends them, and looking up what a stranger names is asking for trouble.
      if (addressFamily(host) !== undefined && port > 0 && port < 65_536) peers.push({ host, port });
    }
  }
  if (v6 !== undefined) {
    if (!(v6 instanceof Uint8Array) || v6.length % 18 !== 0) {
      throw malformed("'peers6' is not made of 18-byte addresses");
    }
    peers.push(...decodeCompactAddresses(v6.subarray(0, 18 * MAX_PEERS), 6));
  }
  return peers;
}

function readSeconds(answer: BencodeDict, field: string): number | undefined {
  const seconds = integerOf(answer.get(field));
  return seconds !== undefined && seconds > 0 && seconds < 2 ** 31 ? seconds * 1000 : undefined;
}

function readCount(answer: BencodeDict, field: string): number | undefined {
  const count = integerOf(answer.get(field));
  return count !== undefined && count >= 0 ? count : undefined;
}

const lossyUtf8 = new TextDecoder('utf-8', { ignoreBOM: true });

/** A text to show: bounded, and without what would move a terminal's cursor. */
function readText(answer: BencodeDict, field: string): string | undefined {
  const bytes = bytesOf(answer.get(field));
  if (bytes === undefined) return undefined;
  return lossyUtf8.decode(bytes.subarray(0, MAX_TEXT_LENGTH)).replace(/\p{Cc}/gu, ' ');
}

/** The body, given up as soon as it is longer than an honest tracker's would be. */
async function readBounded(response: Response): Promise<Uint8Array> {
  if (response.body === null) return new Uint8Array();
  const reader: ReadableStreamDefaultReader<Uint8Array> = response.body.getReader();
  const parts: Uint8Array[] = [];
  let length = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return concatBytes(parts);
    length += value.length;
    if (length > MAX_RESPONSE_BYTES) {
      await reader.cancel();
      throw new TrackerError('too-large', `The tracker's answer is longer than ${MAX_RESPONSE_BYTES} bytes.`);
    }
    parts.push(value);
  }
}

/** Each byte as itself if a URL may hold it, else as %XX; unlike encodeURIComponent not by way of UTF-8. */
function percentEncode(bytes: Uint8Array): string {
  let text = '';
  for (const byte of bytes) {
    const character = String.fromCharCode(byte);
    text += /[A-Za-z0-9._~-]/.test(character)
      ? character
      : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`;
  }
  return text;
}

function malformed(what: string): TrackerError {
  return new TrackerError('malformed', `The tracker's answer is not valid: ${what}.`);
}
