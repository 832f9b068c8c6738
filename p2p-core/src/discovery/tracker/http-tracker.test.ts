import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { HostError, type Http } from '../../host/host.ts';
import { type EncodableValue, encodeBencode } from '../../wire/bencode.ts';
import { announce, announceUrl, parseAnnounceResponse, TrackerError } from './http-tracker.ts';

const infoHash = Uint8Array.from({ length: 20 }, (_, index) => index * 13);
const peerId = new TextEncoder().encode('-SK0001-~._ab%&=+ :/');
const request = { infoHash, peerId, port: 6881, uploadedBytes: 1, downloadedBytes: 2, leftBytes: 3 };

describe('request', () => {
  test('ids are percent-encoded byte by byte', () => {
    expect(announceUrl('http://t.example:80/announce', request)).toBe(
      'http://t.example:80/announce' +
        '?info_hash=%00%0D%1A%274AN%5Bhu%82%8F%9C%A9%B6%C3%D0%DD%EA%F7' +
        '&peer_id=-SK0001-~._ab%25%26%3D%2B%20%3A%2F&port=6881&uploaded=1&downloaded=2&left=3&compact=1',
    );
  });

  test('optional fields, and a URL with a query and a fragment', () => {
    const url = announceUrl('https://t/a?passkey=x#frag', {
      ...request,
      event: 'started',
      peersWanted: 7,
      key: 'ab&',
      trackerId: Uint8Array.of(0xff, 0x41),
    });
    expect(url).toMatch(/^https:\/\/t\/a\?passkey=x&info_hash=/);
    expect(url).toMatch(/&compact=1&event=started&numwant=7&key=ab%26&trackerid=%FFA$/);
  });

  test.each(['udp://t:1/announce', 'ftp://t', 'http://', 'javascript:1', ''])(
    '%j is not supported',
    (url) => {
      expect(() => announceUrl(url, request)).toThrow(expect.objectContaining({ code: 'unsupported' }));
    },
  );
});

describe('answer', () => {
  const parse = (answer: EncodableValue) => parseAnnounceResponse(encodeBencode(answer));

  test('compact peers of both families', () => {
    const v6 = new Uint8Array(18);
    v6[15] = 1;
    v6[17] = 80;
    const answer = parse({
      interval: 1800,
      'min interval': 60,
      complete: 5,
      incomplete: 6,
      'tracker id': 'id',
      'warning message': 'be\x1b[2Jware',
      peers: Uint8Array.of(127, 0, 0, 1, 0x1a, 0xe1, 10, 0, 0, 1, 0, 0),
      peers6: v6,
    });
    expect(answer).toEqual({
      intervalMs: 1_800_000,
      minIntervalMs: 60_000,
      seeds: 5,
      leeches: 6,
      trackerId: new TextEncoder().encode('id'),
      warning: 'be [2Jware',
      peers: [
        { host: '127.0.0.1', port: 6881 },
        { host: '::1', port: 80 },
      ],
    });
  });

  test('peers as dictionaries; those that cannot be used are left out', () => {
    const peers = [
      { ip: '1.2.3.4', port: 5, 'peer id': peerId },
      { ip: '::1', port: 6 },
      { ip: 'localhost', port: 7 },
      { ip: '1.2.3.4', port: 0 },
      { ip: '1.2.3.4', port: 65_536 },
    ];
    expect(parse({ interval: 1, peers }).peers).toEqual([
      { host: '1.2.3.4', port: 5 },
      { host: '::1', port: 6 },
    ]);
  });

  test('nonsense in optional fields is as if absent', () => {
    const answer = parse({
      interval: -1,
      'min interval': 'x',
      complete: -3,
      incomplete: [],
      'tracker id': 4,
    });
    expect(Object.values(answer).filter((value) => value !== undefined)).toEqual([[]]);
    expect(parse({ interval: 2 ** 40 }).intervalMs).toBeUndefined();
  });

  test('a stranger cannot make us hold more than 2000 peers', () => {
    expect(parse({ peers: new Uint8Array(6 * 3000).fill(1) }).peers).toHaveLength(2000);
    const dictionaries = Array.from({ length: 3000 }, () => ({ ip: '1.1.1.1', port: 1 }));
    expect(parse({ peers: dictionaries }).peers).toHaveLength(2000);
  });

  test.each<[EncodableValue, string, RegExp]>([
    [{ 'failure reason': 'go away', peers: '' }, 'refused', /go away/],
    [{ 'failure reason': 5 }, 'refused', /no reason/],
    [{ peers: 'abcdefg' }, 'malformed', /6-byte/],
    [{ peers: 5 }, 'malformed', /neither/],
    [{ peers: ['x'] }, 'malformed', /entry/],
    [{ peers: [{ ip: '1.1.1.1' }] }, 'malformed', /entry/],
    [{ peers: '', peers6: 'abc' }, 'malformed', /18-byte/],
    [[], 'malformed', /dictionary/],
  ])('%j is %s', (answer, code, message) => {
    expect(() => parse(answer)).toThrow(
      expect.objectContaining({ code, message: expect.stringMatching(message) }),
    );
  });

  test('damaged answers give peers or a TrackerError', () => {
    const valid = encodeBencode({
      interval: 1800,
      peers: [{ ip: '1.2.3.4', port: 5 }],
      peers6: new Uint8Array(18),
    });
    const change = fc.tuple(fc.nat(valid.length - 1), fc.integer({ min: 0, max: 255 }));
    fc.assert(
      fc.property(fc.array(change, { maxLength: 3 }), (changes) => {
        const bytes = valid.slice();
        for (const [at, byte] of changes) bytes[at] = byte;
        try {
          parseAnnounceResponse(bytes);
        } catch (error) {
          expect(error).toBeInstanceOf(TrackerError);
        }
      }),
      { numRuns: 1000 },
    );
  });
});

describe('exchange', () => {
  const over = (respond: () => Response | Promise<Response>) =>
    announce({ fetch: async () => respond() } as unknown as Http, 'http://t/announce', request);

  test('an answer', async () => {
    const body = encodeBencode({
      interval: 9,
      peers: Uint8Array.of(1, 1, 1, 1, 0, 1),
    }) as Uint8Array<ArrayBuffer>;
    expect(await over(() => new Response(body))).toMatchObject({
      intervalMs: 9000,
      peers: [{ host: '1.1.1.1', port: 1 }],
    });
  });

  test('what goes wrong is a TrackerError', async () => {
    await expect(over(() => new Response('no', { status: 404 }))).rejects.toMatchObject({
      code: 'http-status',
    });
    await expect(over(() => new Response('<html>'))).rejects.toMatchObject({ code: 'malformed' });
    await expect(over(() => new Response(null))).rejects.toMatchObject({ code: 'malformed' });
    await expect(
      over(() => {
        throw new HostError('refused', 'nobody listens');
      }),
    ).rejects.toMatchObject({ code: 'unreachable', message: expect.stringContaining('nobody listens') });
  });

  test('an endless answer is given up at the limit', async () => {
    let sent = 0;
    let cancelled = false;
    const body = new ReadableStream<Uint8Array<ArrayBuffer>>({
      pull(controller) {
        sent += 65_536;
        controller.enqueue(new Uint8Array(65_536));
      },
      cancel() {
        cancelled = true;
      },
    });
    await expect(over(() => new Response(body))).rejects.toMatchObject({ code: 'too-large' });
    expect(cancelled).toBe(true);
    expect(sent).toBeLessThan(2 * 1024 * 1024);
  });
});
