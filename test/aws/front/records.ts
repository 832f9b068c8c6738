/** What MiniStack keeps as records, and the front acts by: launch templates, subnets, images. Read through its API. */
import {
  DescribeImagesCommand,
  DescribeLaunchTemplateVersionsCommand,
  DescribeSubnetsCommand,
  type EC2Client,
  type ResponseLaunchTemplateData,
} from '@aws-sdk/client-ec2';
import { Ec2Refusal } from './query-protocol.ts';
import type { RunInstances } from './requests.ts';

export interface Subnet {
  readonly subnetId: string;
  readonly vpcId: string;
  readonly zone: string;
  readonly cidr: string;
}

export interface Records {
  /** Throws `InvalidLaunchTemplateId.NotFound`. */
  template(reference: NonNullable<RunInstances['LaunchTemplate']>): Promise<ResponseLaunchTemplateData>;
  /** Throws `InvalidSubnetID.NotFound`. */
  subnet(subnetId: string): Promise<Subnet>;
  /**
   * The container image that this AMI stands for: its description, for MiniStack does not tell the location that it was
   * registered with. Throws `InvalidAMIID.NotFound`.
   */
  containerImage(imageId: string): Promise<string>;
}

export class MiniStackRecords implements Records {
  readonly #ec2: EC2Client;

  constructor({ ec2 }: { ec2: EC2Client }) {
    this.#ec2 = ec2;
  }

  async template({ LaunchTemplateId, LaunchTemplateName, Version }: Parameters<Records['template']>[0]) {
    const { LaunchTemplateVersions = [] } = await this.#ec2.send(
      new DescribeLaunchTemplateVersionsCommand({
        LaunchTemplateId,
        LaunchTemplateName,
        Versions: [Version],
      }),
    );
    const data = LaunchTemplateVersions[0]?.LaunchTemplateData;
    if (data !== undefined) return data;
    const name = LaunchTemplateId ?? LaunchTemplateName;
    throw new Ec2Refusal(
      'InvalidLaunchTemplateId.NotFound',
      `The launch template ${name} has no version ${Version}`,
    );
  }

  async subnet(subnetId: string): Promise<Subnet> {
    const { Subnets = [] } = await this.#ec2.send(new DescribeSubnetsCommand({}));
    const found = Subnets.find((subnet) => subnet.SubnetId === subnetId);
    if (found === undefined) {
      throw new Ec2Refusal('InvalidSubnetID.NotFound', `The subnet ID '${subnetId}' does not exist`);
    }
    return { subnetId, vpcId: found.VpcId!, zone: found.AvailabilityZone!, cidr: found.CidrBlock! };
  }

  async containerImage(imageId: string): Promise<string> {
    const { Images = [] } = await this.#ec2.send(new DescribeImagesCommand({ Owners: ['self'] }));
    const found = Images.find((image) => image.ImageId === imageId)?.Description;
    if (found !== undefined) return found;
    throw new Ec2Refusal('InvalidAMIID.NotFound', `The image id '[${imageId}]' does not exist`);
  }
}
