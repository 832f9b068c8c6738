/** Has every node of a cluster test where it stands, and brings the results. */
import type { RunTestsAnswer, RunTestsRequest } from '@skep/contract';
import type * as z from 'zod';
import { type OrderComponents, placeOrder } from '../orders.ts';

/** Rejects OrderError, for instance where there is no such cluster. */
export async function runTests(
  components: OrderComponents,
  { cluster, waitMs }: RunTestsRequest,
): Promise<z.infer<typeof RunTestsAnswer>> {
  const { results = [] } = await placeOrder(components, { kind: 'run-tests', cluster }, waitMs);
  return { ok: results.length > 0 && results.every(({ outcome }) => outcome === 'passed'), results };
}
