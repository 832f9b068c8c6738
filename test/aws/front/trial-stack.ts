/** A stack of one of each that the front, or `../cloudformation/`, supplies something for. */
import type { Account } from '../account.ts';

/** A template of CloudFormation, whose outputs name what it made. */
export function trialTemplate({ vpcCidr, region, amiParameter }: Account): object {
  const resources = {
    Vpc: { Type: 'AWS::EC2::VPC', Properties: { CidrBlock: vpcCidr } },
    Subnet: {
      Type: 'AWS::EC2::Subnet',
      Properties: {
        VpcId: { Ref: 'Vpc' },
        CidrBlock: vpcCidr.replace('.0.0/16', '.16.0/20'),
        AvailabilityZone: `${region}b`,
      },
    },
    Group: {
      Type: 'AWS::EC2::SecurityGroup',
      Properties: { GroupDescription: 'each other', VpcId: { Ref: 'Vpc' } },
    },
    Rule: {
      Type: 'AWS::EC2::SecurityGroupIngress',
      Properties: {
        GroupId: { 'Fn::GetAtt': ['Group', 'GroupId'] },
        SourceSecurityGroupId: { 'Fn::GetAtt': ['Group', 'GroupId'] },
        IpProtocol: 'udp',
        FromPort: 6881,
        ToPort: 6881,
      },
    },
    Role: {
      Type: 'AWS::IAM::Role',
      Properties: { AssumeRolePolicyDocument: { Version: '2012-10-17', Statement: [] } },
    },
    Profile: { Type: 'AWS::IAM::InstanceProfile', Properties: { Roles: [{ Ref: 'Role' }] } },
    Template: {
      Type: 'AWS::EC2::LaunchTemplate',
      Properties: {
        LaunchTemplateData: {
          ImageId: { Ref: 'Ami' },
          InstanceInitiatedShutdownBehavior: 'terminate',
          IamInstanceProfile: { Arn: { 'Fn::GetAtt': ['Profile', 'Arn'] } },
          TagSpecifications: [{ ResourceType: 'instance', Tags: [{ Key: 'made-by', Value: 'template' }] }],
        },
      },
    },
    Scaled: {
      Type: 'AWS::AutoScaling::AutoScalingGroup',
      Properties: {
        MinSize: '0',
        MaxSize: '0',
        DesiredCapacity: '0',
        VPCZoneIdentifier: [{ Ref: 'Subnet' }],
        LaunchTemplate: { LaunchTemplateId: { Ref: 'Template' }, Version: '1' },
      },
    },
    Queue: { Type: 'AWS::SQS::Queue' },
    Ended: {
      Type: 'AWS::Events::Rule',
      Properties: {
        EventPattern: { source: ['aws.ec2'], detail: { state: ['terminated'] } },
        Targets: [{ Id: 'queue', Arn: { 'Fn::GetAtt': ['Queue', 'Arn'] } }],
      },
    },
    Zone: {
      Type: 'AWS::Route53::HostedZone',
      Properties: { Name: 'front.internal', VPCs: [{ VPCId: { Ref: 'Vpc' }, VPCRegion: region }] },
    },
    Project: {
      Type: 'AWS::CodeBuild::Project',
      Properties: {
        Source: { Type: 'NO_SOURCE', BuildSpec: 'version: 0.2' },
        Artifacts: { Type: 'NO_ARTIFACTS' },
        ServiceRole: { 'Fn::GetAtt': ['Role', 'Arn'] },
        Environment: {
          Type: 'LINUX_CONTAINER',
          Image: 'aws/codebuild/standard:7.0',
          ComputeType: 'BUILD_GENERAL1_SMALL',
          EnvironmentVariables: [{ Name: 'PLACE', Value: 'of the project' }],
        },
      },
    },
    Bucket: { Type: 'AWS::S3::Bucket', Properties: { Tags: [{ Key: 'kept', Value: 'yes' }] } },
    Secret: {
      Type: 'AWS::SecretsManager::Secret',
      Properties: {
        GenerateSecretString: {
          SecretStringTemplate: '{}',
          GenerateStringKey: 'token',
          PasswordLength: 64,
          ExcludePunctuation: true,
        },
      },
    },
  };
  const named = ['Subnet', 'Template', 'Scaled', 'Queue', 'Zone', 'Project', 'Bucket', 'Secret'];
  return {
    Parameters: { Ami: { Type: 'AWS::SSM::Parameter::Value<AWS::EC2::Image::Id>', Default: amiParameter } },
    Resources: resources,
    Outputs: {
      ...Object.fromEntries(named.map((name) => [name, { Value: { Ref: name } }])),
      Group: { Value: { 'Fn::GetAtt': ['Group', 'GroupId'] } },
    },
  };
}
