/**
 * What an instance is in truth: a container of the image that its AMI was registered with, at the instance's own address
 * in a bridge network that stands for the VPC. Its link-local addresses are those under which EC2 offers metadata and
 * names; the instance image (`../instance/`) listens there, and passes on to the front.
 */
import type Docker from 'dockerode';

export interface Guest {
  /** Resolves when it has ended, by whatever cause. */
  readonly exited: Promise<void>;
  /** The last of what it printed. */
  output(mostBytes: number): Promise<string>;
  /** Kills it, if it runs, and leaves nothing. */
  end(): Promise<void>;
}

export interface Guests {
  start(order: { name: string; image: string; address: string }): Promise<Guest>;
}

export interface DockerGuestsOptions {
  /** Name of the network, whose range holds all addresses. */
  readonly network: string;
  /** Marks all that is made for one front. */
  readonly label: string;
  /** Of each guest: how it finds the front. */
  readonly environment: Readonly<Record<string, string>>;
}

/** https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html */
export const metadataAddress = '169.254.169.254';
/** https://docs.aws.amazon.com/vpc/latest/userguide/AmazonDNS-concepts.html */
export const resolverAddress = '169.254.169.253';

const tailLines = 2_000;
const notFound = 404;
const alreadyEnding = 409;

export class DockerGuests implements Guests {
  readonly #docker: Docker;
  readonly #options: DockerGuestsOptions;

  constructor({ docker }: { docker: Docker }, options: DockerGuestsOptions) {
    this.#docker = docker;
    this.#options = options;
  }

  async start({ name, image, address }: Parameters<Guests['start']>[0]): Promise<Guest> {
    const { network, label, environment } = this.#options;
    const container = await this.#docker.createContainer({
      name: `${label}-${name}`,
      Hostname: `ip-${address.replaceAll('.', '-')}`,
      Image: image,
      // One stream, as a serial console is.
      Tty: true,
      Env: Object.entries(environment).map(([key, value]) => `${key}=${value}`),
      Labels: { [label]: name },
      HostConfig: { NetworkMode: network, Dns: [resolverAddress] },
      NetworkingConfig: {
        EndpointsConfig: {
          [network]: {
            IPAMConfig: { IPv4Address: address, LinkLocalIPs: [metadataAddress, resolverAddress] },
          },
        },
      },
    });
    try {
      await container.start();
    } catch (error) {
      await container.remove({ force: true, v: true });
      throw error;
    }
    return {
      exited: container.wait().then(
        () => {},
        () => {},
      ),
      output: async (mostBytes) => {
        const said = await container.logs({ stdout: true, stderr: true, tail: tailLines });
        return said.subarray(-mostBytes).toString('utf8');
      },
      end: async () => {
        try {
          await container.remove({ force: true, v: true });
        } catch (error) {
          const { statusCode } = error as { statusCode?: number };
          if (statusCode === alreadyEnding) await container.wait({ condition: 'removed' });
          else if (statusCode !== notFound) throw error;
        }
      },
    };
  }
}
