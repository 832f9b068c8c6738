/** What bootstrap nodes and the control API say to each other about leadership. */
import * as z from 'zod';
import { Address, Generation, MachineId, SlotName, Term } from './identity.ts';

export const RingMember = z.object({
  slot: SlotName,
  generation: Generation,
  address: Address,
  voter: z.boolean(),
  /** A generation votes only above the term in which it was admitted; 0 for the first. */
  admittedAtTerm: z.int().min(0),
});

/** Which slots, and which generations of them, make up the ring. Changed one member at a time. */
export const RingConfiguration = z
  .object({ version: z.int().min(1), members: z.array(RingMember).min(1).max(128) })
  .meta({ id: 'RingConfiguration' });
export type RingConfiguration = z.infer<typeof RingConfiguration>;

export const LeaseRequest = z
  .strictObject({ action: z.enum(['acquire', 'renew']), holder: MachineId, term: Term })
  .meta({ id: 'LeaseRequest' });
export type LeaseRequest = z.infer<typeof LeaseRequest>;

export const LeaseAnswer = z
  .discriminatedUnion('granted', [
    z.object({ granted: z.literal(true), term: Term, durationMs: z.number() }),
    /** `term` is that of the lease as it stands. */
    z.object({ granted: z.literal(false), term: z.int().min(0) }),
  ])
  .meta({ id: 'LeaseAnswer' });
export type LeaseAnswer = z.infer<typeof LeaseAnswer>;

export const RedeploymentRequest = z
  .strictObject({
    slot: SlotName,
    generation: Generation,
    term: Term,
    reason: z.string().max(200),
    /** `silence` may be refused while the control API still hears the machine itself. */
    cause: z.enum(['evidence', 'silence']).default('evidence'),
    /** Of a silence: how long it had lasted when this was asked. */
    silentMs: z.number().min(0).optional(),
  })
  .meta({
    id: 'RedeploymentRequest',
    description:
      'Asks that the dead generation of a slot be replaced. Only the lease holder of this term is heard.',
  });
export type RedeploymentRequest = z.infer<typeof RedeploymentRequest>;
