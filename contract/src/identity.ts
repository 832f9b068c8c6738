/** Names of things: clusters, slots, generations, addresses. Everything else in the contract is made of these. */
import * as z from 'zod';

export const ClusterName = z
  .string()
  .regex(
    /^[a-z][a-z0-9-]{0,38}[a-z0-9]$/,
    'lower-case letters, digits and dashes, 2 to 40, starting with a letter',
  )
  .meta({ id: 'ClusterName', description: 'Name of a cluster. Can be used again; its uid never is.' });
export type ClusterName = z.infer<typeof ClusterName>;

export const ClusterUid = z.string().regex(/^[0-9a-f]{32}$/);

/**
 * What a node is for. An index node joins the DHT and serves, and holds no content. A peer seeds or leeches, by what it
 * holds. A spare is launched and idle, until it takes another slot over.
 */
export const Role = z.enum(['bootstrap', 'index', 'peer', 'spare']).meta({ id: 'Role' });
export type Role = z.infer<typeof Role>;

/** The roles that are not waiting for one. */
export const WorkingRole = Role.exclude(['spare']).meta({ id: 'WorkingRole' });
export type WorkingRole = z.infer<typeof WorkingRole>;

const slotPattern = `(${Role.options.join('|')})-[1-9][0-9]{0,5}`;
const generationPattern = '[1-9][0-9]{0,9}';

/** `role-ordinal`: a place in the cluster that outlives the machine in it. */
export const SlotName = z
  .string()
  .regex(new RegExp(`^${slotPattern}$`))
  .meta({
    id: 'SlotName',
    description: 'A place in the cluster: role and ordinal, for instance bootstrap-2.',
  });
export type SlotName = z.infer<typeof SlotName>;

/** How many machines the slot has had; starts at 1. */
export const Generation = z.int().min(1);

/** One machine's life. */
export const MachineId = z
  .object({ slot: SlotName, generation: Generation })
  .meta({ id: 'MachineId', description: 'Slot and generation: names one machine’s life.' });
export type MachineId = z.infer<typeof MachineId>;

/** `bootstrap-2@1`: a machine's name in text, as `formatMachineId` gives it. */
export const MachineName = z.string().regex(new RegExp(`^${slotPattern}@${generationPattern}$`));

/** `bootstrap-2@1`: a machine's name in text. */
export function formatMachineId(machine: MachineId): string {
  return `${machine.slot}@${machine.generation}`;
}

export const Address = z
  .object({ host: z.union([z.ipv4(), z.ipv6()]), port: z.int().min(1).max(65535) })
  .meta({ id: 'Address', description: 'An IP literal and a port.' });
export type Address = z.infer<typeof Address>;

/** Number of a leadership: the fencing token of all that a leader asks for. */
export const Term = z.int().min(1);

export const InfoHash = z
  .string()
  .regex(/^[0-9a-f]{40}$/)
  .meta({ id: 'InfoHash' });
export const Sha256 = z.string().regex(/^[0-9a-f]{64}$/);
export const Base64 = z.base64();
