/** Who may do what, by evaluating the policies of the stack: the functions' rights are apart, and bound to the tag. */
import { Template } from 'aws-cdk-lib/assertions';
import { describe, expect, it } from 'vitest';
import { account, Permissions, type Principal, type Request, region, stackId } from '../testing/policies.ts';
import { resourcesOf, skepStack } from '../testing/synthesis.ts';

const deployment = 'Bees';
const permissions = new Permissions(resourcesOf(Template.fromStack(skepStack({ spotRoles: ['peer'] }))));

const functionRoles = ['Build', 'Deploy', 'RunTests', 'Teardown', 'Watchdog', 'Reap', 'Lifecycle'].map(
  (name) => `Functions${name}Role`,
);
const machineRole = 'FleetRole';
const controlRole = 'ControlPlaneRole';
const everyRole = [...functionRoles, machineRole, controlRole, 'ImageRole'];

const ec2 = (kind: string, id: string) => `arn:aws:ec2:${region}:${account}:${kind}/${id}`;
const instance = ec2('instance', 'i-0123456789abcdef0');
const interfaceArn = ec2('network-interface', 'eni-0123456789abcdef0');
const tags = (values: Record<string, string>) =>
  Object.fromEntries(Object.entries(values).map(([key, value]) => [`aws:ResourceTag/${key}`, value]));
const machine = tags({ 'skep:cluster': deployment, 'skep:token': 'a'.repeat(64) });

const terminate = (context: Request['context'] = machine): Request => ({
  action: 'ec2:TerminateInstances',
  resource: instance,
  context,
});

const template = permissions.named('AWS::EC2::LaunchTemplate', 'PeerTemplate');
const fromTemplate = { 'ec2:LaunchTemplate': ec2('launch-template', template) };
const bornTagged = { 'aws:RequestTag/skep:cluster': deployment };
const run = (resource: string, context: Request['context'] = {}): Request => ({
  action: 'ec2:RunInstances',
  resource,
  context,
});

const rows = (partition: string, action = 'dynamodb:PutItem'): Request => ({
  action,
  resource: permissions.named('AWS::DynamoDB::Table', 'Table'),
  context: { 'dynamodb:LeadingKeys': [partition] },
});
const invoke = (name: string): Request => ({
  action: 'lambda:InvokeFunction',
  resource: permissions.named('AWS::Lambda::Function', `Functions${name}`),
});

const zone = `arn:aws:route53:::hostedzone/${permissions.named('AWS::Route53::HostedZone', 'Zone')}`;
const setName = (name: string, type: string, action = 'UPSERT'): Request => ({
  action: 'route53:ChangeResourceRecordSets',
  resource: zone,
  context: {
    'route53:ChangeResourceRecordSetsNormalizedRecordNames': [name],
    'route53:ChangeResourceRecordSetsRecordTypes': [type],
    'route53:ChangeResourceRecordSetsActions': [action],
  },
});

async function allowed(principal: Principal, requests: readonly Request[]): Promise<boolean[]> {
  return Promise.all(requests.map((request) => principal.may(request)));
}

/** Of these roles, those that may. */
async function whoMay(request: Request, roles: readonly string[] = everyRole): Promise<string[]> {
  const answers = await Promise.all(roles.map((role) => permissions.of(role).may(request)));
  return roles.filter((_, index) => answers[index]);
}

describe('launching', () => {
  const deploy = permissions.of('FunctionsDeployRole');

  it('is for deploy, with all that one launch touches', async () => {
    const launch = [
      run(instance, { ...bornTagged, ...fromTemplate }),
      run(ec2('volume', '*'), bornTagged),
      run(ec2('network-interface', '*'), bornTagged),
      run(ec2('launch-template', template)),
      run(ec2('subnet', permissions.named('AWS::EC2::Subnet', 'NodesSubnet1Subnet'))),
      run(ec2('security-group', permissions.named('AWS::EC2::SecurityGroup', 'FleetSecurityGroup'))),
      run(`arn:aws:ec2:${region}::image/ami-0123456789abcdef0`),
      { action: 'ec2:CreateTags', resource: instance, context: { 'ec2:CreateAction': 'RunInstances' } },
      {
        action: 'iam:PassRole',
        resource: permissions.named('AWS::IAM::Role', machineRole),
        context: { 'iam:PassedToService': 'ec2.amazonaws.com' },
      },
    ];
    expect(await allowed(deploy, launch)).toEqual(launch.map(() => true));
  });

  it.each([
    ['without the tag', run(instance, fromTemplate)],
    [
      'with another deployment’s tag',
      run(instance, { 'aws:RequestTag/skep:cluster': 'Wasps', ...fromTemplate }),
    ],
    ['from no template', run(instance, bornTagged)],
    [
      'from another template',
      run(instance, { ...bornTagged, 'ec2:LaunchTemplate': ec2('launch-template', 'lt-0123456789abcdef0') }),
    ],
    ['into another subnet', run(ec2('subnet', 'subnet-0123456789abcdef0'))],
    [
      'into the control API’s subnet',
      run(ec2('subnet', permissions.named('AWS::EC2::Subnet', 'ControlSubnet1Subnet'))),
    ],
    ['in another group', run(ec2('security-group', 'sg-0123456789abcdef0'))],
    [
      'tagging what is there already',
      {
        action: 'ec2:CreateTags',
        resource: instance,
        context: { 'aws:RequestTag/skep:cluster': deployment },
      },
    ],
    [
      'with another role',
      {
        action: 'iam:PassRole',
        resource: permissions.named('AWS::IAM::Role', controlRole),
        context: { 'iam:PassedToService': 'ec2.amazonaws.com' },
      },
    ],
  ])('is not for deploy %s', async (_, request) => {
    expect(await deploy.may(request)).toBe(false);
  });

  it('is for nobody else', async () => {
    expect(await whoMay(run(instance, { ...bornTagged, ...fromTemplate }))).toEqual(['FunctionsDeployRole']);
  });

  it('comes with consoles of own machines, and no others', async () => {
    const console = (context: Request['context']) => ({
      action: 'ec2:GetConsoleOutput',
      resource: instance,
      context,
    });
    expect(await deploy.may(console(tags({ 'skep:cluster': deployment })))).toBe(true);
    expect(await deploy.may(console(tags({ 'skep:cluster': 'Wasps' })))).toBe(false);
  });
});

describe('terminating', () => {
  it('is for teardown and the reaper: not for deploy, nor anybody else', async () => {
    expect(await whoMay(terminate())).toEqual(['FunctionsTeardownRole', 'FunctionsReapRole']);
  });

  it.each([
    ['without tags', {}],
    ['of another deployment', tags({ 'skep:cluster': 'Wasps', 'skep:token': 'a'.repeat(64) })],
    ['that is no machine, as the control plane’s', tags({ 'skep:cluster': deployment })],
  ])('is for nobody of an instance %s', async (_, context) => {
    expect(await whoMay(terminate(context))).toEqual([]);
  });

  it('goes for network interfaces as well', async () => {
    const remove = (context: Request['context']) => ({
      action: 'ec2:DeleteNetworkInterface',
      resource: interfaceArn,
      context,
    });
    expect(await whoMay(remove(machine))).toEqual(['FunctionsTeardownRole', 'FunctionsReapRole']);
    expect(await whoMay(remove(tags({ 'skep:cluster': 'Wasps' })))).toEqual([]);
  });
});

describe('a machine', () => {
  const principal = permissions.of(machineRole);

  it('pulls its image, and lets a person in', async () => {
    const repository = permissions.named('AWS::ECR::Repository', 'Repository');
    const needed = [
      { action: 'ecr:GetAuthorizationToken' },
      { action: 'ecr:BatchGetImage', resource: repository },
      { action: 'ecr:GetDownloadUrlForLayer', resource: repository },
      { action: 'ssmmessages:OpenDataChannel' },
    ];
    expect(await allowed(principal, needed)).toEqual(needed.map(() => true));
  });

  it('may do nothing else: nothing to EC2, no state, no functions, no parameters', () => {
    expect(new Set(principal.actions.map((action) => action.split(':')[0]))).toEqual(
      new Set(['ecr', 'ssm', 'ssmmessages']),
    );
    expect(
      principal.actions.filter((action) => /Put|Upload|Delete|Get(Document|Parameter)|\*/.test(action)),
    ).toEqual([]);
  });

  it('pulls no other image', async () => {
    const resource = `arn:aws:ecr:${region}:${account}:repository/other`;
    expect(await principal.may({ action: 'ecr:BatchGetImage', resource })).toBe(false);
  });
});

describe('the control API', () => {
  const principal = permissions.of(controlRole);
  const bucket = permissions.named('AWS::S3::Bucket', 'Bundles');
  it('has its rows, secrets, queue and name, and two functions to ask', async () => {
    const queue = permissions.named('AWS::SQS::Queue', 'Queue');
    const needed: Request[] = [
      rows('cluster/0123/'),
      rows('order/', 'dynamodb:Query'),
      {
        action: 'secretsmanager:GetSecretValue',
        resource: permissions.named('AWS::SecretsManager::Secret', 'AdminToken'),
      },
      {
        action: 'secretsmanager:GetSecretValue',
        resource: permissions.named('AWS::SecretsManager::Secret', 'Identity'),
      },
      { action: 'sqs:ReceiveMessage', resource: queue },
      { action: 'sqs:DeleteMessage', resource: queue },
      setName('control.bees.internal', 'A'),
      invoke('Deploy'),
      invoke('Teardown'),
    ];
    expect(await allowed(principal, needed)).toEqual(needed.map(() => true));
  });

  it.each([
    ['the other functions', invoke('Reap')],
    ['the build', invoke('Build')],
    ['the bucket', { action: 's3:GetObject', resource: `${bucket}/run/bundle.json` }],
    ['another name of its zone', setName('other.bees.internal', 'A')],
    ['another kind of record', setName('control.bees.internal', 'TXT')],
    ['the end of its name', setName('control.bees.internal', 'A', 'DELETE')],
    ['scans', { action: 'dynamodb:Scan', resource: permissions.named('AWS::DynamoDB::Table', 'Table') }],
    [
      'another table',
      { action: 'dynamodb:GetItem', resource: `arn:aws:dynamodb:${region}:${account}:table/other` },
    ],
    [
      'new secrets',
      {
        action: 'secretsmanager:PutSecretValue',
        resource: permissions.named('AWS::SecretsManager::Secret', 'Identity'),
      },
    ],
  ])('has nothing to do with %s', async (_, request) => {
    expect(await principal.may(request)).toBe(false);
  });

  it('has no right to EC2 at all', () => {
    expect(principal.actions.filter((action) => /^(ec2|autoscaling|iam):/.test(action))).toEqual([]);
  });
});

describe('the other functions', () => {
  it.each([
    ['run-tests leaves orders', 'FunctionsRunTestsRole', rows('order/'), rows('cluster/0123/')],
    ['deploy agrees on launches', 'FunctionsDeployRole', rows('launch/'), rows('cluster/0123/')],
    ['teardown agrees on launches', 'FunctionsTeardownRole', rows('closed/'), rows('order/')],
    ['the watchdog writes as the control API', 'FunctionsWatchdogRole', rows('cluster/0123/'), run(instance)],
    ['the watchdog has machines ended by teardown', 'FunctionsWatchdogRole', invoke('Teardown'), terminate()],
    ['the lifecycle has images built', 'FunctionsLifecycleRole', invoke('Build'), rows('order/')],
    ['the lifecycle tears down by teardown', 'FunctionsLifecycleRole', invoke('Teardown'), terminate()],
    [
      'the lifecycle removes the control API’s name, and sets none',
      'FunctionsLifecycleRole',
      setName('control.bees.internal', 'A', 'DELETE'),
      setName('control.bees.internal', 'A'),
    ],
    [
      'the build function starts builds',
      'FunctionsBuildRole',
      { action: 'codebuild:StartBuild', resource: permissions.named('AWS::CodeBuild::Project', 'Project') },
      { action: 'codebuild:StartBuild', resource: `arn:aws:codebuild:${region}:${account}:project/other` },
    ],
    [
      'the build function sees images, and deletes none',
      'FunctionsBuildRole',
      { action: 'ecr:DescribeImages', resource: permissions.named('AWS::ECR::Repository', 'Repository') },
      { action: 'ecr:BatchDeleteImage', resource: permissions.named('AWS::ECR::Repository', 'Repository') },
    ],
    [
      'the reaper asks for its own stack',
      'FunctionsReapRole',
      { action: 'cloudformation:DescribeStacks', resource: stackId },
      { action: 'cloudformation:DeleteStack', resource: stackId },
    ],
  ])('%s, and no more', async (_, role, may, mayNot) => {
    expect(await allowed(permissions.of(role), [may, mayNot])).toEqual([true, false]);
  });

  it('empty the deployment’s group only where they reap', async () => {
    const group = `arn:aws:autoscaling:${region}:${account}:autoScalingGroup:0123:autoScalingGroupName/Bees`;
    const empty = (name: string): Request => ({
      action: 'autoscaling:UpdateAutoScalingGroup',
      resource: group,
      context: tags({ 'skep:cluster': name }),
    });
    expect(await whoMay(empty(deployment))).toEqual(['FunctionsReapRole']);
    expect(await whoMay(empty('Wasps'))).toEqual([]);
  });

  it('write their own logs and no others', async () => {
    const logs = (name: string): Request => ({
      action: 'logs:PutLogEvents',
      resource: permissions
        .named('AWS::Logs::LogGroup', `Functions${name}Logs`)
        .replace(/\*$/, 'log-stream:today'),
    });
    expect(await whoMay(logs('Deploy'), functionRoles)).toEqual(['FunctionsDeployRole']);
  });

  it('none of them may give itself more', async () => {
    for (const role of everyRole) {
      const iam = permissions
        .of(role)
        .actions.filter((action) => /^(iam|sts):/.test(action) || action === '*');
      expect(iam).toEqual(
        role === 'FunctionsDeployRole' ? ['iam:PassRole', 'iam:CreateServiceLinkedRole'] : [],
      );
    }
  });
});
