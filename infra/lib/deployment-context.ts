/**
 * What is to be deployed, from CDK's context (`-c key=value`, or `context` of cdk.json): read, checked, and refused with
 * a sentence before anything is made. The same context gives the same deployment: no clock, no account is asked.
 */
import { parse } from 'yaml';
import * as z from 'zod';
import type { ClusterProps } from './cluster.ts';
import { ClusterSpec } from './cluster-spec.ts';
import type { NetworkAttributes } from './network.ts';
import { nodeRoles } from './node-fleet.ts';

/** Values of the command line are text. */
const flag = z.stringbool().or(z.boolean());
const list = <T extends z.ZodType>(item: T) =>
  z.preprocess(
    (value) => (typeof value === 'string' ? value.split(',').map((each) => each.trim()) : value),
    z.array(item).min(1),
  );
const json = <T extends z.ZodType>(schema: T) =>
  z.preprocess((value, context) => {
    if (typeof value !== 'string') return value;
    try {
      return JSON.parse(value);
    } catch {
      context.addIssue({ code: 'custom', message: 'is no JSON' });
      return z.NEVER;
    }
  }, schema);

const subnet = z.strictObject({ subnetId: z.string().startsWith('subnet-'), zone: z.string() });

/** The keys, and what their values must be. */
const DeploymentContext = z.strictObject({
  /** Path of a cluster's spec, YAML or JSON; the keys below override it. */
  spec: z.string().optional(),
  /** Name of the stack, and value of the tag skep:cluster. */
  stack: z
    .string()
    .regex(/^[a-zA-Z][a-zA-Z0-9-]{0,38}$/, 'letters, digits and dashes, at most 39, starting with a letter')
    .default('Skep'),
  /** false: the platform alone. */
  cluster: flag.default(true),
  bootstrap: ClusterSpec.shape.bootstrap,
  index: ClusterSpec.shape.index,
  peers: ClusterSpec.shape.peers,
  zones: list(z.string().min(1)).optional(),
  instanceTypes: list(z.string().min(1)).optional(),
  /** true, or roles. */
  spot: z.union([flag, list(z.enum(nodeRoles))]).default(false),
  expiresAt: z.iso.datetime({ offset: true, error: 'must be a time as 2027-01-31T18:00:00Z' }).optional(),
  architecture: z.enum(['arm64', 'x86_64']).optional(),
  controlInstanceType: z.string().optional(),
  amiParameter: z.string().startsWith('/').optional(),
  baseImage: z.string().min(1).optional(),
  /** IPv4 range of the deployment's own network, /16 to /18. */
  cidr: z.cidrv4().optional(),
  /** A network that is there: its id and subnets. */
  network: json(
    z.strictObject({
      vpcId: z.string().startsWith('vpc-'),
      nodeSubnets: z.array(subnet.extend({ cidr: z.cidrv4() })).min(1),
      controlSubnets: z.array(subnet).min(1),
    }),
  ).optional(),
  /** A load balancer with the user's own name. */
  domain: json(
    z.strictObject({
      name: z.hostname(),
      certificateArn: z.string().startsWith('arn:'),
      hostedZoneId: z.string().optional(),
      allowedCidrs: z.array(z.cidrv4()).min(1).optional(),
    }),
  ).optional(),
});

export interface Deployment {
  readonly stackName: string;
  readonly networkAttributes?: NetworkAttributes;
  readonly props: Omit<ClusterProps, 'network'>;
}

/** Of the app's context, `readFile` being how the spec is read. Throws an Error that says what to give instead. */
export function readDeployment(
  context: Readonly<Record<string, unknown>>,
  readFile: (path: string) => string,
): Deployment {
  // CDK's own keys have a colon or an at sign.
  const own = Object.fromEntries(Object.entries(context).filter(([key]) => !/[:@]/.test(key)));
  const given = checked(DeploymentContext, own, 'context');
  const { stack, spec, cluster, bootstrap, index, peers, zones, instanceTypes, spot, network, ...rest } =
    given;
  const fromFile = spec === undefined ? {} : checked(ClusterSpec, parseSpec(spec, readFile(spec)), spec);
  const placement = { ...fromFile.placement, ...defined({ zones, instanceTypes }) };
  const overridden = {
    ...fromFile,
    ...defined({ bootstrap, index, peers }),
    ...(Object.keys(placement).length === 0 ? {} : { placement }),
  };
  return {
    stackName: stack,
    ...(network === undefined ? {} : { networkAttributes: network }),
    props: {
      ...defined(rest),
      cluster: cluster ? overridden : false,
      ...(spot === false ? {} : { spotRoles: spot === true ? nodeRoles : spot }),
    },
  };
}

function parseSpec(path: string, text: string): unknown {
  try {
    // Few aliases: a small file must not unfold to a huge one.
    return parse(text, { maxAliasCount: 20 }) ?? {};
  } catch (error) {
    throw new Error(
      `${path} is no YAML: ${String(error instanceof Error ? error.message : error).split('\n')[0]}`,
    );
  }
}

function checked<T extends z.ZodType>(schema: T, value: unknown, where: string): z.output<T> {
  const read = schema.safeParse(value);
  if (read.success) return read.data;
  const issues = read.error.issues.map(({ path, message }) =>
    `${path.join('.')}: ${message}`.replace(/^: /, ''),
  );
  throw new Error(`${where} is not as it must be: ${issues.join('; ')}`);
}

function defined<T extends object>(values: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as never;
}
