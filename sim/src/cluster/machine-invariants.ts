/** Invariants of machines: generations, launches, deaths, budgets. */
import { type Command, formatMachineId, type MachineId } from '@skep/contract';
import type { ClusterWorld } from './cluster-world.ts';
import type { Finding, Invariant } from './invariants.ts';

export function oldGenerationsAreRefused(): Invariant {
  const stopRevisions = new Set<string>();
  const currentOf = (world: ClusterWorld, slot: string) => world.ledger.slots.get(slot)?.generation ?? 0;
  return {
    id: 'an old generation is accepted by nobody',
    onCommit(world, change) {
      if (change.table === 'lease' && change.after !== undefined) {
        const [slot = '', generation] = change.after.holder.split('@');
        if (generation === undefined || Number(generation) === currentOf(world, slot)) return undefined;
        return `the lease was given to ${change.after.holder}, whose slot is in generation ${currentOf(world, slot)}`;
      }
      if (change.table !== 'machines' || change.after === undefined || change.before === undefined) {
        return undefined;
      }
      const { slot, generation, state } = change.after;
      if (generation >= currentOf(world, slot) || (state !== 'joined' && state !== 'serving'))
        return undefined;
      return `${slot}@${generation} became ${state} after its slot had moved on`;
    },
    onRequest(world, request) {
      const { slot, generation } = request.machine;
      const fenced = generation < currentOf(world, slot);
      const name = formatMachineId(request.machine);
      return ({ status, answer }) => {
        if (status >= 300) return undefined;
        switch (request.kind) {
          case 'join':
            return fenced ? `${name} joined although its slot had moved on` : undefined;
          case 'report': {
            const { commands, revision } = answer;
            const [taker] = world.ledger.takersOf(request.machine);
            // A spare that was assigned waits to be told what to become, and is told nothing else.
            if (taker !== undefined && (commands ?? []).every(isToBecome(taker))) return undefined;
            // A machine that is being let go may go on reporting, but is told nothing but to stop.
            const stops = commands?.length === 1 && commands[0].kind === 'stop';
            if (stops) stopRevisions.add(revision);
            if (!fenced || stops || (commands === undefined && stopRevisions.has(revision))) return undefined;
            return `a report of ${name} was accepted in generation ${currentOf(world, slot)} of its slot`;
          }
          case 'lease':
            return fenced && answer.granted
              ? `${name} was granted the lease although its slot had moved on`
              : undefined;
          case 'redeployment': {
            if (fenced) return `${name} was let redeploy ${request.slot} although its own slot had moved on`;
            if (answer.fromGeneration === request.generation) return undefined;
            // A launch under way is the answer to an impatient leader.
            if (answer.toGeneration === request.generation) return undefined;
            return `${name} asked to replace ${request.slot}@${request.generation}, and generation ${answer.fromGeneration} was replaced`;
          }
        }
      };
    },
  };
}

const isToBecome =
  ({ slot, generation }: MachineId) =>
  (command: Command) =>
    command.kind === 'become' && command.config.slot === slot && command.config.generation === generation;

/** Whatever a spare is assigned to be, it is that alone. */
export function aSpareLivesInOneSlot(): Invariant {
  return {
    id: 'a spare lives in one slot at most',
    onCommit(world, change) {
      if (change.table !== 'machines' || change.after?.livesIn === undefined) return undefined;
      const takers = world.ledger.takersOf(change.after.livesIn);
      return takers.length <= 1
        ? undefined
        : `${formatMachineId(change.after.livesIn)} was assigned as ${takers.map(formatMachineId).join(' and ')}`;
    },
  };
}

/** Who comes with another credential has lost what it had promised, or is another: neither may speak in its name. */
export function oneCredentialPerMachine(): Invariant {
  const credentials = new Map<string, string>();
  return {
    id: 'a machine has one credential',
    onRequest(_world, request) {
      if (request.kind !== 'report') return undefined;
      const { authorization, attempt, uid } = request;
      const name = `${formatMachineId(request.machine)}, attempt ${attempt}`;
      return ({ status }) => {
        if (status >= 300) return undefined;
        const first = credentials.get(`${uid} ${name}`);
        if (first === undefined) credentials.set(`${uid} ${name}`, authorization);
        return first === undefined || first === authorization
          ? undefined
          : `reports as ${name} were accepted under two credentials`;
      };
    },
  };
}

const budgetWindowMs = 60_000;
const usualBudget = { perSlot: 4, perCluster: 20 };
/** Whoever asks on purpose is not counted, and need not give a reason. */
const operator = 'operator';

/** By the control API's own clock: one that comes back with its wall clock set ahead forgives what was before. */
export function budgetsAreKept(): Invariant {
  const begun: { readonly uid: string; readonly slot: string; readonly atMs: number }[] = [];
  return {
    id: 'redeployments keep within their budget',
    onCommit(world, change) {
      if (change.table !== 'redeployments' || change.before !== undefined || change.after === undefined)
        return undefined;
      const { uid } = change;
      const { slot, times, askedBy } = change.after;
      if (askedBy === operator) return undefined;
      begun.push({ uid, slot, atMs: times.acceptedMs });
      const recent = begun.filter((one) => one.uid === uid && one.atMs > times.acceptedMs - budgetWindowMs);
      const ofSlot = recent.filter((one) => one.slot === slot).length;
      const { redeploymentsPerSlot = usualBudget.perSlot, redeploymentsPerCluster = usualBudget.perCluster } =
        world.asked;
      if (ofSlot <= redeploymentsPerSlot && recent.length <= redeploymentsPerCluster) return undefined;
      return `within a minute ${slot} was redeployed ${ofSlot} times, and the whole cluster ${recent.length} times`;
    },
  };
}

export function generationsGoOneByOne(): Invariant {
  return {
    id: 'a slot moves on one generation at a time',
    onCommit(_world, change) {
      if (change.table !== 'slots' || change.after === undefined || change.before === undefined)
        return undefined;
      const step = change.after.generation - change.before.generation;
      return step === 0 || step === 1
        ? undefined
        : `${change.after.slot} went from generation ${change.before.generation} to ${change.after.generation}`;
    },
  };
}

export function oneMachinePerGeneration(): Invariant {
  return {
    id: 'at most one machine per slot and generation',
    onFleet(world, { ref, name }, change) {
      if (change === 'exited') return undefined;
      const twin = world.fleet
        .living()
        .find(
          (other) =>
            other.name !== name && other.ref.slot === ref.slot && other.ref.generation === ref.generation,
        );
      return twin && `${name} and ${twin.name} are both ${ref.slot}@${ref.generation}`;
    },
  };
}

export function oneMachinePerSlot(): Invariant {
  return {
    id: 'the old machine is proven gone before the next one runs',
    onFleet(world, { ref, name }, change) {
      if (change !== 'booted' && change !== 'moved') return undefined;
      const other = world.fleet
        .living()
        .find((machine) => machine.name !== name && machine.ref.slot === ref.slot);
      return (
        other && `${ref.slot}@${ref.generation} booted while ${ref.slot}@${other.ref.generation} still lived`
      );
    },
  };
}

/** How long ago a machine may have been held back for a leader still to act on it. */
const rememberedMs = 60_000;
/** A probe may have been lost just before, and the last answer have been on its way. */
const slackMs = 1_000;

export function onlyTheDeadAreReplaced(): Invariant {
  return {
    id: 'who was only slow is not replaced',
    onCommit(world, change) {
      if (change.table !== 'slots' || change.after === undefined || change.before === undefined)
        return undefined;
      if (change.after.generation === change.before.generation) return undefined;
      const { slot, generation } = change.before;
      if (world.ledger.redeployment(slot, change.after.generation)?.askedBy === operator) return undefined;
      const machine = world.fleet
        .living()
        .find(({ ref }) => ref.slot === slot && ref.generation === generation);
      // One that went down and came up again did die.
      if (machine === undefined || machine.rebootedAtMs !== undefined) return undefined;
      // A spare that was assigned is not replaced but at work elsewhere.
      if (world.ledger.takersOf({ slot, generation }).length > 0) return undefined;
      const heldBackMs = world.impairments.longestMs(slot, rememberedMs, machine.launchedAtMs);
      if (heldBackMs >= world.spec.graceMs - slackMs) return undefined;
      return `${slot}@${generation} was replaced while alive, having been held back for ${Math.round(heldBackMs)} ms at most`;
    },
  };
}

/** The rows say `dead` on positive evidence only, and that cannot be had of the living. */
export function onlyTheDeadAreCalledDead(): Invariant {
  return {
    id: 'evidence of death is of the dead',
    onCommit(world, change) {
      if (change.table !== 'machines' || change.after?.state !== 'dead' || change.before?.state === 'dead')
        return undefined;
      const { slot, generation, attempt, reason } = change.after;
      const alive = world.fleet
        .living()
        .find(({ ref }) => ref.slot === slot && ref.generation === generation && ref.attempt === attempt);
      return alive && `${slot}@${generation} lives as ${alive.name}, and was found dead: ${reason}`;
    },
  };
}

/** A zombie of a cluster that is no more may know the names of all; nobody takes it for one of the cluster of now. */
export function oldClustersAreRefused(): Invariant {
  return {
    id: "an earlier cluster's machine is accepted by nobody",
    onRequest(world, { uid, machine, kind }) {
      const name = formatMachineId(machine);
      if (uid === world.ledger.uid) return undefined;
      return ({ status, answer }) => {
        const accepted = kind === 'lease' ? answer?.granted === true : status < 300;
        return accepted ? `a ${kind} of ${name} was accepted, which is of an earlier cluster` : undefined;
      };
    },
    onFleet(world, { ref, address }, change) {
      if (change !== 'launched' || ref.clusterUid === world.ledger.uid) return undefined;
      return `${ref.slot}@${ref.generation} of an earlier cluster was launched at ${address}`;
    },
  };
}

/** As the rows say; the truth is the fleet's. */
export function completeIsProven(): Invariant {
  return {
    id: 'complete is what serves and has its predecessor gone',
    onCommit(world, { table, before, after, uid }) {
      if (table !== 'redeployments' || after?.state !== 'complete' || before?.state === 'complete')
        return undefined;
      const { slot, toGeneration } = after;
      const machines = world.fleet.all().filter(({ ref }) => ref.clusterUid === uid && ref.slot === slot);
      const old = machines.find(({ ref, state }) => ref.generation < toGeneration && state !== 'exited');
      if (old !== undefined)
        return `${slot}@${toGeneration} counts as complete, and ${old.name} still lives as ${slot}@${old.ref.generation}`;
      const booted = machines.some(({ ref, host }) => ref.generation === toGeneration && host !== undefined);
      return booted ? undefined : `${slot}@${toGeneration} counts as complete, and never ran`;
    },
  };
}

export function nothingIsForgotten(): Invariant {
  const finding = (world: ClusterWorld): Finding => {
    const stray = world.fleet.living().find(({ ref }) => !world.ledger.knows(ref));
    if (stray === undefined) return undefined;
    const { slot, generation, attempt } = stray.ref;
    return `${stray.name} lives as ${slot}@${generation}, attempt ${attempt}, and no row knows of it`;
  };
  return {
    id: 'nothing launched is forgotten',
    onCommit: (world, change) =>
      change.table === 'machines' || change.table === 'effects' ? finding(world) : undefined,
    onFleet: (world, _machine, change) => (change === 'launched' ? finding(world) : undefined),
  };
}
