/**
 * The certificate that agents know a control API by: self-signed, and the same to the byte whenever it is made from the
 * same seed and name. So it can be handed to machines long before there is a server, and outlives each of them.
 *
 * Ed25519 (RFC 8410), because its signatures are deterministic by construction; ECDSA would draw a nonce, and Node
 * offers no other way. The few structures of X.509 (RFC 5280) that it takes are written out here.
 */
import { createPrivateKey, createPublicKey, sign } from 'node:crypto';
import { isIP } from 'node:net';
import type { ServerIdentity } from '@skep/p2p-core/host';

export const seedBytes = 32;
const serialBytes = 16;

/** `seed` has `seedBytes` bytes. `name` is the DNS name or IP literal by which the server is asked. */
export function serverIdentity(seed: Uint8Array, name: string): ServerIdentity {
  if (seed.length !== seedBytes)
    throw new RangeError(`a seed has ${seedBytes} bytes, this one ${seed.length}`);
  const key = createPrivateKey({ key: der.privateKey(seed), format: 'der', type: 'pkcs8' });
  const publicKey = createPublicKey(key).export({ format: 'der', type: 'spki' });
  const content = der.sequence(
    der.explicit(0, der.integer(Uint8Array.of(2))),
    der.integer(serialOf(publicKey)),
    ed25519,
    der.name(name),
    validity,
    der.name(name),
    publicKey,
    der.explicit(3, der.sequence(...extensionsOf(name))),
  );
  const signature = sign(null, content, key);
  const certificate = der.sequence(content, ed25519, der.bitString(signature));
  return {
    key: key.export({ format: 'pem', type: 'pkcs8' }) as string,
    certificate: pem('CERTIFICATE', certificate),
  };
}

/** Positive, and not zero. */
function serialOf(publicKey: Uint8Array): Uint8Array {
  const serial = Uint8Array.from(publicKey.slice(-serialBytes));
  serial[0] = (serial[0]! & 0x3f) | 0x40;
  return serial;
}

function extensionsOf(name: string): readonly Uint8Array[] {
  const alternative = isIP(name) === 0 ? der.tagged(0x82, ascii(name)) : der.tagged(0x87, ipBytes(name));
  const critical = der.tagged(0x01, Uint8Array.of(0xff));
  const extension = (id: readonly number[], value: Uint8Array, ...flags: Uint8Array[]) =>
    der.sequence(der.objectId(id), ...flags, der.octets(value));
  return [
    extension([2, 5, 29, 19], der.sequence(), critical), // basicConstraints: no authority
    extension([2, 5, 29, 15], Uint8Array.of(0x03, 0x02, 0x07, 0x80), critical), // keyUsage: digitalSignature
    extension([2, 5, 29, 37], der.sequence(der.objectId([1, 3, 6, 1, 5, 5, 7, 3, 1]))), // serverAuth
    extension([2, 5, 29, 17], der.sequence(alternative)), // subjectAltName
  ];
}

function ipBytes(literal: string): Uint8Array {
  const { hostname } = new URL(isIP(literal) === 6 ? `http://[${literal}]` : `http://${literal}`);
  if (isIP(literal) === 4) return Uint8Array.from(hostname.split('.').map(Number));
  const [head = '', tail = ''] = hostname.slice(1, -1).split('::');
  const groups = (text: string) => text.split(':').filter((group) => group !== '');
  const gap = Array.from({ length: 8 - groups(head).length - groups(tail).length }, () => '0');
  return Uint8Array.from(
    [...groups(head), ...gap, ...groups(tail)].flatMap((group) => {
      const value = Number.parseInt(group, 16);
      return [value >> 8, value & 0xff];
    }),
  );
}

/** Distinguished encoding rules (X.690). */
const der = {
  tagged(tag: number, ...parts: readonly Uint8Array[]): Uint8Array {
    const content = Buffer.concat(parts);
    const length =
      content.length < 0x80
        ? [content.length]
        : content.length < 0x100
          ? [0x81, content.length]
          : [0x82, content.length >> 8, content.length & 0xff];
    return Buffer.concat([Uint8Array.of(tag, ...length), content]);
  },
  sequence: (...parts: readonly Uint8Array[]) => der.tagged(0x30, ...parts),
  /** Bytes of a positive number whose first bit is not set. */
  integer: (bytes: Uint8Array) => der.tagged(0x02, bytes),
  octets: (bytes: Uint8Array) => der.tagged(0x04, bytes),
  bitString: (bytes: Uint8Array) => der.tagged(0x03, Uint8Array.of(0), bytes),
  explicit: (number: number, content: Uint8Array) => der.tagged(0xa0 + number, content),
  objectId([first = 0, second = 0, ...rest]: readonly number[]): Uint8Array {
    return der.tagged(0x06, Uint8Array.of(first * 40 + second, ...rest));
  },
  /** A distinguished name of a common name alone, which has no more than 64 characters; the whole is in subjectAltName. */
  name(commonName: string): Uint8Array {
    const value = der.tagged(0x0c, ascii(commonName.slice(0, 64)));
    return der.sequence(der.tagged(0x31, der.sequence(der.objectId([2, 5, 4, 3]), value)));
  },
  privateKey(seed: Uint8Array): Buffer {
    const content = der.sequence(der.integer(Uint8Array.of(0)), ed25519, der.octets(der.octets(seed)));
    return Buffer.from(content);
  },
};

const ed25519 = der.sequence(der.objectId([1, 3, 101, 112]));
/** From before there was Skep until the end that RFC 5280 has for what has none: it is replaced with its seed. */
const validity = der.sequence(
  der.tagged(0x17, ascii('200101000000Z')),
  der.tagged(0x18, ascii('99991231235959Z')),
);

function ascii(text: string): Uint8Array {
  return Uint8Array.from(text, (char) => char.charCodeAt(0));
}

function pem(label: string, bytes: Uint8Array): string {
  const lines = Buffer.from(bytes)
    .toString('base64')
    .match(/.{1,64}/g)!;
  return [`-----BEGIN ${label}-----`, ...lines, `-----END ${label}-----`, ''].join('\n');
}
