/**
 * Magnet links (BEP 9): a torrent named by its infohash alone, with hints where to find peers. What is in one came
 * from a web page or a chat, so it is bounded and checked like anything else.
 */
import { fromHex, toHex } from '../bytes.ts';
import { formatAddress, parseAddress } from '../host/address.ts';
import type { Address } from '../host/host.ts';
import { MetainfoError } from './errors.ts';

export interface Magnet {
  /** 20 bytes. */
  readonly infoHash: Uint8Array;
  /** A name to show until the torrent's own is known (`dn`). */
  readonly displayName?: string;
  /** Tracker URLs (`tr`), in order, each once. */
  readonly trackers: readonly string[];
  /** Peers to ask at once (`x.pe`); `host` may be a name, which must be resolved first. */
  readonly peers: readonly Address[];
}

const MAX_MAGNET_LENGTH = 65_536;
const MAX_TRACKERS = 200;
const MAX_PEERS = 200;
const SCHEME = 'magnet:?';
const V1_TOPIC = 'urn:btih:';
const V2_TOPIC = 'urn:btmh:';

/**
 * Reads a magnet link; the infohash may be in hex or base32. Parameters it does not know are ignored, as BEP 9
 * wants. Throws MetainfoError with a sentence that says what is wrong.
 */
export function parseMagnet(text: string): Magnet {
  const link = text.trim();
  if (link.slice(0, SCHEME.length).toLowerCase() !== SCHEME)
    throw notMagnet(`it does not begin with '${SCHEME}'`);
  if (link.length > MAX_MAGNET_LENGTH) throw notMagnet(`it is longer than ${MAX_MAGNET_LENGTH} characters`);

  let infoHash: Uint8Array | undefined;
  let displayName: string | undefined;
  let hasV2 = false;
  const trackers = new Set<string>();
  const peers = new Map<string, Address>();
  for (const parameter of link.slice(SCHEME.length).split('&')) {
    const equals = parameter.indexOf('=');
    if (equals < 0) continue;
    // Several topics or trackers may be numbered: xt.1, tr.2.
    const key = parameter
      .slice(0, equals)
      .toLowerCase()
      .replace(/\.\d{1,4}$/, '');
    const encoded = parameter.slice(equals + 1);
    if (key === 'xt') {
      const topic = decodePercent(encoded, key);
      const scheme = topic.slice(0, V1_TOPIC.length).toLowerCase();
      if (scheme === V2_TOPIC) hasV2 = true;
      if (scheme !== V1_TOPIC) continue;
      const found = parseInfoHash(topic.slice(V1_TOPIC.length));
      if (infoHash !== undefined && toHex(infoHash) !== toHex(found)) {
        throw notMagnet('it names two different torrents');
      }
      infoHash = found;
    } else if (key === 'dn') {
      // Many writers of magnets encode blanks as in forms.
      displayName ??= decodePercent(encoded.replaceAll('+', ' '), key);
    } else if (key === 'tr') {
      const url = decodePercent(encoded, key).trim();
      if (url !== '' && trackers.size < MAX_TRACKERS) trackers.add(url);
    } else if (key === 'x.pe') {
      const peer = parsePeer(decodePercent(encoded, key));
      if (peers.size < MAX_PEERS) peers.set(formatAddress(peer), peer);
    }
  }
  if (infoHash === undefined) {
    if (hasV2) {
      throw new MetainfoError(
        'v2-unsupported',
        'This magnet names a v2 torrent only, which is not supported yet.',
      );
    }
    throw notMagnet("it has no infohash ('xt=urn:btih:…')");
  }
  return {
    infoHash,
    ...(displayName === undefined ? {} : { displayName }),
    trackers: [...trackers],
    peers: [...peers.values()],
  };
}

/** The link that `parseMagnet` reads back. */
export function formatMagnet(magnet: Magnet): string {
  const parameters = [`xt=${V1_TOPIC}${toHex(magnet.infoHash)}`];
  if (magnet.displayName !== undefined) parameters.push(`dn=${encodeURIComponent(magnet.displayName)}`);
  for (const url of magnet.trackers) parameters.push(`tr=${encodeURIComponent(url)}`);
  for (const peer of magnet.peers) parameters.push(`x.pe=${formatAddress(peer)}`);
  return SCHEME + parameters.join('&');
}

function parseInfoHash(text: string): Uint8Array {
  const bytes = text.length === 40 ? fromHex(text) : text.length === 32 ? fromBase32(text) : undefined;
  if (bytes === undefined) throw notMagnet('its infohash is neither 40 hexadecimal digits nor 32 of base32');
  return bytes;
}

/** RFC 4648, section 6, without padding; undefined if a character is outside the alphabet. */
function fromBase32(text: string): Uint8Array | undefined {
  const bytes = new Uint8Array(Math.floor((text.length * 5) / 8));
  let bits = 0;
  let bitCount = 0;
  let filled = 0;
  for (const character of text.toUpperCase()) {
    const digit = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'.indexOf(character);
    if (digit < 0) return undefined;
    bits = ((bits << 5) | digit) & 0xfff;
    bitCount += 5;
    if (bitCount >= 8) {
      bitCount -= 8;
      bytes[filled++] = (bits >> bitCount) & 0xff;
    }
  }
  return bytes;
}

/** An IP literal or a host name, with a port. */
function parsePeer(text: string): Address {
  const address = parseAddress(text);
  if (address !== undefined && address.port > 0) return address;
  const match = /^([a-z0-9-]+(?:\.[a-z0-9-]+)*):([0-9]{1,5})$/i.exec(text);
  const [, host, portText] = match ?? [];
  const port = Number(portText);
  // A name does not end in a number: that is a mistyped IPv4 address.
  if (host === undefined || host.length > 253 || /(^|\.)\d+$/.test(host) || !(port > 0 && port < 65_536)) {
    throw notMagnet(`'${text.slice(0, 100)}' is no address of a peer, as 'x.pe=HOST:PORT' is`);
  }
  return { host: host.toLowerCase(), port };
}

function decodePercent(text: string, key: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw notMagnet(`the percent-encoding of '${key}' is broken`);
  }
}

function notMagnet(why: string): MetainfoError {
  return new MetainfoError('not-a-magnet', `This is not a magnet link: ${why}.`);
}
