/** Codecs of the wire: bytes to values and back, no I/O. */
export * from './bencode.ts';
