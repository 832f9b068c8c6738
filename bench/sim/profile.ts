/** What the simulator's benchmarks know of the process that they run in: live memory, and where its time goes. */
import { Session } from 'node:inspector/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

/** Bytes of objects and buffers that are reachable. */
export function liveBytes(): number {
  collectGarbage();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

/** The share of `work`'s time in each layer (the first whose pattern fits a function's file), the rest, and in GC. */
export async function shares(
  layers: Readonly<Record<string, RegExp>>,
  work: () => Promise<void>,
): Promise<[layer: string, share: number][]> {
  const session = new Session();
  session.connect();
  await session.post('Profiler.enable');
  await session.post('Profiler.setSamplingInterval', { interval: 500 });
  await session.post('Profiler.start');
  await work();
  const { profile } = await session.post('Profiler.stop');
  session.disconnect();

  const layerOf = new Map<number, string>();
  for (const { id, callFrame } of profile.nodes) layerOf.set(id, layerOfFrame(callFrame, layers));
  const times = new Map<string, number>();
  let total = 0;
  for (const [i, id] of profile.samples!.entries()) {
    const layer = layerOf.get(id)!;
    const microseconds = profile.timeDeltas![i]!;
    // What comes before the first sample is the profiler's own start.
    if (layer === 'idle' || i === 0) continue;
    total += microseconds;
    times.set(layer, (times.get(layer) ?? 0) + microseconds);
  }
  return [...times]
    .map(([layer, time]): [string, number] => [layer, time / total])
    .sort((a, b) => b[1] - a[1]);
}

function layerOfFrame(
  { functionName, url }: { functionName: string; url: string },
  layers: Readonly<Record<string, RegExp>>,
): string {
  if (functionName === '(garbage collector)') return 'GC';
  if (functionName === '(idle)') return 'idle';
  for (const [layer, pattern] of Object.entries(layers)) if (pattern.test(url)) return layer;
  return 'Node itself';
}
