/**
 * What runs first on an instance that is a container: its link-local services, its door for sessions, and cloud-init's
 * part. Whatever is printed is the instance's console.
 */
import { runUserData } from './cloud-init.ts';
import { forwardDatagrams, forwardStreams } from './link-local.ts';
import { openSessionDoor } from './session-door.ts';

const metadataAddress = '169.254.169.254';
const resolverAddress = '169.254.169.253';
const httpPort = 80;
const dnsPort = 53;

process.on('SIGTERM', () => process.exit(0));

await forwardStreams({ address: metadataAddress, port: httpPort }, endpointIn('EMULATED_METADATA'));
await forwardDatagrams({ address: resolverAddress, port: dnsPort }, endpointIn('EMULATED_RESOLVER'));
await openSessionDoor();
await runUserData(`http://${metadataAddress}`);

function endpointIn(variable: string): { address: string; port: number } {
  const [address, port] = (process.env[variable] ?? '').split(':');
  if (!address || !port) throw new Error(`${variable} must be set to address:port`);
  return { address, port: Number(port) };
}
