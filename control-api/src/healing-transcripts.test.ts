/**
 * Golden transcripts of healing as the control API sees it: each file of `testdata/` is a script (lines that begin
 * with `>`; `#` is a remark) with what its journal said after each line. `vitest run -u` writes what it says now;
 * read the difference before you keep it.
 *
 *   cluster [KEY=VALUE of the spec, zones=A,B instanceTypes=A,B]   run MS   lead SLOT
 *   crash SLOT [EVIDENCE]     crash-unseen SLOT (nobody is told of it)
 *   mute SLOT  /  unmute SLOT (its reports)      suspect SLOT  /  clear SLOT (the ring's silence)
 *   boots-in MS               fail TIMES (launches and assignments, outcome unknown)
 *   becomes-in MS (a spare)   keeps-no-spares (the runner, from now on)    full PLACEMENT  /  room PLACEMENT
 *   cancel REDEPLOYMENT       redeploy SLOT       restart MS (the control API, down that long)       show
 *
 * Machines join, serve and report by themselves; the one that leads renews its lease, and asks each second for what
 * it heeds as dead and for the machines that the ring has held silent for the grace of 6 s.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { ApiError, type ReportAnswer } from '@skep/contract';
import { afterEach, expect, it } from 'vitest';
import type { LaunchRequest } from './ports/launcher.ts';
import { adminToken, createWorld, PretendedAgent, viewerToken, type World } from './testing/world.ts';

const directory = fileURLToPath(new URL('testdata/', import.meta.url));
const stepMs = 50;
const everyMs = 1_000;
const graceMs = 6_000;
const params = { cluster: 'bees' };

interface Actor {
  /** Another one, once it was told what to become. */
  agent: PretendedAgent;
  bornMs: number;
  bootedMs: number;
  joined: boolean;
  nextReportMs: number;
  /** Generations by slot that its commands name dead. */
  deaths: readonly (readonly [slot: string, generation: number])[];
}

class Player {
  readonly #world: World;
  readonly #actors = new Map<string, Actor>();
  readonly #mute = new Set<string>();
  readonly #silent = new Map<string, { readonly generation: number; readonly sinceMs: number }>();
  #leader: string | undefined;
  #term = 0;
  #nextAskMs = 0;
  #bootMs = 300;
  #becomeMs = 100;
  #sequence = 0;
  #originMs = 0;

  constructor(world: World) {
    this.#world = world;
  }

  async obey(command: string, words: readonly string[]): Promise<string[]> {
    const [first = '', ...rest] = words;
    const { launcher } = this.#world;
    switch (command) {
      case 'cluster':
        await this.#create(words);
        return [];
      case 'run':
        await this.#run(Number(first));
        break;
      case 'lead':
        this.#leader = first;
        this.#term += 1;
        await this.#inOffice();
        break;
      case 'crash':
        launcher.crash(launcher.living(first)!.machine, rest.join(' ') || 'killed by SIGKILL');
        if (this.#leader === first) this.#leader = undefined;
        break;
      case 'crash-unseen':
        launcher.machines.get(launcher.living(first)!.machine.token)!.alive = false;
        break;
      case 'mute':
        this.#mute.add(first);
        break;
      case 'unmute':
        this.#mute.delete(first);
        break;
      case 'suspect':
        this.#silent.set(first, await this.#silenceOf(first));
        break;
      case 'clear':
        this.#silent.delete(first);
        break;
      case 'boots-in':
        this.#bootMs = Number(first);
        break;
      case 'becomes-in':
        this.#becomeMs = Number(first);
        break;
      case 'keeps-no-spares':
        Object.assign(launcher, { assign: undefined });
        break;
      case 'fail':
        launcher.failures = Number(first);
        break;
      case 'full':
        launcher.full.add(words.join(' '));
        break;
      case 'room':
        launcher.full.delete(words.join(' '));
        break;
      case 'restart':
        await this.#world.restart(Number(first));
        break;
      case 'cancel': {
        const redeployment = first;
        return [
          await this.#asAdmin((api) => api.cancelRedeployment({ params: { ...params, redeployment } })),
        ];
      }
      case 'redeploy': {
        const slot = first as 'peer-1';
        return [await this.#asAdmin((api) => api.redeployNode({ params: { ...params, slot } }))];
      }
      case 'show':
        return this.#show();
      default:
        throw new Error(`no such command: ${command}`);
    }
    return this.#news();
  }

  get #nowMs(): number {
    return this.#world.host.clock.wallTime();
  }

  async #create(words: readonly string[]): Promise<void> {
    const spec: Record<string, unknown> = { name: 'bees', bootstrap: 3, peers: 1 };
    for (const word of words) {
      const [key, value] = word.split('=') as [string, string];
      if (key !== 'zones' && key !== 'instanceTypes') spec[key] = Number(value);
      else spec.placement = { ...(spec.placement as object), [key]: value.split(',') };
    }
    await this.#world.client(adminToken).createCluster({ body: spec as { name: string } });
    await this.#run(1_000);
    await this.#news();
    this.#originMs = this.#nowMs;
  }

  async #run(forMs: number): Promise<void> {
    for (let leftMs = forMs; leftMs > 0; leftMs -= stepMs) {
      await this.#world.advance(Math.min(stepMs, leftMs));
      for (const { alive, request } of [...this.#world.launcher.machines.values()]) {
        if (alive) await this.#act(request);
      }
      if (this.#leader === undefined || this.#nowMs < this.#nextAskMs) continue;
      this.#nextAskMs = this.#nowMs + everyMs;
      await this.#inOffice();
    }
    await this.#world.advance(0);
  }

  async #act(launched: LaunchRequest): Promise<void> {
    const { token } = launched.machine;
    const actor = this.#actors.get(token) ?? {
      agent: new PretendedAgent(this.#world, launched),
      bornMs: this.#nowMs,
      bootedMs: this.#nowMs + this.#bootMs,
      joined: false,
      nextReportMs: 0,
      deaths: [],
    };
    this.#actors.set(token, actor);
    if (this.#nowMs < actor.bootedMs || this.#nowMs < actor.nextReportMs) return;
    if (this.#mute.has(actor.agent.id.slot)) return;
    actor.nextReportMs = this.#nowMs + everyMs;
    try {
      if (!actor.joined) await actor.agent.join(undefined, this.#nowMs - actor.bornMs);
      const { commands } = await actor.agent.report(actor.joined ? 'serving' : 'joined');
      if (!actor.joined) actor.nextReportMs = this.#nowMs + stepMs;
      actor.joined = true;
      if (commands !== undefined) this.#heed(actor, commands);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      this.#world.launcher.crash(launched.machine, 'exit code 0');
    }
  }

  #heed(actor: Actor, commands: NonNullable<ReportAnswer['commands']>): void {
    for (const command of commands) {
      if (command.kind === 'become') {
        const { config } = command;
        const agent = new PretendedAgent(this.#world, { ...actor.agent.launched, config });
        const bootedMs = this.#nowMs + this.#becomeMs;
        Object.assign(actor, { agent, bornMs: this.#nowMs, bootedMs, joined: false, nextReportMs: 0 });
        return;
      }
      if (command.kind === 'stop') this.#world.launcher.crash(actor.agent.launched.machine, 'exit code 0');
      if (command.kind !== 'heed-deaths') continue;
      actor.deaths = command.deaths.map(({ machine }) => [machine.slot, machine.generation] as const);
    }
  }

  /** What a leader does each second. */
  async #inOffice(): Promise<void> {
    const launched = this.#world.launcher.living(this.#leader!);
    const leader = launched && this.#actors.get(launched.machine.token);
    if (leader === undefined) return;
    await leader.agent.acquire(this.#term);
    const ask = (slot: string, generation: number, silentMs?: number) =>
      leader.agent.redeploy(slot, generation, this.#term, silentMs).catch((error) => {
        if (!(error instanceof ApiError)) throw error;
      });
    for (const [slot, generation] of leader.deaths) await ask(slot, generation);
    for (const [slot, { generation, sinceMs }] of this.#silent) {
      if ((await this.#silenceOf(slot)).generation !== generation) this.#silent.delete(slot);
      else if (this.#nowMs - sinceMs >= graceMs) await ask(slot, generation, this.#nowMs - sinceMs);
    }
  }

  async #silenceOf(slot: string) {
    const { generation } = await this.#world.node('bees', slot);
    return { generation, sinceMs: this.#nowMs };
  }

  async #asAdmin(
    call: (api: ReturnType<World['client']>) => Promise<{ id: string; state: string }>,
  ): Promise<string> {
    try {
      const { id, state } = await call(this.#world.client(adminToken));
      return `       ${id} ${state}`;
    } catch (error) {
      return `       ${(error as ApiError).problem!.code}: ${(error as ApiError).problem!.detail}`;
    }
  }

  /** What the journal has had since. */
  async #news(): Promise<string[]> {
    const query = { after: this.#sequence, limit: 1_000 };
    const events = await this.#world.client(viewerToken).listEvents({ params, query });
    this.#sequence = events.at(-1)?.sequence ?? this.#sequence;
    return events.map(({ atMs, kind, slot, generation, data }) => {
      const about = slot === undefined ? '' : ` ${slot}@${generation}`;
      const details = Object.entries(data).map(([key, value]) => ` ${key}=${value}`);
      return `${String(Math.round(atMs - this.#originMs)).padStart(6)} ${kind}${about}${details.join('')}`;
    });
  }

  /** Redeployments, oldest first, with their times; slots that do not serve. */
  async #show(): Promise<string[]> {
    const redeployments = await this.#world.client(viewerToken).listRedeployments({ params });
    const nodes = await this.#world.nodes('bees');
    return [
      ...redeployments.reverse().map(({ id, state, cause, attempts, times }) => {
        const told = Object.entries(times).map(
          ([key, atMs]) => `${key.replace(/Ms$/, '')}=${Math.round(atMs - this.#originMs)}`,
        );
        return `       ${id} ${state}, ${cause}, attempt ${attempts}: ${told.join(' ')}`;
      }),
      ...nodes
        .filter(({ state }) => state !== 'serving')
        .map(({ slot, generation, state, held, reason }) =>
          [`       ${slot}@${generation} ${state}`, held && 'held', reason].filter(Boolean).join(', '),
        ),
    ];
  }
}

let world: World | undefined;
afterEach(async () => {
  if (world !== undefined) await Promise.all([world.api.stop(), world.advance(2_000)]);
});

for (const name of readdirSync(directory)) {
  it(`follows ${name}`, async () => {
    const path = `${directory}${name}`;
    const script = readFileSync(path, 'utf8')
      .split('\n')
      .filter((line) => /^[>#]/.test(line));
    world = await createWorld(1);
    const player = new Player(world);
    const lines: string[] = [];
    for (const line of script) {
      lines.push(line);
      if (line.startsWith('#')) continue;
      const [command, ...words] = line.slice(1).trim().split(/\s+/);
      lines.push(...(await player.obey(command!, words)));
    }
    await expect(`${lines.join('\n')}\n`).toMatchFileSnapshot(path);
  });
}
