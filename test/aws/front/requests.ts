/** What of EC2's requests the front answers itself, as far as a deployment of Skep uses them: schemas, and nothing else. */
import * as z from 'zod';

const Tag = z.object({ Key: z.string(), Value: z.string().default('') });
export type Tag = z.infer<typeof Tag>;

const Filters = z.array(z.object({ Name: z.string(), Value: z.array(z.string()).min(1) })).default([]);
export type Filters = z.infer<typeof Filters>;

/** https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_RunInstances.html */
export const RunInstances = z.object({
  MinCount: z.literal('1'),
  MaxCount: z.literal('1'),
  ClientToken: z.string().max(64).optional(),
  LaunchTemplate: z
    .object({
      LaunchTemplateId: z.string().optional(),
      LaunchTemplateName: z.string().optional(),
      Version: z.string().default('$Default'),
    })
    .optional(),
  ImageId: z.string().optional(),
  InstanceType: z.string().optional(),
  SubnetId: z.string().optional(),
  PrivateIpAddress: z.string().optional(),
  UserData: z.base64().optional(),
  InstanceInitiatedShutdownBehavior: z.enum(['stop', 'terminate']).optional(),
  IamInstanceProfile: z.object({ Arn: z.string().optional(), Name: z.string().optional() }).optional(),
  SecurityGroupId: z.array(z.string()).optional(),
  NetworkInterface: z
    .array(
      z.object({
        DeviceIndex: z.literal('0'),
        SubnetId: z.string().optional(),
        PrivateIpAddress: z.string().optional(),
        SecurityGroupId: z.array(z.string()).optional(),
        DeleteOnTermination: z.literal('true').default('true'),
      }),
    )
    .length(1)
    .optional(),
  TagSpecification: z.array(z.object({ ResourceType: z.string(), Tag: z.array(Tag) })).default([]),
});
export type RunInstances = z.infer<typeof RunInstances>;

export const DescribeInstances = z.object({
  InstanceId: z.array(z.string()).default([]),
  Filter: Filters,
});

export const TerminateInstances = z.object({ InstanceId: z.array(z.string()).min(1) });

export const GetConsoleOutput = z.object({ InstanceId: z.string() });

export const DescribeNetworkInterfaces = z.object({
  NetworkInterfaceId: z.array(z.string()).default([]),
  Filter: Filters,
});

export const DeleteNetworkInterface = z.object({ NetworkInterfaceId: z.string() });
