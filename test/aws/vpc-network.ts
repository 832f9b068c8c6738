/** The bridge network that stands for a VPC: a range of its own, in which every address can be given to a container. */
import type Docker from 'dockerode';

export interface VpcNetwork {
  readonly cidr: string;
  /** This machine's address in it, which in a VPC would be the router's. */
  readonly gateway: string;
  remove(): Promise<void>;
}

/** Of 10.0.0.0/8, where the engine makes no networks by itself. */
const firstCandidate = 64;
const candidates = 64;
const overlaps = /overlaps with other one|conflicts with network/;
const notFound = 404;

/** Takes the first range that no other network has. */
export async function createVpcNetwork({ docker }: { docker: Docker }, name: string): Promise<VpcNetwork> {
  for (let second = firstCandidate; second < firstCandidate + candidates; second++) {
    const cidr = `10.${second}.0.0/16`;
    const gateway = `10.${second}.0.1`;
    try {
      const network = await docker.createNetwork({
        Name: name,
        CheckDuplicate: true,
        Labels: { [name]: 'vpc' },
        IPAM: { Config: [{ Subnet: cidr, Gateway: gateway }] },
      });
      return {
        cidr,
        gateway,
        remove: async () => {
          await network.remove().catch((error: { statusCode?: number }) => {
            if (error.statusCode !== notFound) throw error;
          });
        },
      };
    } catch (error) {
      if (!overlaps.test((error as Error).message)) throw error;
    }
  }
  throw new Error('no range of 10.64.0.0/10 is free for a network: remove some with docker network prune');
}
