/**
 * A state of the model: a cluster's rows, as the control API holds them, and the truth that surrounds them (what
 * the launcher made, what nodes know). Time has stopped: a lease is held or over, a redeployment recent or not.
 */
import type { RingConfiguration } from '@skep/contract';
import type { Change, ClusterState } from '../../control-api/src/decisions/decision.ts';
import { isHeld } from '../../control-api/src/decisions/lease.ts';
import type {
  Attempt,
  MachineRow,
  RedeploymentRow,
  TableName,
} from '../../control-api/src/decisions/rows.ts';
import type { SlotAddresses } from '../../control-api/src/ports/launcher.ts';

/** All that ever happens, happens now; what is over was long ago. */
export const now = 10_000_000;
export const longAgo = 0;

/**
 * What became of an attempt's token at the launcher: a launch was begun and is under way, which it may be for ever
 * (`asked`); a machine starts, runs, ended; or it was called off, so that there never will be one.
 */
export type Life = 'asked' | 'booting' | 'alive' | 'exited' | 'off';

export interface Body {
  readonly slot: string;
  readonly generation: number;
  readonly attempt: number;
  readonly life: Life;
  /** Which credential its disk holds: another after its disk was lost. */
  readonly credential: number;
  /** More machines that the same token made: none, if the launcher keeps its promise. */
  readonly twins: number;
  /** Of a spare: the attempt that the launcher has readied it to be. */
  readonly assigned?: Attempt;
  /** Of a spare: the attempt that it is now. */
  readonly as?: Attempt;
  /** The ring as it has adopted it; missing before it has one. */
  readonly ring?: RingConfiguration;
}

export interface ModelState extends ClusterState {
  /** By attempt, as `bodyKey` has it. */
  readonly bodies: ReadonlyMap<string, Body>;
}

export function addressesOf(host: number): SlotAddresses {
  return { listen: { host: `10.0.0.${host}`, port: 1 }, ringPort: 2, healthPort: 3 };
}

export function bodyKey({
  slot,
  generation,
  attempt,
}: Pick<Body, 'slot' | 'generation' | 'attempt'>): string {
  return `${slot}@${generation}.${attempt}`;
}

/** Which attempt's machine it is. */
export function identityOf({ slot, generation, attempt, as }: Body): Attempt {
  return as ?? { slot, generation, attempt };
}

export function isLiving(body: Body | undefined): boolean {
  return body !== undefined && (body.life === 'booting' || body.life === 'alive');
}

/** The state with rows as a commit leaves them. Untouched tables are shared. */
export function committed(state: ModelState, changes: readonly Change[]): ModelState {
  const tables: Partial<Record<TableName, unknown>> = {};
  for (const { table, id, value } of changes) {
    if (table === 'about' || table === 'lease' || table === 'ring') {
      tables[table] = value;
      continue;
    }
    let rows = tables[table] as Map<string, unknown> | undefined;
    if (rows === undefined) {
      rows = new Map<string, unknown>(state[table]);
      tables[table] = rows;
    }
    if (value === undefined) rows.delete(id);
    else rows.set(id, value);
  }
  return { ...state, ...(tables as Partial<ClusterState>) };
}

export function withBody(state: ModelState, body: Body): ModelState {
  return { ...state, bodies: new Map(state.bodies).set(bodyKey(body), body) };
}

/** Equal for states that differ in nothing that any decision or invariant here looks at. */
export function canonical(state: ModelState): string {
  const { about, lease, ring } = state;
  return [
    `${about.state}${about.nextBootstrap ?? 0}`,
    `${lease.term}${lease.holder}${isHeld(lease, now) ? '!' : ''}`,
    encoded(ring),
    table(state.slots),
    table(state.machines),
    table(state.redeployments),
    [...state.effects.keys()].sort().join(),
    table(state.bodies),
  ].join('|');
}

/** Rows are shared by very many states. */
const encodings = new WeakMap<object, string>();

function encoded(row: object): string {
  let text = encodings.get(row);
  if (text === undefined) {
    text = encode(row);
    encodings.set(row, text);
  }
  return text;
}

function table(rows: ReadonlyMap<string, object>): string {
  const texts: string[] = [];
  for (const row of rows.values()) texts.push(encoded(row));
  return texts.sort().join();
}

function attemptText(attempt: Attempt | undefined): string {
  return attempt === undefined ? '' : `/${bodyKey(attempt)}`;
}

const numbered = ['launching', 'joined', 'serving', 'stopping', 'dead', 'failed', 'stopped'];

function encode(row: object): string {
  if ('members' in row) {
    const { version, members } = row as RingConfiguration;
    const each = members.map(
      (member) => `${member.slot}@${member.generation}${member.voter ? 'v' : ''}${member.admittedAtTerm}`,
    );
    return `${version}:${each.join()}`;
  }
  if ('askedBy' in row) {
    const { id, state, times, askedBy } = row as RedeploymentRow;
    const reached = Object.keys(times).map((name) => name.slice(0, 2));
    return `${id}${state[0]}${state[1]}${reached.sort().join('')}${times.acceptedMs > longAgo ? '!' : ''}${askedBy === 'operator' ? 'o' : ''}`;
  }
  if ('life' in row) {
    const body = row as Body;
    const ring = body.ring === undefined ? '' : encoded(body.ring);
    return `${bodyKey(body)}${body.life[0]}${body.life[1]}${body.credential}${body.twins}${ring}${attemptText(body.assigned)}${attemptText(body.as)}`;
  }
  if ('eventsTaken' in row) {
    const machine = row as MachineRow;
    const state = numbered.indexOf(machine.state);
    return `${bodyKey(machine)}${state}${machine.tokenSha256 ?? ''}${machine.gone ? 'g' : ''}${machine.name ? 'n' : ''}${attemptText(machine.livesIn)}${machine.directories ? 'd' : ''}`;
  }
  const { slot, generation, held, leaving } = row as {
    slot: string;
    generation: number;
    held?: true;
    leaving?: true;
  };
  return `${slot}@${generation}${held ? 'h' : ''}${leaving ? 'l' : ''}`;
}
