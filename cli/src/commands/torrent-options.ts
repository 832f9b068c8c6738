/** The options that `seed` and `get` share, and the node they make of them. */
import { createNode, type Node } from '@skep/p2p-core';
import { addressFamily, type Host } from '@skep/p2p-core/host';
import { type Command, InvalidArgumentError } from 'commander';
import {
  collected,
  type HostAndPort,
  parseHostAndPort,
  parsePort,
  parseRate,
  parseTracker,
} from '../arguments.ts';
import { resolveAll } from './torrent-source.ts';

export interface NodeFlags {
  readonly json?: boolean;
  readonly host: string;
  readonly port: number;
  readonly tracker?: readonly string[];
  readonly dhtBootstrap?: readonly HostAndPort[];
  /** False by --no-dht. */
  readonly dht: boolean;
  readonly peer?: readonly HostAndPort[];
  readonly uploadLimit?: number;
  readonly downloadLimit?: number;
}

export function withNodeOptions(command: Command): Command {
  return command
    .option('--host <ip>', 'address to listen at', parseIpLiteral, '0.0.0.0')
    .option('--port <port>', 'TCP and UDP port to listen at; 0 is any free one', parsePort, 0)
    .option('--tracker <url>', 'announce there too; may be repeated', collected(parseTracker))
    .option('--peer <host:port>', 'connect to this peer; may be repeated', collected(parseHostAndPort))
    .option(
      '--dht-bootstrap <host:port>',
      'enter the DHT there; may be repeated',
      collected(parseHostAndPort),
    )
    .option('--no-dht', 'neither ask nor serve the DHT')
    .option('--upload-limit <rate>', 'bytes a second, as in 512K or 2M; 0 is unlimited', parseRate)
    .option('--download-limit <rate>', 'bytes a second, as in 512K or 2M; 0 is unlimited', parseRate)
    .option('--json', 'print one JSON object for programs');
}

/** Starts the node. `isPrivate` torrents are for their trackers alone (BEP 27). */
export async function openNode(host: Host, flags: NodeFlags, isPrivate: boolean): Promise<Node> {
  const bootstrap = await resolveAll(host, flags.dhtBootstrap ?? []);
  return createNode(
    { host },
    {
      listen: { host: flags.host, port: flags.port },
      dht: flags.dht && !isPrivate ? { bootstrap } : false,
      ...(flags.uploadLimit ? { uploadBytesPerSecond: flags.uploadLimit } : {}),
      ...(flags.downloadLimit ? { downloadBytesPerSecond: flags.downloadLimit } : {}),
    },
  );
}

function parseIpLiteral(text: string): string {
  if (addressFamily(text) === undefined)
    throw new InvalidArgumentError('Give an IP address, for instance 127.0.0.1.');
  return text;
}
