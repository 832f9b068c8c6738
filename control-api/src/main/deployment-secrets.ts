/** The two secrets of a deployment, as Secrets Manager keeps them. */
import { GetSecretValueCommand, type SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import * as z from 'zod';

const AdminSecret = z.object({ token: z.string().min(32) });
const IdentitySecret = z.object({ seed: z.string().min(32) });

export interface DeploymentSecrets {
  readonly adminToken: string;
  /** See identity.ts. */
  readonly seed: string;
}

/** Names or ARNs. Rejects with a sentence that names the secret, and tells nothing of what is in it. */
export async function readSecrets(
  client: SecretsManagerClient,
  ids: { readonly admin: string; readonly identity: string },
): Promise<DeploymentSecrets> {
  const [{ token }, { seed }] = await Promise.all([
    read(client, ids.admin, AdminSecret),
    read(client, ids.identity, IdentitySecret),
  ]);
  return { adminToken: token, seed };
}

async function read<T extends z.ZodType>(
  client: SecretsManagerClient,
  id: string,
  schema: T,
): Promise<z.output<T>> {
  let text: string | undefined;
  try {
    ({ SecretString: text } = await client.send(new GetSecretValueCommand({ SecretId: id })));
  } catch (error) {
    const { name, message } = error as Error;
    throw new Error(
      `the secret ${id} cannot be read (${name}: ${message}): check its name, and the rights to it`,
    );
  }
  const parsed = schema.safeParse(jsonOf(text ?? ''));
  if (parsed.success) return parsed.data;
  const path = parsed.error.issues[0]?.path.join('.') || 'its form';
  throw new Error(`the secret ${id} is not as it was made (${path}): deploy again to have it made anew`);
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
