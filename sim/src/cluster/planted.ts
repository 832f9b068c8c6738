/**
 * Faults planted into a simulated control API, one safety check taken away at a time: what the invariants
 * must be able to find. They live in front of it or of its launcher, never inside: production code has no
 * switch for them.
 */
import type { Launcher } from '@skep/control-api';
import type { ClusterWorld } from './cluster-world.ts';
import type { Fleet } from './fleet.ts';
import type { AgentRequest, Layer } from './wire.ts';

/** Each takes away one check: of terms or generations the control API's, of tokens the launcher's. */
export type Planted = 'term' | 'generation' | 'token';

/** What is put between the parts of a world. */
export interface Plant {
  readonly layer: Layer;
  readonly launcher: (launcher: Launcher) => Launcher;
}

export function plantIn(world: ClusterWorld, planted: Planted): Plant {
  return {
    layer: planted === 'token' ? (handler) => handler : forging(world, planted),
    launcher: (launcher) => (planted === 'token' ? withoutTokens(launcher, world.fleet) : launcher),
  };
}

/** Passes agents' requests on as if they were what the check asks for. */
function forging(world: ClusterWorld, planted: 'term' | 'generation'): Layer {
  const forge = planted === 'term' ? underTheCurrentTerm : ofTheCurrentGeneration;
  return (handler) => async (request, remote) => {
    const asked = await world.wire.read(request);
    const forged = asked === undefined ? undefined : forge(world, asked);
    if (asked === undefined || forged === undefined) return handler(request, remote);
    const response = await handler(await rewritten(request, forged), remote);
    return asked.kind === 'lease' ? asIfOf(response, asked.term) : response;
  };
}

/** A launch that is tried again makes another machine. */
function withoutTokens(launcher: Launcher, fleet: Fleet): Launcher {
  return {
    allocate: (count, taken) => launcher.allocate(count, taken),
    launch: (request) => {
      const { machine } = request;
      const before = fleet.all().filter(({ ref }) => ref.token.startsWith(machine.token)).length;
      const token = before === 0 ? machine.token : `${machine.token}/${before + 1}`;
      return launcher.launch({ ...request, machine: { ...machine, token } });
    },
    stop: (machine, options) => launcher.stop(machine, options),
    kill: (machine) => launcher.kill(machine),
    list: (clusterUid) => launcher.list(clusterUid),
    watch: (onExit) => launcher.watch(onExit),
    logs: (machine, tailBytes) => launcher.logs(machine, tailBytes),
    forget: (clusterUid) => launcher.forget(clusterUid),
  };
}

interface Forged {
  readonly authorization?: string | undefined;
  readonly body: Readonly<Record<string, unknown>>;
}

/** An old leader's request, as if its holder and term were those of now. */
function underTheCurrentTerm(world: ClusterWorld, asked: AgentRequest): Forged | undefined {
  const { lease } = world.ledger;
  if (asked.kind === 'report' || lease === undefined || asked.term >= lease.term) return undefined;
  const authorization = world.wire.authorizationOf(lease.holder);
  if (authorization === undefined) return undefined;
  const { term } = lease;
  if (asked.kind === 'redeployment') return { authorization, body: { term } };
  const [slot, generation] = lease.holder.split('@');
  return { authorization, body: { term, action: 'renew', holder: { slot, generation: Number(generation) } } };
}

/** As if whatever generation is named, of the caller or of whom it is about, were the slot's present one. */
function ofTheCurrentGeneration(world: ClusterWorld, asked: AgentRequest): Forged | undefined {
  const current = (slot: string) => world.ledger.slots.get(slot)?.generation;
  const { slot, generation } = asked.machine;
  const own = current(slot);
  if (asked.kind === 'redeployment') {
    const target = current(asked.slot);
    return target === undefined || target === asked.generation ? undefined : { body: { generation: target } };
  }
  if (own === undefined || own === generation) return undefined;
  const authorization = world.wire.authorizationOf(`${slot}@${own}`);
  const row = world.ledger.machine(slot, own);
  if (authorization === undefined || row === undefined) return undefined;
  const machine = { slot, generation: own };
  return asked.kind === 'lease'
    ? { authorization, body: { holder: machine } }
    : { authorization, body: { machine, attempt: row.attempt } };
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
  return Response.json(answer.granted ? { ...answer, term } : answer, { status: response.status });
}
