import { expect, test } from 'vitest';
import type { Address, Host, HttpInit } from '../../host/host.ts';
import { type EncodableValue, encodeBencode } from '../../wire/bencode.ts';
import { TrackerAnnouncer, type TrackerAnnouncerOptions } from './index.ts';

/** Virtual time, and trackers that answer by script; keeps a transcript of what was asked. */
class FakeHost {
  now = 0;
  readonly transcript: string[] = [];
  answers = new Map<string, EncodableValue | 'hang' | 'refuse'>();
  readonly #timers = new Set<{ at: number; callback: () => void }>();

  readonly host = {
    clock: {
      now: () => this.now,
      wallTime: () => this.now,
      setTimer: (delayMs: number, callback: () => void) => {
        const timer = { at: this.now + delayMs, callback };
        this.#timers.add(timer);
        return { cancel: () => this.#timers.delete(timer) };
      },
    },
    random: { float: () => 0.5, bytes: (length: number) => new Uint8Array(length).fill(0xab) },
    http: { fetch: (url: string, init?: HttpInit) => this.#fetch(url, init) },
  } as unknown as Host;

  get timerCount(): number {
    return this.#timers.size;
  }

  /** Lets everything happen that is due up to `time`. */
  async runTo(time: number): Promise<void> {
    for (;;) {
      await new Promise((resolve) => setImmediate(resolve));
      const [next] = [...this.#timers]
        .filter(({ at }) => at <= time)
        .sort((left, right) => left.at - right.at);
      if (next === undefined) break;
      this.#timers.delete(next);
      this.now = next.at;
      next.callback();
    }
    this.now = time;
  }

  async #fetch(url: string, init?: HttpInit): Promise<Response> {
    const { host, searchParams } = new URL(url.replace(/info_hash=[^&]*&peer_id=[^&]*&/, ''));
    const field = (name: string) => (searchParams.has(name) ? ` ${name}=${searchParams.get(name)}` : '');
    this.transcript.push(
      `${this.now / 1000} ${host}${field('event')}${field('left')}${field('numwant')}${field('trackerid')}`,
    );
    const answer = this.answers.get(host) ?? 'refuse';
    if (answer === 'refuse') throw new Error('refused');
    if (answer !== 'hang') return new Response(encodeBencode(answer) as Uint8Array<ArrayBuffer>);
    return new Promise((_, reject) => {
      const give = () => reject(new Error('given up'));
      init?.signal?.addEventListener('abort', give);
      this.host.clock.setTimer(init?.timeoutMs ?? 0, give);
    });
  }
}

function announcerOn(fake: FakeHost, trackers: string[][], more: Partial<TrackerAnnouncerOptions> = {}) {
  const peers: Address[] = [];
  let leftBytes = 100;
  const announcer = new TrackerAnnouncer(fake.host, {
    infoHash: new Uint8Array(20),
    peerId: new Uint8Array(20),
    port: 6881,
    trackers,
    counts: () => ({ uploadedBytes: 0, downloadedBytes: 0, leftBytes }),
    onPeers: (found) => peers.push(...found),
    ...more,
  });
  return {
    announcer,
    peers,
    complete: () => {
      leftBytes = 0;
      announcer.completed();
    },
  };
}

test('the life of a download', async () => {
  const fake = new FakeHost();
  fake.answers.set('b', { interval: 600, peers: Uint8Array.of(1, 2, 3, 4, 0, 5), 'tracker id': 'T' });
  const { announcer, peers, complete } = announcerOn(fake, [
    ['udp://u:1'],
    ['http://a/announce'],
    ['http://b/announce'],
  ]);
  await fake.runTo(700_000);
  complete();
  await fake.runTo(800_000);
  await announcer.stop();
  await fake.runTo(9_000_000);
  expect(fake.transcript).toEqual([
    '0 a event=started left=100 numwant=80',
    '0 b event=started left=100 numwant=80',
    '600 a event=started left=100 numwant=80',
    '600 b left=100 numwant=80 trackerid=T',
    '700 a event=started left=0 numwant=80',
    '700 b event=completed left=0 numwant=80 trackerid=T',
    '800 b event=stopped left=0 numwant=0 trackerid=T',
  ]);
  expect(peers).toEqual(Array(3).fill({ host: '1.2.3.4', port: 5 }));
  expect(fake.timerCount).toBe(0);
});

test('completed is announced at once, and only once', async () => {
  const fake = new FakeHost();
  fake.answers.set('a', { interval: 600, peers: '' });
  const { announcer, complete } = announcerOn(fake, [['http://a/announce']]);
  await fake.runTo(10_000);
  complete();
  announcer.wantPeers();
  await fake.runTo(20_000);
  expect(fake.transcript).toEqual([
    '0 a event=started left=100 numwant=80',
    '10 a event=completed left=0 numwant=80',
  ]);
  await announcer.stop();
});

test('outcomes are told: warnings, refusals, silence', async () => {
  const fake = new FakeHost();
  fake.answers.set('a', { 'failure reason': 'unregistered' });
  fake.answers.set('b', 'hang');
  fake.answers.set('c', { interval: 60, 'warning message': 'slow down', peers: '' });
  const outcomes: string[] = [];
  const { announcer } = announcerOn(fake, [['http://a/x'], ['http://b/x'], ['http://c/x']], {
    timeoutMs: 5000,
    onOutcome: (url, outcome) =>
      outcomes.push(`${fake.now} ${url} ${'code' in outcome ? outcome.code : outcome.warning}`),
  });
  await fake.runTo(5000);
  expect(outcomes).toEqual([
    '0 http://a/x refused',
    '5000 http://b/x unreachable',
    '5000 http://c/x slow down',
  ]);
  await announcer.stop();
});

test('stopping while a tracker is silent ends at once what is under way, and the goodbye in 3 s', async () => {
  const fake = new FakeHost();
  fake.answers.set('a', 'hang');
  const { announcer, peers } = announcerOn(fake, [['http://a/announce']]);
  await fake.runTo(1000);
  let stopped = false;
  const stopping = announcer.stop().then(() => {
    stopped = true;
  });
  await fake.runTo(3999);
  expect(stopped).toBe(false);
  await fake.runTo(4000);
  await stopping;
  await announcer.stop();
  expect(fake.transcript).toEqual([
    '0 a event=started left=100 numwant=80',
    '1 a event=stopped left=100 numwant=0',
  ]);
  expect(peers).toEqual([]);
});
