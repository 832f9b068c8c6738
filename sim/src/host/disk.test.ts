/** The disk's model of time, its faults, and what of its writes a crash leaves. */
import { describe, expect, test } from 'vitest';
import type { DiskOptions } from './disk.ts';
import { HARD_DISK } from './disk.ts';
import { RealExtent } from './extent.ts';
import { SimPiece } from './piece.ts';
import type { SimHost } from './sim-host.ts';
import { SimWorld } from './sim-world.ts';

const MIB = 2 ** 20;

function machine(disk: DiskOptions = {}, seed = 1): { world: SimWorld; host: SimHost } {
  const world = new SimWorld({ seed });
  return { world, host: world.createHost({ address: '10.0.0.1', disk }) };
}

const codeOf = (attempt: Promise<unknown>): Promise<string> =>
  attempt.then(
    () => 'done',
    (error) => error.code,
  );

/** How long what `start` begins takes until all of it is done. */
async function timeOf(world: SimWorld, start: () => Promise<unknown>): Promise<number> {
  const startMs = world.nowMs;
  await world.complete(start());
  return world.nowMs - startMs;
}

async function openFilm({ world, host }: { world: SimWorld; host: SimHost }, length = 64 * MIB) {
  host.disk.putSynthetic('/data/film', { seed: 'film', length });
  return world.complete(host.payload.openContent({ root: '/data', files: [{ path: 'film', length }] }));
}

describe('time', () => {
  test('a sequential access costs no seek, any other one does', async () => {
    const here = machine({ latencyMs: 0, seekMs: 10 });
    const content = await openFilm(here);
    const readAt = (mib: number) => timeOf(here.world, () => content.hashRange(mib * MIB, MIB, 'sha1'));
    expect(await readAt(3)).toBeCloseTo(10);
    expect([await readAt(4), await readAt(5)]).toEqual([0, 0]);
    expect(await readAt(7)).toBeCloseTo(10);
    expect(await readAt(7)).toBeCloseTo(10);
    await here.world.complete(here.host.files.writeAtomic('/other', new Uint8Array(1)));
    expect(await readAt(8)).toBeCloseTo(10);
  });

  test('reads and writes share the disk and its rate; their latencies overlap', async () => {
    const here = machine({ latencyMs: 5, bytesPerSecond: 100 * MIB });
    const content = await openFilm(here);
    const elapsed = await timeOf(here.world, () =>
      Promise.all([
        content.hashRange(0, 10 * MIB, 'sha1'),
        here.host.files.append('/log', new Uint8Array(10 * MIB)),
        content.hashRange(0, 10 * MIB, 'sha1'),
      ]),
    );
    expect(elapsed).toBeCloseTo(305);
  });

  test('a hard disk reads in order far faster than here and there', async () => {
    const here = machine(HARD_DISK);
    const content = await openFilm(here);
    const read = (order: (i: number) => number) =>
      timeOf(here.world, () =>
        Promise.all(
          Array.from({ length: 64 }, (_, i) => content.hashRange(order(i) * 65_536, 65_536, 'sha1')),
        ),
      );
    const inOrder = await read((i) => i);
    expect(inOrder).toBeLessThan(40);
    expect(await read((i) => (i * 37) % 1_024)).toBeGreaterThan(20 * inOrder);
  });

  test('a slow disk is as slow as its conditions say', async () => {
    const { world, host } = machine({ latencyMs: 1 });
    const write = () => timeOf(world, () => host.files.writeAtomic('/a', new Uint8Array(1_000)));
    expect(await write()).toBeCloseTo(1);
    host.disk.setConditions({ delayMs: 50, bytesPerSecond: 10_000 });
    expect(await write()).toBeCloseTo(151);
    host.disk.setConditions({});
    expect(await write()).toBeCloseTo(1);
  });

  test('operations end in the order they were asked for, though the disk recovered meanwhile', async () => {
    const { world, host } = machine();
    const order: string[] = [];
    host.disk.setConditions({ delayMs: 100 });
    const slow = host.files.append('/a', Uint8Array.of(1)).then(() => order.push('slow'));
    host.disk.setConditions({});
    const quick = host.files.append('/a', Uint8Array.of(2)).then(() => order.push('quick'));
    await world.complete(Promise.all([slow, quick]));
    expect(order).toEqual(['slow', 'quick']);
    expect(await world.complete(host.files.read('/a', 9))).toEqual(Uint8Array.of(1, 2));
  });
});

describe('faults', () => {
  test('a full disk reads and removes, and writes nothing', async () => {
    const { world, host } = machine();
    await world.complete(host.files.writeAtomic('/a', Uint8Array.of(1)));
    host.disk.setConditions({ full: true });
    const attempts = [
      host.files.writeAtomic('/a', Uint8Array.of(2)),
      host.files.append('/a', Uint8Array.of(2)),
      host.files.createExclusive('/b', Uint8Array.of(2)),
      host.files.makeDirectory('/c'),
      host.files.read('/a', 1),
      host.files.remove('/a'),
    ];
    expect(await world.complete(Promise.all(attempts.map(codeOf)))).toEqual([
      ...Array(4).fill('disk-full'),
      'done',
      'done',
    ]);
    expect(await world.complete(host.files.freeBytes('/'))).toBe(0);
  });

  test('reads and writes fail at the rates asked for', async () => {
    const { world, host } = machine();
    host.disk.setConditions({ readErrorRate: 0.2, writeErrorRate: 0.4 });
    const count = async (attempt: () => Promise<unknown>) => {
      const codes = await world.complete(Promise.all(Array.from({ length: 1_000 }, () => codeOf(attempt()))));
      return codes.filter((code) => code === 'io').length;
    };
    const writes = await count(() => host.files.append('/a', Uint8Array.of(1)));
    const reads = await count(() => host.files.stat('/a'));
    expect(writes).toBeGreaterThan(340);
    expect(writes).toBeLessThan(460);
    expect(reads).toBeGreaterThan(150);
    expect(reads).toBeLessThan(250);
  });

  test('a corrupt read is one wrong byte once; corrupt sectors stay wrong', async () => {
    const here = machine();
    const { world, host } = here;
    const content = await openFilm(here, MIB / 2);
    const hash = () => world.complete(content.hashRange(0, MIB / 2, 'sha1'));
    const right = await hash();
    host.disk.setConditions({ corruptReadRate: 1 });
    expect(await hash()).not.toEqual(right);
    const read = await world.complete(
      new Promise<Uint8Array>((resolve, reject) =>
        (content as import('./content.ts').SimContent).readBlocks(
          [{ offset: 0, length: 16_384 }],
          (outcome) => ('value' in outcome ? resolve(outcome.value[0]!.bytes()) : reject(outcome.error)),
        ),
      ),
    );
    host.disk.setConditions({});
    expect(await hash()).toEqual(right);
    const bytes = await world.complete(host.files.read('/data/film', MIB));
    expect(read.filter((byte, at) => byte !== bytes[at]).length).toBe(1);
    host.disk.corrupt('/data/film', { offset: MIB / 4, length: 1 });
    expect(await hash()).not.toEqual(right);
    const after = await world.complete(host.files.read('/data/film', MIB));
    expect(after.filter((byte, at) => byte !== bytes[at]).length).toBe(4_096);
  });

  test('synthetic files take room, and are refused where there is none', async () => {
    const { host } = machine({ capacityBytes: 10 * MIB });
    host.disk.putSynthetic('/a', { seed: 1, length: 6 * MIB });
    expect(host.disk.freeBytes).toBe(4 * MIB);
    expect(() => host.disk.putSynthetic('/b', { seed: 1, length: 5 * MIB })).toThrow('no room');
    host.disk.putSynthetic('/a', { seed: 2, length: 10 * MIB });
    expect(host.disk.usedBytes).toBe(10 * MIB);
    host.disk.erase();
    expect(host.disk.usedBytes).toBe(0);
  });
});

describe('crashes', () => {
  const LENGTH = 64 * 4_096;
  const layout = { root: '/data', files: [{ path: 'film', length: LENGTH }] };

  /** Crashes while a piece of ones is written over zeros; gives the file's bytes after the restart. */
  async function crashedAt(ms: number, kind: 'process' | 'machine', isSynced = false) {
    const { world, host } = machine({ latencyMs: 10 });
    await world.complete(host.files.makeDirectory('/data'));
    const content = await world.complete(host.payload.openContent(layout));
    await world.complete(content.createFiles());
    await world.complete(content.sync());
    const piece = host.payload.allocatePiece(LENGTH) as SimPiece;
    expect(piece).toBeInstanceOf(SimPiece);
    const ones = new Uint8Array(LENGTH).fill(1);
    piece.put(0, RealExtent.of(ones));
    const stored = content.storePiece(piece, 0, host.compute.hash('sha1', ones));
    if (isSynced) void stored.then(() => content.sync());
    await world.run({ untilMs: world.nowMs + ms });
    host.crash({ kind });
    const next = host.restart();
    return world.complete(next.files.read('/data/film', LENGTH));
  }

  const sectorsOf = (bytes: Uint8Array): number[] =>
    Array.from({ length: LENGTH / 4_096 }, (_, i) => {
      const sector = bytes.subarray(i * 4_096, (i + 1) * 4_096);
      expect(new Set(sector).size).toBe(1);
      return sector[0]!;
    });

  test('of a process tear the write under way by sectors, and keep those before', async () => {
    const torn = sectorsOf(await crashedAt(5, 'process'));
    expect(new Set(torn)).toEqual(new Set([0, 1]));
    expect(new Set(sectorsOf(await crashedAt(15, 'process')))).toEqual(new Set([1]));
  });

  test('of a machine tear what was not synced, and keep what was', async () => {
    const torn = sectorsOf(await crashedAt(15, 'machine'));
    expect(new Set(torn)).toEqual(new Set([0, 1]));
    expect(new Set(sectorsOf(await crashedAt(25, 'machine', true)))).toEqual(new Set([1]));
  });

  test('leave an atomic write old or new, and a completed one for good', async () => {
    const outcomes = new Set<number>();
    for (let ms = 0.5; ms < 20; ms++) {
      const { world, host } = machine({ latencyMs: 10 }, ms);
      await world.complete(host.files.writeAtomic('/state', new Uint8Array(50_000).fill(1)));
      let isTold = false;
      void host.files.writeAtomic('/state', new Uint8Array(40_000).fill(2)).then(() => {
        isTold = true;
      });
      await world.run({ untilMs: world.nowMs + ms });
      host.crash({ kind: 'machine', unsyncedLossRate: 1 });
      const bytes = await world.complete(host.restart().files.read('/state', 50_000));
      const [value] = bytes;
      expect(bytes).toEqual(value === 1 ? new Uint8Array(50_000).fill(1) : new Uint8Array(40_000).fill(2));
      if (isTold) expect(value).toBe(2);
      outcomes.add(value!);
    }
    expect(outcomes).toEqual(new Set([1, 2]));
  });

  test('leave a prefix of what was being appended', async () => {
    const lengths = new Set<number>();
    for (let seed = 0; seed < 20; seed++) {
      const { world, host } = machine({ latencyMs: 10 }, seed);
      const line = (from: number) => Uint8Array.from({ length: 100 }, (_, i) => from + i);
      await world.complete(host.files.append('/log', line(0)));
      void host.files.append('/log', line(100));
      await world.run({ untilMs: world.nowMs + 5 });
      host.crash();
      const log = await world.complete(host.restart().files.read('/log', 200));
      expect(log.length).toBeGreaterThanOrEqual(100);
      expect(log).toEqual(Uint8Array.from({ length: log.length }, (_, i) => i));
      lengths.add(log.length);
    }
    expect(lengths.size).toBeGreaterThan(5);
  });

  test('undo what the disk had not begun with', async () => {
    const { world, host } = machine({ latencyMs: 0, bytesPerSecond: 1_000 });
    void host.files.append('/busy', new Uint8Array(1_000));
    void host.files.append('/waiting', new Uint8Array(1_000));
    await world.run({ untilMs: 500 });
    host.crash();
    const next = host.restart();
    expect(await world.complete(next.files.stat('/waiting'))).toBeUndefined();
  });
});
