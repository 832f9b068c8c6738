/** Codecs of the wire: bytes to values and back, no I/O. */
export * from './bencode.ts';
export * from './extension-messages.ts';
export * from './peer-messages.ts';
