/**
 * Instances that run a container: the AMI, the instance type, the volume. The AMI is the ECS-optimised Amazon Linux 2023,
 * for it comes with Docker and the agent of Session Manager, so that nothing of weight is installed at a start.
 */
import * as ec2 from 'aws-cdk-lib/aws-ec2';

export type Architecture = 'arm64' | 'x86_64';

export interface ContainerHostProps {
  /** @default arm64 */
  readonly architecture?: Architecture;
  /**
   * Of the same architecture.
   * @default t4g.small, or t3.small for x86_64
   */
  readonly instanceType?: string;
  /**
   * Name of the SSM parameter that holds the AMI: one with systemd, cloud-init and a running Docker.
   * @default - the ECS-optimised Amazon Linux 2023 of the architecture
   */
  readonly amiParameter?: string;
}

export const defaultArchitecture: Architecture = 'arm64';

const defaultInstanceTypes: Record<Architecture, string> = { arm64: 't4g.small', x86_64: 't3.small' };
const amiParameters: Record<Architecture, string> = {
  arm64: '/aws/service/ecs/optimized-ami/amazon-linux-2023/arm64/recommended/image_id',
  x86_64: '/aws/service/ecs/optimized-ami/amazon-linux-2023/recommended/image_id',
};
/** Of Amazon Linux. */
const rootDevice = '/dev/xvda';

/** Properties of a launch template. Throws if the instance type is none, or of another architecture. */
export function containerHost({
  architecture = defaultArchitecture,
  instanceType,
  amiParameter,
}: ContainerHostProps): Required<Pick<ec2.LaunchTemplateProps, 'machineImage' | 'instanceType'>> {
  const type = instanceType ?? defaultInstanceTypes[architecture];
  checkInstanceType(type, architecture);
  return {
    machineImage: ec2.MachineImage.fromSsmParameter(amiParameter ?? amiParameters[architecture]),
    instanceType: new ec2.InstanceType(type),
  };
}

/** Throws unless instances of this type run programs of this architecture. */
export function checkInstanceType(instanceType: string, architecture: Architecture): void {
  let found: ec2.InstanceArchitecture;
  try {
    found = new ec2.InstanceType(instanceType).architecture;
  } catch {
    throw new Error(`${instanceType} is no instance type: give one as ${defaultInstanceTypes[architecture]}`);
  }
  if (found !== (architecture as string)) {
    throw new Error(
      `${instanceType} is ${found}, and the image is built for ${architecture}: give another type, or architecture=${found}`,
    );
  }
}

export function rootVolume(volumeGiB: number): ec2.BlockDevice {
  return {
    deviceName: rootDevice,
    volume: ec2.BlockDeviceVolume.ebs(volumeGiB, {
      volumeType: ec2.EbsDeviceVolumeType.GP3,
      encrypted: true,
      deleteOnTermination: true,
    }),
  };
}
