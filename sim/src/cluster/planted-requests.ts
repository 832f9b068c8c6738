/** Planted faults in front of the control API: requests passed on as what its checks ask for, answers bent. */
import { lamportHeader } from '@skep/contract';
import type { ClusterWorld } from './cluster-world.ts';
import type { AgentRequest, Layer } from './wire.ts';

interface Forged {
  readonly authorization?: string | undefined;
  readonly body: Readonly<Record<string, unknown>>;
}

type Forge = (world: ClusterWorld, asked: AgentRequest) => Forged | undefined;

/** Passes agents' requests on as `forge` has them. */
export function forging(world: ClusterWorld, forge: Forge): Layer {
  return (handler) => async (request, remote) => {
    const asked = await world.wire.read(request, remote);
    const forged = asked === undefined ? undefined : forge(world, asked);
    if (asked === undefined || forged === undefined) return handler(request, remote);
    const response = await handler(await rewritten(request, forged), remote);
    return asked.kind === 'lease' ? asIfOf(response, asked.term) : response;
  };
}

/** An old leader's request, as if its holder and term were those of now. */
export function underTheCurrentTerm(world: ClusterWorld, asked: AgentRequest): Forged | undefined {
  const { lease, uid } = world.ledger;
  if (asked.kind === 'report' || asked.kind === 'join') return undefined;
  if (lease === undefined || asked.term >= lease.term) return undefined;
  const authorization = world.wire.authorizationOf(uid, lease.holder);
  if (authorization === undefined) return undefined;
  const { term } = lease;
  if (asked.kind === 'redeployment') return { authorization, body: { term } };
  const [slot, generation] = lease.holder.split('@');
  return { authorization, body: { term, action: 'renew', holder: { slot, generation: Number(generation) } } };
}

/** As if whatever generation is named, of the caller or of whom it is about, were the slot's present one. */
export function ofTheCurrentGeneration(world: ClusterWorld, asked: AgentRequest): Forged | undefined {
  const current = (slot: string) => world.ledger.slots.get(slot)?.generation;
  const { slot, generation } = asked.machine;
  const own = current(slot);
  if (asked.kind === 'join') return undefined;
  if (asked.kind === 'redeployment') {
    const target = current(asked.slot);
    return target === undefined || target === asked.generation ? undefined : { body: { generation: target } };
  }
  if (own === undefined || own === generation) return undefined;
  const authorization = world.wire.authorizationOf(world.ledger.uid, `${slot}@${own}`);
  const row = world.ledger.machine(slot, own);
  if (authorization === undefined || row === undefined) return undefined;
  const machine = { slot, generation: own };
  return asked.kind === 'lease'
    ? { authorization, body: { holder: machine } }
    : { authorization, body: { machine, attempt: row.attempt } };
}

/** As if whoever comes from an earlier cluster of the name were the machine of the present one that is called the same. */
export function ofTheCurrentCluster(world: ClusterWorld, asked: AgentRequest): Forged | undefined {
  const { uid } = world.ledger;
  const { slot, generation } = asked.machine;
  if (asked.kind === 'join' || uid === undefined || asked.uid === uid) return undefined;
  const authorization = world.wire.authorizationOf(uid, `${slot}@${generation}`);
  const row = world.ledger.machine(slot, generation);
  if (authorization === undefined || row === undefined) return undefined;
  return { authorization, body: asked.kind === 'report' ? { attempt: row.attempt } : {} };
}

/** As if whoever is in the ring had adopted it as it is. */
export function withTheCurrentRing(world: ClusterWorld, asked: AgentRequest): Forged | undefined {
  const { ring } = world.ledger;
  if (asked.kind !== 'report' || asked.ring === undefined || ring === undefined) return undefined;
  return { body: { ring: { ...asked.ring, configurationVersion: ring.version } } };
}

const leaseStretch = 6;

/** Whoever is granted the lease is told that it has it for much longer than it has. */
export const grantsLongLeases: Layer = answering('lease', (answer) =>
  answer.granted === true ? { ...answer, durationMs: answer.durationMs * leaseStretch } : answer,
);

/** Each node is told of a ring in which it alone votes. */
export const electsItself: Layer = answering('reports', (answer, request) =>
  withMembers(answer, (member) => ({ ...member, voter: member.slot === request.machine.slot })),
);

/** Each node is told of a ring whose members were all there from the first. */
export const hidesAdmission: Layer = answering('reports', (answer) =>
  withMembers(answer, (member) => ({ ...member, admittedAtTerm: 0 })),
);

const noBudget = { redeploymentsPerSlot: 100, redeploymentsPerCluster: 1_000 };

export const withoutBudgets: Layer = (handler) => async (request, remote) =>
  request.method === 'POST' && lastOf(request) === 'clusters'
    ? handler(await rewritten(request, { body: noBudget }), remote)
    : handler(request, remote);

/** Calls come without their Lamport stamps; events still have theirs. */
export const hidesStamps: Layer = (handler) => async (request, remote) => {
  if (request.method === 'GET' || !agentPaths.has(lastOf(request))) return handler(request, remote);
  const body = lastOf(request) === 'reports' ? { lamport: 0 } : {};
  const unstamped = await rewritten(request, { body });
  unstamped.headers.delete(lamportHeader);
  return handler(unstamped, remote);
};

/** Whoever comes with a join secret is taken for the machine that came with it first. */
export function admitsWhoeverAsks(): Layer {
  /** By machine: the first one's credential, as told at its join and as shown since. */
  const first = new Map<string, { tokenSha256: string; authorization?: string }>();
  /** By credential shown: the machine. */
  const shown = new Map<string, string>();
  return (handler) => async (request, remote) => {
    const last = lastOf(request);
    if (request.method === 'GET' || (last !== 'join' && !agentPaths.has(last)))
      return handler(request, remote);
    // biome-ignore lint/suspicious/noExplicitAny: of our own agents, who send what the contract says.
    const body: any = await request.clone().json();
    if (last === 'join') {
      const name = nameOf(body.machine, body.attempt);
      const known = first.get(name);
      if (known !== undefined) {
        return handler(await rewritten(request, { body: { tokenSha256: known.tokenSha256 } }), remote);
      }
      const response = await handler(request, remote);
      if (response.ok) first.set(name, { tokenSha256: body.tokenSha256 });
      return response;
    }
    const authorization = request.headers.get('authorization') ?? '';
    if (last === 'reports') shown.set(authorization, nameOf(body.machine, body.attempt));
    const known = first.get(shown.get(authorization) ?? '');
    if (known === undefined) return handler(request, remote);
    known.authorization ??= authorization;
    return handler(await rewritten(request, { authorization: known.authorization, body: {} }), remote);
  };
}

const agentPaths: ReadonlySet<string> = new Set(['reports', 'lease', 'redeployments']);

function nameOf(machine: { slot: string; generation: number }, attempt: number): string {
  return `${machine.slot}@${machine.generation}.${attempt}`;
}

function lastOf(request: Request): string {
  return new URL(request.url).pathname.split('/').at(-1)!;
}

// biome-ignore lint/suspicious/noExplicitAny: whatever was asked and answered; read field by field.
type Loose = any;

/** Bends what is answered to requests whose path ends so. */
function answering(path: string, bend: (answer: Loose, request: Loose) => Loose): Layer {
  return (handler) => async (request, remote) => {
    if (request.method === 'GET' || lastOf(request) !== path) return handler(request, remote);
    const asked = await request.clone().json();
    const response = await handler(request, remote);
    if (!response.ok) return response;
    return withBody(response, bend(await response.json(), asked));
  };
}

function withMembers(answer: Loose, change: (member: Loose) => Loose): Loose {
  if (answer.commands === undefined) return answer;
  const commands = answer.commands.map((command: Loose) =>
    command.kind === 'form-ring'
      ? {
          ...command,
          configuration: {
            ...command.configuration,
            members: command.configuration.members.map(change),
          },
        }
      : command,
  );
  return { ...answer, commands };
}

async function rewritten(request: Request, { authorization, body }: Forged): Promise<Request> {
  const headers = new Headers(request.headers);
  if (authorization !== undefined) headers.set('authorization', authorization);
  const text = JSON.stringify({ ...((await request.json()) as object), ...body });
  headers.delete('content-length');
  return new Request(request.url, { method: request.method, headers, body: text, signal: request.signal });
}

/** The grant of a forged term, as the one that was asked for. */
async function asIfOf(response: Response, term: number): Promise<Response> {
  if (!response.ok) return response;
  const answer = (await response.json()) as { granted: boolean };
  return withBody(response, answer.granted ? { ...answer, term } : answer);
}

/** The same answer, Lamport time and all, with another body. */
function withBody(response: Response, body: unknown): Response {
  const { status } = response;
  const headers = new Headers(response.headers);
  headers.delete('content-length');
  return Response.json(body, { status, headers });
}
