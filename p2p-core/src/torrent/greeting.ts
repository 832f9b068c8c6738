/** The first words to a peer: what we have, which extensions we speak, where our DHT node is. */
import { encodeExtensionHandshake, LOCAL_EXTENSIONS } from '../wire/extension-messages.ts';
import type { HandshakeFlags } from '../wire/peer-messages.ts';
import type { Bitfield } from './bitfield.ts';
import type { Peer } from './peer.ts';
import { MAX_QUEUED_REQUESTS } from './uploads.ts';

export interface Greeting {
  readonly supports: HandshakeFlags;
  readonly clientName: string;
  readonly listenPort: number;
  readonly dhtPort: number | undefined;
  /** Of the info dictionary, once it is known. */
  readonly metadataSize: number | undefined;
}

/** To be the first that is sent after the handshake. `have` is undefined until it is known. */
export function greet(peer: Peer, greeting: Greeting, have: Bitfield | undefined): void {
  const { connection } = peer;
  if (connection.isFast && (have === undefined || have.count === 0)) connection.send({ type: 'have-none' });
  else if (connection.isFast && have?.isFull) connection.send({ type: 'have-all' });
  else if (have !== undefined && have.count > 0) connection.send({ type: 'bitfield', bits: have.toBytes() });
  sendExtensions(peer, greeting);
  if (greeting.dhtPort !== undefined && greeting.supports.dht && connection.remoteSupports.dht) {
    connection.send({ type: 'port', port: greeting.dhtPort });
  }
}

/** The extension handshake (BEP 10); may be sent again when it says more than before. */
export function sendExtensions(peer: Peer, { clientName, listenPort, metadataSize }: Greeting): void {
  if (!peer.connection.remoteSupports.extensions) return;
  const payload = encodeExtensionHandshake({
    ids: LOCAL_IDS,
    client: clientName,
    listenPort,
    metadataSize,
    requestQueue: MAX_QUEUED_REQUESTS,
  });
  peer.connection.send({ type: 'extended', id: 0, payload });
}

const LOCAL_IDS = new Map(Object.entries(LOCAL_EXTENSIONS));
