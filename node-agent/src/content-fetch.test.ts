/** Content fetched from a web server that breaks off, refuses, or lies, in virtual time; and seeded by a real node. */
import type { TorrentHolding } from '@skep/contract';
import { createNode } from '@skep/p2p-core';
import { toHex } from '@skep/p2p-core/bytes';
import { type Host, sleep } from '@skep/p2p-core/host';
import { createMetainfo, encodeMetainfo } from '@skep/p2p-core/metainfo';
import { SimWorld } from '@skep/sim';
import { beforeEach, describe, expect, it } from 'vitest';
import { fetchContent } from './content-fetch.ts';
import { TorrentHoldings } from './torrent-holdings.ts';

const content = Uint8Array.from({ length: 100_000 }, (_, index) => (index * 7 + (index >> 8)) & 0xff);
const url = 'http://10.0.0.2:80/bees.bin';
const path = '/data/content/bees.bin';

let world: SimWorld;
let host: Host;
let asked: (string | null)[];

beforeEach(() => {
  world = new SimWorld({ seed: 1 });
  host = world.createHost({ address: '10.0.0.1' });
  asked = [];
});

/** Answers with what `answer` makes of the range that was asked for. */
async function serve(answer: (from: number, request: Request) => Response): Promise<void> {
  const server = world.createHost({ address: '10.0.0.2' });
  const handler = (request: Request) => {
    const range = request.headers.get('range');
    asked.push(range);
    return answer(Number(/^bytes=(\d+)-$/.exec(range ?? '')?.[1] ?? 0), request);
  };
  await world.complete(server.http.serve({ host: '10.0.0.2', port: 80 }, handler));
}

const partly = (from: number, bytes = content.length) =>
  new Response(content.slice(from, from + bytes), { status: from === 0 ? 200 : 206 });

const fetching = (signal = new AbortController().signal) =>
  fetchContent(host, { url, path, lengthBytes: content.length, onProgress: () => undefined, signal });
async function put(on: Host, at: string, bytes: Uint8Array): Promise<void> {
  await world.complete(on.files.makeDirectory(at.slice(0, at.lastIndexOf('/'))));
  await world.complete(on.files.append(at, bytes));
}

const onDisk = () => world.complete(host.files.read(path, 1_000_000));

describe('fetchContent', () => {
  it('goes on where it was broken off, for as long as bytes come', async () => {
    await serve((from) => partly(from, 9_000));
    await world.complete(fetching());
    expect(await onDisk()).toEqual(content);
    expect(asked.slice(0, 3)).toEqual([null, 'bytes=9000-', 'bytes=18000-']);
  });

  it('has what is on disk already, and asks for nothing if that is all', async () => {
    await put(host, path, content.slice(0, 60_000));
    await serve((from) => partly(from));
    await world.complete(fetching());
    await world.complete(fetching());
    expect(await onDisk()).toEqual(content);
    expect(asked).toEqual(['bytes=60000-']);
  });

  it('begins anew with a server that knows no ranges, and where too much is on disk', async () => {
    await put(host, path, new Uint8Array(5));
    await serve(() => partly(0));
    await world.complete(fetching());
    expect(await onDisk()).toEqual(content);
    await put(host, path, new Uint8Array(5));
    await world.complete(fetching());
    expect(await onDisk()).toEqual(content);
    expect(asked).toEqual(['bytes=5-', null]);
  });

  it.each([
    [403, 1],
    [404, 1],
    [500, 8],
  ])('gives up on %i after asking %i times', async (status, times) => {
    await serve(() => new Response('', { status }));
    await expect(world.complete(fetching())).rejects.toThrow(`answers ${status}`);
    expect(asked).toHaveLength(times);
  });

  it('takes no more than the torrent has', async () => {
    await serve(() => new Response(new Uint8Array(content.length + 1)));
    await expect(world.complete(fetching())).rejects.toThrow('gives more than the 100000 bytes');
    expect(await world.complete(host.files.stat(path))).toBeUndefined();
  });

  it('ends when it is told to', async () => {
    const end = new AbortController();
    await serve(() => {
      end.abort(new Error('enough'));
      return new Response('', { status: 500 });
    });
    await expect(world.complete(fetching(end.signal))).rejects.toThrow('enough');
  });
});

describe('a seed of content from the web', () => {
  async function holder() {
    const maker = world.createHost({ address: '10.0.0.3' });
    await put(maker, '/made/bees.bin', content);
    const metainfo = await world.complete(createMetainfo(maker, '/made/bees.bin', {}));
    const options = { listen: { host: '10.0.0.1', port: 6881 }, dht: false as const, dataDirectory: '/data' };
    const node = await world.complete(createNode({ host }, options));
    const holdings = new TorrentHoldings(
      { host, node },
      { dataDirectory: '/data', onEvent: () => undefined },
    );
    const infoHash = toHex(metainfo.info.infoHash);
    const encoded = Buffer.from(encodeMetainfo(metainfo)).toString('base64');
    const command = {
      kind: 'hold-torrent' as const,
      infoHash,
      magnet: `magnet:?xt=urn:btih:${infoHash}`,
      metainfo: encoded,
      contentUrl: url,
    };
    return { holdings, command };
  }

  async function reported(
    holdings: TorrentHoldings,
    is: (holding: TorrentHolding | undefined) => boolean,
  ): Promise<TorrentHolding[]> {
    const { signal } = new AbortController();
    for (let seconds = 0; seconds < 300 && !is(holdings.report()[0]); seconds++) {
      await world.complete(sleep(host.clock, 1_000, signal));
    }
    return holdings.report();
  }

  it('is told as downloading, then seeds', async () => {
    await serve((from) => partly(from, 30_000));
    const { holdings, command } = await holder();
    await world.complete(holdings.obey([command]));
    await world.complete(holdings.obey([command]));
    expect(holdings.report()).toMatchObject([
      { infoHash: command.infoHash, name: 'bees.bin', state: 'downloading', lengthBytes: 100_000 },
    ]);
    const held = await reported(holdings, (holding) => holding?.sha256 !== undefined);
    expect(held).toMatchObject([
      { state: 'seeding', haveBytes: 100_000, sha256: toHex(host.compute.hash('sha256', content)) },
    ]);
  });

  it('says so if what came is not the content', async () => {
    await serve(() => new Response(content.map((byte) => byte ^ 1)));
    const { holdings, command } = await holder();
    await world.complete(holdings.obey([command]));
    const held = await reported(holdings, (holding) => holding?.state === 'error');
    expect(held).toMatchObject([{ state: 'error', message: expect.stringContaining('differ') }]);
  });

  it('says so if nothing came, and lets go when it is to hold nothing', async () => {
    await serve(() => new Response('', { status: 403 }));
    const { holdings, command } = await holder();
    await world.complete(holdings.obey([command]));
    const held = await reported(holdings, (holding) => holding?.state === 'error');
    expect(held).toMatchObject([{ message: 'the web address of the content answers 403' }]);
    await world.complete(holdings.obey([]));
    expect(holdings.report()).toEqual([]);
  });
});
