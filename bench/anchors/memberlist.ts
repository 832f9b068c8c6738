/**
 * HashiCorp's memberlist with its LAN defaults in virtual time, on the same network as Skep's rings: 25 ms one way.
 * Go builds it from the module that ./memberlist/go.mod names; without Go it is skipped. Its chance has no seed.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TrafficFigures } from '../healing/traffic.ts';

/** Milliseconds from the death; missing for what did not come about in 300 s. */
export interface MemberlistRound {
  readonly suspectedMs?: number;
  /** The last survivor called it dead. */
  readonly agreedMs?: number;
  /** Living nodes called dead meanwhile, once for each node that did. */
  readonly falseDeaths: number;
  readonly atRest: TrafficFigures;
  readonly whileHealing: TrafficFigures;
}

/** Of a ring in which nobody dies. */
export interface MemberlistLife {
  readonly nodeHours: number;
  readonly verdicts: number;
  readonly suspicions: number;
}

interface World {
  readonly members: number;
  /** Worlds, one after another. */
  readonly rounds: number;
  /** Share of datagrams lost, from 0 to 1. @default 0 */
  readonly loss?: number;
}

const maxOutputBytes = 64 * 1024 * 1024;

export class Memberlist {
  readonly #directory: string;

  private constructor(directory: string) {
    this.#directory = directory;
  }

  /** Builds it; a sentence if that cannot be done here. */
  static build(): Memberlist | string {
    const { error, stdout } = spawnSync('go', ['version'], { encoding: 'utf8' });
    if (error !== undefined) return 'memberlist: skipped, Go is not installed';
    const directory = mkdtempSync(join(tmpdir(), 'skep-memberlist-'));
    const built = new Memberlist(directory);
    const { status, stderr } = spawnSync('go', ['test', '-c', '-o', built.#program, '.'], {
      cwd: join(import.meta.dirname, 'memberlist'),
      encoding: 'utf8',
    });
    if (status === 0) return built;
    built.remove();
    return `memberlist: skipped, ${stdout.trim()} did not build it: ${stderr.trim()}`;
  }

  /** Worlds with one death each: the process ends (`kill`), or the machine is cut off (`silence`). */
  die(fault: 'kill' | 'silence', world: World): MemberlistRound[] {
    return this.#run(world, ['-fault', fault]) as MemberlistRound[];
  }

  /** Worlds without a death; so many hours in all. */
  live(nodeHours: number, world: World): MemberlistLife[] {
    return this.#run(world, ['-fault', 'none', '-node-hours', String(nodeHours)]) as MemberlistLife[];
  }

  remove(): void {
    rmSync(this.#directory, { recursive: true, force: true });
  }

  get #program(): string {
    return join(this.#directory, 'memberlist');
  }

  #run({ members, rounds, loss = 0 }: World, args: readonly string[]): unknown[] {
    const { status, stdout, stderr } = spawnSync(
      this.#program,
      // biome-ignore format: an option and its value stand together
      ['-test.v', '-test.timeout', '0', '-members', `${members}`, '-rounds', `${rounds}`, '-loss', `${loss}`, ...args],
      { encoding: 'utf8', maxBuffer: maxOutputBytes },
    );
    if (status !== 0)
      throw new Error(`memberlist ended with ${status}: ${stderr.slice(0, 500)}\n${stdout.slice(-500)}`);
    return stdout
      .split('\n')
      .filter((line) => line.startsWith('{'))
      .map((line) => JSON.parse(line));
  }
}
