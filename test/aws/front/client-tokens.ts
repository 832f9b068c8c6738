/**
 * Idempotency of RunInstances by ClientToken: the same request is answered with the instance that it made, another with
 * that token is refused, and so is one whose instance is terminated. MiniStack makes an instance a call.
 * https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-idempotency.html
 */
import { createHash } from 'node:crypto';
import { Ec2Refusal } from './query-protocol.ts';

interface Used {
  readonly digest: string;
  readonly instanceId: string;
}

export class ClientTokens {
  readonly #used = new Map<string, Used>();

  /** The instance that this token made. Throws if it may not be used for this request. */
  find(token: string, request: unknown, isTerminated: (instanceId: string) => boolean): string | undefined {
    const used = this.#used.get(token);
    if (used === undefined) return undefined;
    if (used.digest !== digestOf(request)) {
      throw new Ec2Refusal(
        'IdempotentParameterMismatch',
        `Arguments on this idempotent request are inconsistent with arguments used in previous request(s).`,
      );
    }
    if (isTerminated(used.instanceId)) {
      throw new Ec2Refusal(
        'IdempotentInstanceTerminated',
        `The instance ${used.instanceId} that this client token launched is terminated.`,
      );
    }
    return used.instanceId;
  }

  keep(token: string, request: unknown, instanceId: string): void {
    this.#used.set(token, { digest: digestOf(request), instanceId });
  }
}

/** Of requests as they were read, whose fields have one order. */
function digestOf(request: unknown): string {
  return createHash('sha256').update(JSON.stringify(request)).digest('hex');
}
