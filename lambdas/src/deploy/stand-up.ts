/** Has the control API create a cluster, and watches its rows until every node serves. */
import { type ClusterSpec, Generation, NodeState, SlotName, type StandUpAnswer } from '@skep/contract';
import type { Store } from '@skep/control-api';
import * as z from 'zod';
import type { LaunchAgreements } from '../launches/agreement.ts';
import { type OrderComponents, OrderError, placeOrder } from '../orders.ts';
import { pause } from '../patience.ts';

/** What is needed of the control API's rows (control-api/src/decisions/rows.ts). */
const Slot = z.object({ slot: SlotName, generation: Generation });
const Machine = z.object({
  slot: SlotName,
  generation: Generation,
  state: NodeState,
  reason: z.string().optional(),
});

const pollMs = 2_000;

/**
 * A cluster that there is already with the same spec is waited for. Resolves after `waitMs` at the latest, complete or
 * not. Rejects OrderError if the control API refuses, for instance because there is another cluster of that name.
 */
export async function standUp(
  components: OrderComponents & { readonly agreements: LaunchAgreements },
  spec: ClusterSpec,
  waitMs: number,
): Promise<z.infer<typeof StandUpAnswer>> {
  const { clock, store, agreements } = components;
  const dueMs = clock.now() + waitMs;
  await agreements.reopen();
  let uid: string | undefined;
  try {
    uid = (await placeOrder(components, { kind: 'create-cluster', spec }, waitMs)).clusterUid;
  } catch (error) {
    if (!(error instanceof OrderError) || error.code !== 'not-in-time') throw error;
    return { cluster: spec.name, complete: false, slots: [], message: error.message };
  }
  if (uid === undefined) throw new Error(`the control API created ${spec.name} without telling its uid`);
  for (;;) {
    const slots = await slotStatuses(store, uid);
    const complete = slots.length > 0 && slots.every(({ state }) => state === 'serving');
    if (complete || clock.now() + pollMs > dueMs) return { cluster: spec.name, uid, complete, slots };
    await pause(clock, pollMs);
  }
}

async function slotStatuses(store: Store, uid: string): Promise<z.infer<typeof StandUpAnswer>['slots']> {
  const [slotRows, machineRows] = await Promise.all([
    store.list(`cluster/${uid}/slots/`),
    store.list(`cluster/${uid}/machines/`),
  ]);
  const machines = new Map(
    machineRows.map(({ value }) => {
      const machine = Machine.parse(value);
      return [`${machine.slot}@${machine.generation}`, machine];
    }),
  );
  return slotRows.map(({ value }) => {
    const { slot, generation } = Slot.parse(value);
    const { state = 'launching', reason } = machines.get(`${slot}@${generation}`) ?? {};
    return { slot, generation, state, ...(reason === undefined ? {} : { reason }) };
  });
}
