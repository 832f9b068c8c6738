/**
 * What the roles of a template may do, by evaluating their policies as IAM would: every reference is given an ARN such as
 * AWS would, and `@cloud-copilot/iam-simulate` decides, which knows of each action the resources and condition keys that
 * it has. (A tool of the tests alone, under the AGPL: nothing of it is in what ships.)
 */
import { runSimulation } from '@cloud-copilot/iam-simulate';
import type { Resource } from './synthesis.ts';

export const account = '123456789012';
export const region = 'eu-central-1';
export const stackId = `arn:aws:cloudformation:${region}:${account}:stack/Bees/00000000-0000-0000-0000-000000000000`;

export interface Request {
  readonly action: string;
  /** @default * */
  readonly resource?: string;
  /** Condition keys and their values. */
  readonly context?: Readonly<Record<string, string | string[]>>;
}

/** The principal of one role. */
export interface Principal {
  /** Rejects if there is no such action, resource or key: a request that AWS does not know proves nothing. */
  may(request: Request): Promise<boolean>;
  /** Every action that some statement names. */
  readonly actions: readonly string[];
}

const pseudoParameters: Record<string, string> = {
  'AWS::AccountId': account,
  'AWS::Region': region,
  'AWS::Partition': 'aws',
  'AWS::URLSuffix': 'amazonaws.com',
  'AWS::StackId': stackId,
  'AWS::StackName': 'Bees',
};

const arnOf: Record<string, (id: string) => string> = {
  'AWS::DynamoDB::Table': (id) => `arn:aws:dynamodb:${region}:${account}:table/${id}`,
  'AWS::Lambda::Function': (id) => `arn:aws:lambda:${region}:${account}:function:${id}`,
  'AWS::S3::Bucket': (id) => `arn:aws:s3:::${id.toLowerCase()}`,
  'AWS::SQS::Queue': (id) => `arn:aws:sqs:${region}:${account}:${id}`,
  'AWS::ECR::Repository': (id) => `arn:aws:ecr:${region}:${account}:repository/${id.toLowerCase()}`,
  'AWS::IAM::Role': (id) => `arn:aws:iam::${account}:role/${id}`,
  'AWS::CodeBuild::Project': (id) => `arn:aws:codebuild:${region}:${account}:project/${id}`,
  'AWS::Logs::LogGroup': (id) => `arn:aws:logs:${region}:${account}:log-group:${id}:*`,
};
const references: Record<string, (id: string) => string> = {
  'AWS::SecretsManager::Secret': (id) => `arn:aws:secretsmanager:${region}:${account}:secret:${id}-AbCdEf`,
  'AWS::Route53::HostedZone': () => 'Z0123456789',
  'AWS::EC2::Subnet': (id) => physicalId('subnet', id),
  'AWS::EC2::SecurityGroup': (id) => physicalId('sg', id),
  'AWS::EC2::LaunchTemplate': (id) => physicalId('lt', id),
};

/** An id as EC2 gives, of a logical one. */
function physicalId(prefix: string, id: string): string {
  return `${prefix}-${Buffer.from(id).toString('hex').slice(-17)}`;
}

export class Permissions {
  readonly #resources: Readonly<Record<string, Resource>>;

  constructor(resources: Readonly<Record<string, Resource>>) {
    this.#resources = resources;
  }

  /** Logical id of the one resource of this type whose id has `part` in it. */
  idOf(type: string, part: string): string {
    const ids = Object.entries(this.#resources).filter(
      ([id, { Type }]) => Type === type && id.includes(part),
    );
    if (ids.length !== 1) throw new Error(`${ids.length} resources of ${type} have ${part} in their id`);
    return ids[0]![0];
  }

  /** ARN, or what the policies know it by, of the one resource of this type whose id has `part` in it. */
  named(type: string, part: string): string {
    const id = this.idOf(type, part);
    return (arnOf[type] ?? references[type] ?? ((same) => same))(id);
  }

  /** The role whose logical id has `part` in it. */
  of(part: string): Principal {
    const role = this.idOf('AWS::IAM::Role', part);
    const inline = (this.#resources[role]!.Properties.Policies ?? []) as { PolicyDocument: unknown }[];
    const attached = Object.values(this.#resources).filter(
      ({ Type, Properties }) =>
        Type === 'AWS::IAM::Policy' && JSON.stringify(Properties.Roles).includes(`"${role}"`),
    );
    if (this.#resources[role]!.Properties.ManagedPolicyArns !== undefined) {
      throw new Error(`${role} has managed policies, of which nothing is known here`);
    }
    const documents = [
      ...inline,
      ...attached.map(({ Properties }) => Properties as { PolicyDocument: unknown }),
    ].map(
      ({ PolicyDocument }) => this.#resolve(PolicyDocument) as { Statement: { Action: string | string[] }[] },
    );
    const identityPolicies = documents.map((policy, index) => ({ name: `${role}${index}`, policy }));
    return {
      actions: documents.flatMap(({ Statement }) => Statement.flatMap(({ Action }) => Action)),
      may: async ({ action, resource = '*', context = {} }) => {
        const answer = await runSimulation(
          {
            request: {
              principal: `arn:aws:iam::${account}:role/${role}`,
              action,
              resource: { resource, accountId: account },
              contextVariables: context as Record<string, string | string[]>,
            },
            identityPolicies,
            serviceControlPolicies: [],
            resourceControlPolicies: [],
          },
          {},
        );
        if (answer.resultType === 'error') throw new Error(`${action}: ${JSON.stringify(answer.errors)}`);
        if (answer.resultType === 'single' && (answer.result.ignoredContextKeys ?? []).length > 0) {
          throw new Error(`${action} knows nothing of ${answer.result.ignoredContextKeys}`);
        }
        return answer.overallResult === 'Allowed';
      },
    };
  }

  #resolve(value: unknown): unknown {
    if (Array.isArray(value)) return value.map((each) => this.#resolve(each));
    if (typeof value !== 'object' || value === null) return value;
    const [[key, argument] = ['', undefined]] = Object.entries(value);
    if (key === 'Ref') return this.#reference(argument as string);
    if (key === 'Fn::GetAtt') return this.#attribute(argument as [string, string]);
    if (key === 'Fn::Join') {
      const [separator, parts] = argument as [string, unknown[]];
      return parts.map((part) => this.#resolve(part)).join(separator);
    }
    if (key === 'Fn::Sub') {
      return (argument as string).replace(/\$\{([^}]+)\}/g, (_, name: string) => this.#reference(name));
    }
    return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, this.#resolve(each)]));
  }

  #reference(name: string): string {
    const known = pseudoParameters[name];
    if (known !== undefined) return known;
    const type = this.#resources[name]?.Type;
    return (references[type ?? ''] ?? ((id) => id))(name);
  }

  #attribute([id, attribute]: [string, string]): string {
    const type = this.#resources[id]?.Type ?? '';
    if (attribute === 'Arn' && arnOf[type] !== undefined) return arnOf[type](id);
    if (attribute === 'GroupId') return this.#reference(id);
    throw new Error(`nothing is known of ${id}.${attribute}, of ${type}`);
  }
}
