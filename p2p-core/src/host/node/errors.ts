/** What Node and the system say went wrong, as HostError: one stable code, and a sentence with a way out. */
import type { HostErrorCode } from '../host.ts';
import { HostError } from '../host.ts';

const CODES: Readonly<Record<string, readonly [HostErrorCode, string]>> = {
  ECONNREFUSED: ['refused', 'nobody listens there; check the address, or start what should'],
  ETIMEDOUT: ['timeout', 'no answer in time; check that the machine is up and reachable'],
  UND_ERR_CONNECT_TIMEOUT: ['timeout', 'no answer in time; check that the machine is up and reachable'],
  UND_ERR_HEADERS_TIMEOUT: ['timeout', 'the server took the request and did not answer in time'],
  UND_ERR_BODY_TIMEOUT: ['timeout', 'the server stopped sending in the middle of its answer'],
  ECONNRESET: ['reset', 'the other side dropped the connection; try again'],
  ECONNABORTED: ['reset', 'the connection was aborted; try again'],
  EPIPE: ['reset', 'the other side dropped the connection; try again'],
  UND_ERR_SOCKET: ['reset', 'the other side dropped the connection; try again'],
  EHOSTUNREACH: ['unreachable', 'there is no route to it; check the network'],
  ENETUNREACH: ['unreachable', 'there is no route to it; check the network'],
  ENETDOWN: ['unreachable', 'the network is down'],
  EADDRINUSE: ['address-in-use', 'another program has this port; choose another, or 0 for a free one'],
  EADDRNOTAVAIL: ['address-unavailable', 'this machine does not have that address'],
  ENOTFOUND: ['name-not-found', 'no such name; check its spelling and the resolver'],
  EAI_AGAIN: ['name-not-found', 'the name could not be looked up; check the resolver and try again'],
  EAI_NODATA: ['name-not-found', 'the name has no address'],
  EAI_FAIL: ['name-not-found', 'the name could not be looked up; check the resolver'],
  ENOENT: ['not-found', 'it does not exist'],
  ENOTDIR: ['not-found', 'a part of the path is not a directory'],
  EEXIST: ['exists', 'it exists already'],
  EACCES: ['permission', 'it may not be used by this user; check owner and mode'],
  EPERM: ['permission', 'it may not be used by this user; check owner and mode'],
  EROFS: ['permission', 'the file system is mounted read-only'],
  ENOSPC: ['disk-full', 'no space left; free some and try again'],
  EDQUOT: ['disk-full', 'the quota is used up; free some space and try again'],
  EFBIG: ['disk-full', 'the file system or a limit takes no file that long'],
  ...untrusted(
    'the server shows a certificate of its own that is not among those trusted; check whose it is',
  )(
    'DEPTH_ZERO_SELF_SIGNED_CERT',
    'SELF_SIGNED_CERT_IN_CHAIN',
    'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
    'UNABLE_TO_GET_ISSUER_CERT',
    'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
    'CERT_SIGNATURE_FAILURE',
    'CERT_UNTRUSTED',
  ),
  ...untrusted('the certificate of the server is for another name; ask it by the name that it has')(
    'ERR_TLS_CERT_ALTNAME_INVALID',
  ),
  ...untrusted('the certificate of the server is not valid now; check the clock, or have it renewed')(
    'CERT_HAS_EXPIRED',
    'CERT_NOT_YET_VALID',
  ),
  ERR_SSL_WRONG_VERSION_NUMBER: ['refused', 'the server does not speak TLS there; check scheme and port'],
  ELOOP: ['unsafe-path', 'a symbolic link stands where a file was expected; remove it'],
  EMFILE: ['io', 'too many open files; raise the limit (ulimit -n)'],
  ENFILE: ['io', 'the system has too many open files'],
  EISDIR: ['io', 'it is a directory'],
  ERR_STREAM_DESTROYED: ['closed', 'the connection was closed already'],
  EBADF: ['closed', 'it was closed already'],
};

/** The same of each of some codes. */
function untrusted(advice: string): (...codes: string[]) => Record<string, readonly [HostErrorCode, string]> {
  return (...codes) => Object.fromEntries(codes.map((code) => [code, ['untrusted', advice]]));
}

/** `error` as HostError; one that is none yet gets the code of its errno, or `io`. `doing` begins the sentence. */
export function hostErrorFrom(error: unknown, doing: string): HostError {
  if (error instanceof HostError) return error;
  const code = errnoOf(error);
  const [hostCode, advice] = CODES[code ?? ''] ?? ['io', messageOf(error)];
  return new HostError(hostCode, `${doing}: ${advice}${code === undefined ? '' : ` (${code})`}`, {
    cause: error,
  });
}

/** The system's code of an error, looked for in its causes too, as fetch and happy eyeballs wrap it. */
function errnoOf(error: unknown): string | undefined {
  for (let depth = 0; depth < 4 && typeof error === 'object' && error !== null; depth++) {
    if ('code' in error && typeof error.code === 'string') return error.code;
    if (error instanceof AggregateError) error = error.errors[0];
    else error = 'cause' in error ? error.cause : undefined;
  }
  return undefined;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
