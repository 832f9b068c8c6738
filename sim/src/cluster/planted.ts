/**
 * Faults planted into a simulated cluster, one safety rule switched off at a time: what the invariants must be
 * able to find. They live around the control API, its launcher and store, and the agents' hosts, never
 * inside: production code has no switch for them.
 */
import type { Journal, Launcher, LaunchRequest, RedeploymentRow, Store, Write } from '@skep/control-api';
import type { Host } from '@skep/p2p-core/host';
import type { ClusterWorld } from './cluster-world.ts';
import type { Fleet, FleetMachine } from './fleet.ts';
import {
  admitsWhoeverAsks,
  electsItself,
  forging,
  grantsLongLeases,
  hidesAdmission,
  hidesStamps,
  ofTheCurrentCluster,
  ofTheCurrentGeneration,
  underTheCurrentTerm,
  withoutBudgets,
  withTheCurrentRing,
} from './planted-requests.ts';
import { believingStrangers, keepingLeases, RingBending } from './planted-rings.ts';
import { partsOf } from './watched-host.ts';
import type { Layer } from './wire.ts';

/** What is put between the parts of a world. */
export interface Plant {
  /** In front of the control API. */
  readonly layer?: Layer;
  readonly launcher?: (launcher: Launcher) => Launcher;
  /** Below a control API's process, each time one starts. */
  readonly rows?: (rows: Store & Journal) => Store & Journal;
  /** Below a machine's agent. */
  readonly host?: (host: Host, machine: FleetMachine) => Host;
}

const plants = {
  /** The control API hears leaders of old terms. */
  term: (world: ClusterWorld): Plant => ({ layer: forging(world, underTheCurrentTerm) }),
  /** The control API takes any generation for the present one. */
  generation: (world: ClusterWorld): Plant => ({ layer: forging(world, ofTheCurrentGeneration) }),
  /** A launch that is tried again makes another machine. */
  token: (world: ClusterWorld): Plant => ({ launcher: (launcher) => withoutTokens(launcher, world.fleet) }),
  /** Leaders go on acting when their lease has ended. */
  lease: (): Plant => ({ layer: grantsLongLeases }),
  /** Any one node is majority enough. */
  majority: (): Plant => ({ layer: electsItself }),
  /** A new generation votes in terms in which the one before may have voted. */
  admission: (): Plant => ({ layer: hidesAdmission }),
  /** Votes are given before they are durable: what is said to be on disk is not there after a reboot. */
  votes: (): Plant => ({ host: forgettingVotes }),
  /** A machine counts as gone as soon as it was asked to stop. */
  stop: (world: ClusterWorld): Plant => ({ launcher: (launcher) => stoppingTooEarly(launcher, world) }),
  /** What was decided is kept in memory only: a control API that dies forgets what it had still to do. */
  effects: (): Plant => ({ rows: forgettingEffects }),
  /** A control API that comes back finds none of the machines that run. */
  adoption: (): Plant => ({ launcher: adoptingNothing }),
  /** Nodes wait for a silent one only a fifth of the grace. */
  grace: (): Plant => ({ launcher: cuttingGrace }),
  /** A machine that does not answer for a moment is told of as one that was seen to exit. */
  evidence: (world: ClusterWorld): Plant => ({ launcher: (launcher) => takingForDead(launcher, world) }),
  /** A join secret admits any number of machines. */
  credential: (): Plant => ({ layer: admitsWhoeverAsks() }),
  /** Redeployments have no budget. */
  budget: (): Plant => ({ layer: withoutBudgets }),
  /** The control API's Lamport clock does not go by what agents' calls are stamped with. */
  lamport: (): Plant => ({ layer: hidesStamps }),
  /** The control API takes a machine of an earlier cluster for the one of now that is called the same. */
  uid: (world: ClusterWorld): Plant => ({ layer: forging(world, ofTheCurrentCluster) }),
  /** The ring's size changes without waiting until most have the ring as it is. */
  'size-change': (world: ClusterWorld): Plant => ({ layer: forging(world, withTheCurrentRing) }),
  /** A redeployment counts as complete when its machine is launched. */
  complete: (): Plant => ({ rows: completingAtOnce }),
  /** A commit is made whatever the rows have become since it was decided. */
  'compare-and-set': (): Plant => ({ rows: comparingNothing }),
  /** Who leads is passed on as it was heard, not as long as it lasts. */
  'relayed-lease': (): Plant => bendingRings(new RingBending(keepingLeases)),
  /** One node's suspicion is enough for all others to hold a member dead. */
  confirmations: (): Plant => bendingRings(new RingBending(believingStrangers)),
} as const satisfies Record<string, (world: ClusterWorld) => Plant>;

/** Each takes away one rule. */
export type Planted = keyof typeof plants;

export const allPlanted = Object.keys(plants) as readonly Planted[];

export function plantIn(world: ClusterWorld, planted: Planted): Plant {
  return plants[planted](world);
}

/** A launcher with some of its methods replaced: a spread would miss those of a class. */
function launcherWith(launcher: Launcher, replaced: Partial<Launcher>): Launcher {
  const { pause, resume, assign } = launcher;
  return {
    allocate: (count, taken, options) => launcher.allocate(count, taken, options),
    launch: (request) => launcher.launch(request),
    stop: (machine, options) => launcher.stop(machine, options),
    kill: (machine, options) => launcher.kill(machine, options),
    list: (clusterUid) => launcher.list(clusterUid),
    watch: (onExit) => launcher.watch(onExit),
    logs: (machine, tailBytes) => launcher.logs(machine, tailBytes),
    forget: (clusterUid) => launcher.forget(clusterUid),
    ...(pause === undefined ? {} : { pause: pause.bind(launcher) }),
    ...(resume === undefined ? {} : { resume: resume.bind(launcher) }),
    ...(assign === undefined ? {} : { assign: assign.bind(launcher) }),
    ...replaced,
  };
}

function withoutTokens(launcher: Launcher, fleet: Fleet): Launcher {
  return launcherWith(launcher, {
    launch: (request) => {
      const { machine } = request;
      const before = fleet.all().filter(({ ref }) => ref.token.startsWith(machine.token)).length;
      const token = before === 0 ? machine.token : `${machine.token}/${before + 1}`;
      return launcher.launch({ ...request, machine: { ...machine, token } });
    },
  });
}

const lateStopMs = 20_000;

function stoppingTooEarly(launcher: Launcher, world: ClusterWorld): Launcher {
  return launcherWith(launcher, {
    stop: async (machine, options) => {
      world.in(lateStopMs, () => void launcher.stop(machine, options).catch(() => undefined));
    },
  });
}

function adoptingNothing(launcher: Launcher): Launcher {
  return launcherWith(launcher, { list: async () => [] });
}

function cuttingGrace(launcher: Launcher): Launcher {
  const hasty = (request: LaunchRequest): LaunchRequest => ({
    ...request,
    config: { ...request.config, graceMs: Math.max(500, Math.round(request.config.graceMs / 5)) },
  });
  return launcherWith(launcher, { launch: (request) => launcher.launch(hasty(request)) });
}

const checkEveryMs = 1_000;

function takingForDead(launcher: Launcher, world: ClusterWorld): Launcher {
  return launcherWith(launcher, {
    watch: (onExit) => {
      let isWatching = true;
      const check = () => {
        if (!isWatching) return;
        for (const { launchedAs, host } of world.fleet.living()) {
          if (host?.state === 'paused')
            onExit({ machine: launchedAs, evidence: 'it failed its health check' });
        }
        world.in(checkEveryMs, check);
      };
      world.in(checkEveryMs, check);
      const end = launcher.watch(onExit);
      return () => {
        isWatching = false;
        end();
      };
    },
  });
}

function forgettingEffects(rows: Store & Journal): Store & Journal {
  return rowsWith(rows, {
    list: async (prefix) => (await rows.list(prefix)).filter(({ key }) => !key.includes('/effects/')),
  });
}

function rowsWith(rows: Store & Journal, replaced: Partial<Store & Journal>): Store & Journal {
  return {
    get: (key) => rows.get(key),
    list: (prefix) => rows.list(prefix),
    commit: (writes, events) => rows.commit(writes, events),
    head: (uid) => rows.head(uid),
    read: (uid, after, limit) => rows.read(uid, after, limit),
    subscribe: (uid, onAppended) => rows.subscribe(uid, onAppended),
    forget: (uid) => rows.forget(uid),
    ...replaced,
  };
}

function completingAtOnce(rows: Store & Journal): Store & Journal {
  const hasty = (write: Write): Write => {
    const row = write.put as unknown as RedeploymentRow | undefined;
    if (row === undefined || !write.key.includes('/redeployments/') || row.state === 'cancelled')
      return write;
    return { ...write, put: { ...row, state: 'complete' } } as unknown as Write;
  };
  return rowsWith(rows, { commit: (writes, events) => rows.commit(writes.map(hasty), events) });
}

function comparingNothing(rows: Store & Journal): Store & Journal {
  const commit: Store['commit'] = async (writes, events) => {
    const present = await Promise.all(
      writes.map(async (write) => ({
        ...write,
        expectedVersion: (await rows.get(write.key))?.version ?? 0,
      })),
    );
    return rows.commit(present, events);
  };
  return rowsWith(rows, { commit });
}

function bendingRings(bending: RingBending): Plant {
  return {
    launcher: (launcher) =>
      launcherWith(launcher, {
        launch: (request) => {
          bending.launched(request);
          return launcher.launch(request);
        },
      }),
    host: (host, machine) => bending.host(host, machine),
  };
}

/** The page cache has it: whoever reads it back in the same life finds it, the next life does not. */
function forgettingVotes(host: Host): Host {
  const { files } = host;
  const isVote = (path: string) => path.includes('/ring/vote-');
  return {
    ...partsOf(host),
    files: {
      read: (path, maxBytes) => files.read(path, maxBytes),
      // As many bytes as the vote take as long to be written, under a name that nobody reads.
      writeAtomic: (path, bytes) => files.writeAtomic(isVote(path) ? `${path}.cached` : path, bytes),
      append: (path, bytes) => files.append(path, bytes),
      createExclusive: (path, bytes) => files.createExclusive(path, bytes),
      list: (path) => files.list(path),
      stat: (path) => files.stat(path),
      makeDirectory: async (path) => {
        if (!isVote(path)) await files.makeDirectory(path);
      },
      remove: (path) => files.remove(path),
      freeBytes: (directory) => files.freeBytes(directory),
    },
  };
}
