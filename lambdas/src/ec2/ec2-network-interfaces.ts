/** `NetworkInterfaces` on EC2, by the deployment's tag. */
import {
  DeleteNetworkInterfaceCommand,
  type EC2Client,
  paginateDescribeNetworkInterfaces,
} from '@aws-sdk/client-ec2';
import { tagKeys } from '@skep/contract';
import type { NetworkInterface, NetworkInterfaces } from './instances.ts';

export class Ec2NetworkInterfaces implements NetworkInterfaces {
  readonly #ec2: EC2Client;
  readonly #deployment: string;

  constructor(components: { ec2: EC2Client }, options: { deployment: string }) {
    this.#ec2 = components.ec2;
    this.#deployment = options.deployment;
  }

  async list(clusterUid?: string): Promise<readonly NetworkInterface[]> {
    const Filters = [
      { Name: `tag:${tagKeys.deployment}`, Values: [this.#deployment] },
      { Name: 'tag-key', Values: [tagKeys.token] },
      ...(clusterUid === undefined ? [] : [{ Name: `tag:${tagKeys.uid}`, Values: [clusterUid] }]),
    ];
    const found: NetworkInterface[] = [];
    for await (const page of paginateDescribeNetworkInterfaces({ client: this.#ec2 }, { Filters })) {
      for (const { NetworkInterfaceId, Status } of page.NetworkInterfaces ?? []) {
        if (NetworkInterfaceId === undefined) continue;
        found.push({ networkInterfaceId: NetworkInterfaceId, inUse: Status !== 'available' });
      }
    }
    return found;
  }

  async delete(networkInterfaceId: string): Promise<string | undefined> {
    try {
      await this.#ec2.send(new DeleteNetworkInterfaceCommand({ NetworkInterfaceId: networkInterfaceId }));
      return undefined;
    } catch (error) {
      const { name, message } = error as Error;
      if (name === 'InvalidNetworkInterfaceID.NotFound') return undefined;
      return `${networkInterfaceId} could not be deleted: ${name}: ${message}`;
    }
  }
}
