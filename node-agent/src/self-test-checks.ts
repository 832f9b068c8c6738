/**
 * What a node checks of what it stands in: who answers it, what the DHT keeps, what its disk gives back, what its clock
 * says. Each check resolves with a sentence of what was measured, and rejects with one of what did not hold.
 */
import { formatMachineId } from '@skep/contract';
import { equalBytes } from '@skep/p2p-core/bytes';
import type { Dht } from '@skep/p2p-core/discovery/dht';
import { type Address, formatAddress, type Host, sleep } from '@skep/p2p-core/host';
import type { RingSeat } from './ring-seat.ts';
import { type Trial, TrialFailure, TrialSkipped } from './trial.ts';

/** How often what was not answered is asked again. */
const askAgainMs = 500;
const mebibyte = 1_048_576;
const diskTestBytes = 256 * 1_024;
/** With less a node can hold nothing worth sharing, and its next start may fail. */
const leastFreeBytes = 64 * mebibyte;
const clockSamples = 3;
/** More than clocks that are kept by NTP ever differ by, and less than anything here would suffer from. */
const mostSkewMs = 2_000;

/** Every other member of the ring answers a ping of this node. */
export async function checkRing({ clock }: Host, ring: RingSeat, trial: Trial): Promise<string> {
  const sinceMs = clock.now();
  for (;;) {
    const members = ring.askAll(sinceMs);
    if (members.length === 0) throw new TrialSkipped('It is the only member of its ring.');
    const silent = members.filter(({ answered }) => !answered).map(({ member }) => formatMachineId(member));
    if (silent.length === 0) return `${counted(members.length, 'other member')} of the ring answered.`;
    trial.awaits(`an answer of ${silent.join(', ')}`);
    await sleep(clock, askAgainMs, trial.signal);
  }
}

/** Every bootstrap node that is up answers a ping of this node in the DHT. */
export async function checkBootstraps(
  { clock }: Host,
  dht: Dht,
  addresses: readonly Address[],
  trial: Trial,
): Promise<string> {
  if (addresses.length === 0)
    throw new TrialFailure('The control API names no bootstrap node that is up: see to the ring first.');
  const silent = new Set(addresses.map(formatAddress));
  const cancels: (() => void)[] = [];
  try {
    while (silent.size > 0) {
      trial.awaits(`an answer of ${[...silent].join(', ')}`);
      for (const address of addresses) {
        const name = formatAddress(address);
        if (silent.has(name)) cancels.push(dht.ping(address, (answered) => answered && silent.delete(name)));
      }
      await sleep(clock, askAgainMs, trial.signal);
    }
  } finally {
    for (const cancel of cancels) cancel();
  }
  return `${counted(addresses.length, 'bootstrap node')} answered in the DHT.`;
}

/** What is announced under an infohash of nobody's is kept by others, and found again at them. */
export async function checkDht(
  dht: Dht,
  announced: { readonly infoHash: Uint8Array; readonly listen: Address },
  trial: Trial,
): Promise<string> {
  const { infoHash, listen } = announced;
  const cancels: (() => void)[] = [];
  try {
    trial.awaits('another node to take an announcement');
    const accepted = await trial.unlessOver(
      new Promise<number>((resolve) => {
        cancels.push(dht.announce(infoHash, listen.port, (count) => count > 0 && resolve(count)));
      }),
    );
    trial.awaits('another node to name what was announced');
    const again = { wantedPeers: 1, firstDelayMs: 250, maxDelayMs: 1_000, fromOthersOnly: true };
    await trial.unlessOver(
      new Promise<void>((resolve) => {
        const onPeers = (peers: readonly Address[]) => {
          if (peers.some(({ host, port }) => port === listen.port && host === listen.host)) resolve();
        };
        cancels.push(dht.findPeers(infoHash, onPeers, undefined, again));
      }),
    );
    return `${counted(accepted, 'node')} took an announcement, and it was found again.`;
  } finally {
    for (const cancel of cancels) cancel();
  }
}

/** The disk keeps what is written and gives it back, and has room. `directory` is this check's own. */
export async function checkDisk({ files, random }: Host, directory: string, trial: Trial): Promise<string> {
  const path = `${directory}/written`;
  const bytes = random.bytes(diskTestBytes);
  trial.awaits('a write to reach the disk');
  await trial.unlessOver(files.writeAtomic(path, bytes));
  trial.awaits('it to be read back');
  const back = await trial.unlessOver(files.read(path, bytes.length));
  if (!equalBytes(back, bytes)) throw new TrialFailure('What was read back is not what was written.');
  const free = await trial.unlessOver(files.freeBytes(directory));
  trial.awaits('it to be removed');
  await trial.unlessOver(files.remove(path));
  if (free < leastFreeBytes)
    throw new TrialFailure(`Only ${Math.floor(free / mebibyte)} MiB are free on the disk: make room.`);
  return `${diskTestBytes / 1_024} KiB written, synced, read back and removed; ${Math.floor(free / mebibyte)} MiB are free.`;
}

/**
 * The wall clock agrees with the control API's, `controlTime`, as far as the round trip lets that be known: what was
 * answered may be as old as half of it, either way.
 */
export async function checkClock(
  { clock }: Host,
  controlTime: (signal: AbortSignal) => Promise<number>,
  trial: Trial,
): Promise<string> {
  let offsetMs = 0;
  let doubtMs = Number.POSITIVE_INFINITY;
  trial.awaits('the control API’s time');
  for (let samples = 0; samples < clockSamples; ) {
    const sentMs = clock.now();
    const sentAt = clock.wallTime();
    let toldMs: number;
    try {
      toldMs = await trial.unlessOver(controlTime(trial.signal));
    } catch (error) {
      trial.awaits(`the control API’s time (${error instanceof Error ? error.message : error})`);
      await sleep(clock, askAgainMs, trial.signal);
      continue;
    }
    samples += 1;
    const halfMs = (clock.now() - sentMs) / 2;
    if (halfMs >= doubtMs) continue;
    doubtMs = halfMs;
    offsetMs = sentAt + halfMs - toldMs;
  }
  const said = `${Math.round(Math.abs(offsetMs))} ms ${offsetMs < 0 ? 'behind' : 'ahead of'} the control API’s, ± ${Math.ceil(doubtMs)} ms`;
  if (Math.abs(offsetMs) - doubtMs > mostSkewMs)
    throw new TrialFailure(`The wall clock is ${said}: have it kept by NTP.`);
  return `The wall clock is ${said}.`;
}

function counted(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? '' : 's'}`;
}
