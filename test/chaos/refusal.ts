import { ApiError } from '@skep/contract';

/** The code of the problem with which a request was refused; undefined if it was granted. */
export async function refusalOf(asked: Promise<unknown>): Promise<string | undefined> {
  try {
    await asked;
    return undefined;
  } catch (error) {
    if (error instanceof ApiError) return error.problem?.code;
    throw error;
  }
}
