/** Calls the Lambda functions of a deployment, and tells their failures in sentences. */
import { InvokeCommand, type LambdaClient } from '@aws-sdk/client-lambda';
import * as z from 'zod';

export type FunctionErrorCode =
  /** The function ran, and threw. */
  | 'failed'
  /** It could not be called, or what it answered cannot be read; whether it ran is unknown. */
  | 'no-answer';

export class FunctionError extends Error {
  override readonly name = 'FunctionError';
  readonly code: FunctionErrorCode;
  constructor(code: FunctionErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** What Lambda says of a function that threw. */
const Thrown = z.object({ errorMessage: z.string() });

export class AwsFunctions {
  readonly #lambda: LambdaClient;

  constructor(components: { lambda: LambdaClient }) {
    this.#lambda = components.lambda;
  }

  /** `name` is the function's name or ARN. Rejects FunctionError. */
  async call<Answer extends z.ZodType>(
    name: string,
    request: unknown,
    answer: Answer,
  ): Promise<z.infer<Answer>> {
    const { payload, hasThrown } = await this.#invoke(name, request);
    if (hasThrown) {
      const thrown = Thrown.safeParse(payload).data;
      throw new FunctionError(
        'failed',
        `${name} failed: ${thrown?.errorMessage ?? 'it does not say why; its log does'}`,
      );
    }
    const read = answer.safeParse(payload);
    if (read.success) return read.data;
    const why = z.prettifyError(read.error).replaceAll('\n', ' ');
    throw new FunctionError('no-answer', `${name} answered what it should not: ${why}; deploy it anew`);
  }

  async #invoke(name: string, request: unknown): Promise<{ payload: unknown; hasThrown: boolean }> {
    try {
      const { Payload, FunctionError: thrown } = await this.#lambda.send(
        new InvokeCommand({ FunctionName: name, Payload: new TextEncoder().encode(JSON.stringify(request)) }),
      );
      return {
        payload: JSON.parse(new TextDecoder().decode(Payload)) as unknown,
        hasThrown: thrown !== undefined,
      };
    } catch (error) {
      const { name: code, message } = error as Error;
      throw new FunctionError('no-answer', `${name} could not be called: ${code}: ${message}`, {
        cause: error,
      });
    }
  }
}
