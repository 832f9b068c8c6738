/**
 * What each function reads from its environment, as a schema; read when a request comes, never at import, and loudly:
 * the sentence names what is missing. Values that are lists are JSON. Regions and endpoints are the SDK's own variables.
 *
 * A function's handler is `lambdas/src/<function>/handler.ts` and exports `handler`.
 */
import { NodeSubnet, Role } from '@skep/contract';
import * as z from 'zod';

const text = z.string({ error: 'must be set' }).min(1, 'must be set');
const json = <T extends z.ZodType>(schema: T) =>
  text
    .transform((value, context) => {
      try {
        return JSON.parse(value) as unknown;
      } catch {
        context.addIssue({ code: 'custom', message: 'is no JSON' });
        return z.NEVER;
      }
    })
    .pipe(schema);

/** The deployment's name: the value of the tag under which a function may touch anything. */
const deployment = { SKEP_CLUSTER: text };
const table = { SKEP_TABLE: text };
/** Until when the deployment may live; missing: for ever. */
const expiry = { SKEP_EXPIRES_AT: z.iso.datetime({ offset: true }).optional() };
/** Id of the deployment's stack. */
const stack = { SKEP_STACK: text.optional() };

export const DeployEnvironment = z.object({
  ...deployment,
  ...table,
  ...expiry,
  ...stack,
  /** By role, with `*` for those not named. The templates name no network interface and no security group. */
  SKEP_LAUNCH_TEMPLATES: json(
    z.partialRecord(z.union([Role, z.literal('*')]), z.object({ id: text, version: text })),
  ),
  SKEP_SUBNETS: json(z.array(NodeSubnet).min(1)),
  /** Of the machines' network interfaces. */
  SKEP_SECURITY_GROUP: text,
  /** `repository@sha256:…` */
  SKEP_IMAGE: text,
  AWS_REGION: text,
});
export const TeardownEnvironment = z.object({ ...deployment, ...table });
export const RunTestsEnvironment = z.object({ ...table });
/** As the control API itself has it. */
export const WatchdogEnvironment = z.object({
  ...table,
  ...expiry,
  SKEP_ADMIN_SECRET: text,
  SKEP_IDENTITY_SECRET: text,
  SKEP_DEPLOY_FUNCTION: text,
  SKEP_TEARDOWN_FUNCTION: text,
  SKEP_EVENTS_QUEUE: text,
  SKEP_SUBNETS: json(z.array(NodeSubnet).min(1)),
  /** Where machines reach the control API. */
  SKEP_PUBLIC_URL: z.url({ error: 'must be set to a URL' }),
});
/** Without a name: of all deployments in the region. */
export const ReapEnvironment = z.object({ SKEP_CLUSTER: text.optional(), ...expiry });
export const BuildEnvironment = z.object({
  /** Name of the CodeBuild project. */
  SKEP_PROJECT: text,
  /** URI of the ECR repository: `registry/name`. */
  SKEP_REPOSITORY: text.regex(/^[^/]+\/.+$/, 'is no URI of a repository: registry/name'),
});

/** Throws an Error that names every variable that is missing or wrong. */
export function readEnvironment<T extends z.ZodType>(
  schema: T,
  environment: Readonly<Record<string, string | undefined>>,
): z.infer<T> {
  const read = schema.safeParse(environment);
  if (read.success) return read.data;
  const wrong = read.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`);
  throw new Error(`the function's environment is not as it must be: ${wrong.join('; ')}`);
}
