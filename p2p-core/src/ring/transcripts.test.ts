/**
 * Golden transcripts: each file of `testdata/` is a script (lines that begin with `>`; `#` is a remark) with
 * what the ring did after each line. `vitest run -u` writes what it does now; read the difference before you keep it.
 *
 *   ring SLOT… [seed=N] [lease=MS] [latency=MS]   run MS   crash|restart SLOT   pause SLOT MS
 *   partition SLOT… | SLOT…  /  heal    evidence SLOT DEAD                       cut|mend SLOT (the control API)
 *   leave SLOT                         cut-link SLOT SLOT (both ways; healed by heal)
 *   lease TERM (taken by another)       lose-record SLOT  replace SLOT TERM      ask FROM TO KIND ROUND
 *   status
 */
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { formatMember } from './member.ts';
import { World } from './testing/world.ts';

const directory = fileURLToPath(new URL('testdata/', import.meta.url));

for (const name of readdirSync(directory)) {
  it(`follows ${name}`, async () => {
    const path = `${directory}${name}`;
    const script = readFileSync(path, 'utf8')
      .split('\n')
      .filter((line) => /^[>#]/.test(line));
    await expect(play(script)).toMatchFileSnapshot(path);
  });
}

function play(script: readonly string[]): string {
  const lines: string[] = [];
  let world: World | undefined;
  for (const line of script) {
    lines.push(line);
    if (line.startsWith('#')) continue;
    const [command, ...words] = line.slice(1).trim().split(/\s+/);
    if (command === 'ring') {
      const options = Object.fromEntries(
        words.filter((word) => word.includes('=')).map((word) => word.split('=')),
      );
      world = new World({
        seed: Number(options.seed ?? 1),
        leaseMs: Number(options.lease ?? 3_000),
        latencyMs: [Number(options.latency ?? 1), Number(options.latency ?? 1)],
        slots: words.filter((word) => !word.includes('=')),
        onLine: (text) => lines.push(text),
      });
    } else if (world === undefined) throw new Error('a script begins with `> ring`');
    else lines.push(...obey(world, command!, words));
  }
  return `${lines.join('\n')}\n`;
}

function obey(world: World, command: string, words: readonly string[]): string[] {
  const [first = '', second = ''] = words;
  switch (command) {
    case 'run':
      world.run(Number(first));
      return [];
    case 'crash':
    case 'restart':
      world[command](first);
      return [];
    case 'pause':
      world.pause(first, Number(second));
      return [];
    case 'partition':
      world.partition(
        words
          .join(' ')
          .split('|')
          .map((group) => group.trim().split(' ')),
      );
      return [];
    case 'cut-link':
      world.cutLink(first, second);
      return [];
    case 'leave':
      world.tell(first, { type: 'leave' });
      return [];
    case 'heal':
      world.partition(undefined);
      return [];
    case 'evidence': {
      const member = world.node(second).id;
      world.tell(first, { type: 'death-observed', member, evidence: 'its exit was seen' });
      return [];
    }
    case 'cut':
    case 'mend':
      world.cutAuthority(first, command === 'cut');
      return [];
    case 'lease':
      world.lease = { term: Number(first), holder: 'the watchdog' };
      return [];
    case 'lose-record':
      world.loseRecord(first);
      return [];
    case 'replace':
      world.replace(first, Number(second));
      return [];
    case 'ask': {
      const round = Number(words[3]);
      const kind = words[2] === 'vote' ? 'vote' : 'pre-vote';
      const from = world.node(first).id;
      const { version } = world.configuration;
      const shown = {
        lamport: 1_000_000 + world.nowMs,
        version,
        term: round,
        leader: undefined,
        gossip: [],
      };
      const envelope = { from, to: world.node(second).id, ...shown, message: { kind, round } as const };
      world.tell(second, { type: 'received', envelope });
      return [];
    }
    case 'status':
      return world.nodes().map(({ id, machine }) => {
        if (machine === undefined) return `       ${formatMember(id)} down`;
        const status = machine.status(world.nowMs);
        const leader = status.leader === undefined ? 'nobody' : formatMember(status.leader);
        const others = status.members
          .map(({ member, state }) => `${formatMember(member)}:${state}`)
          .join(' ');
        return `       ${formatMember(id)} ${status.role} term=${status.term} leader=${leader} ${others}`;
      });
    default:
      throw new Error(`no such command: ${command}`);
  }
}
