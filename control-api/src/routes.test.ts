import { readFileSync } from 'node:fs';
import { Script } from 'node:vm';
import { ClusterSpec, endpoints, mostBootstrap, Problem } from '@skep/contract';
import { encodeMetainfo, parseInfo } from '@skep/p2p-core/metainfo';
import { checkConfiguration } from '@skep/p2p-core/ring';
import { encodeBencode } from '@skep/p2p-core/wire';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createPages } from './page/pages.ts';
import { StoreError } from './ports/store.ts';
import { adminToken, createWorld, viewerToken, type World } from './testing/world.ts';

let world: World;
beforeEach(async () => {
  world = await createWorld();
});
afterEach(async () => {
  await Promise.all([world.api.stop(), world.advance(2_000)]);
});

async function problem(answer: Promise<Response>): Promise<Problem> {
  const response = await answer;
  expect(response.headers.get('content-type')).toBe('application/problem+json');
  const parsed = Problem.parse(await response.json());
  expect(parsed.status).toBe(response.status);
  expect(parsed.detail).not.toBe('');
  return parsed;
}

const bees = JSON.stringify({ name: 'bees', bootstrap: 1, peers: 2 });
const params = { cluster: 'bees' };
const create = () => world.request('POST', '/v1/clusters', { token: adminToken, body: bees });

it('tells admins the token of viewers, and viewers nothing of tokens', async () => {
  expect(await world.client(adminToken).getViewerToken({})).toEqual({ token: viewerToken });
  expect((await world.request('GET', '/v1/viewer-token', { token: viewerToken })).status).toBe(403);
});

it('answers no anonymous call but for health, where it is closed', async () => {
  await create();
  const document = (await world.request('GET', '/openapi.json')).status;
  const answered: string[] = [];
  const asked = [
    ...Object.values(endpoints).map(({ method, path }) => [method, path] as const),
    ...['/', '/docs', '/openapi.json'].map((path) => ['GET', path] as const),
  ];
  for (const [method, path] of asked) {
    const at = path.replace('{cluster}', 'bees').replace(/\{\w+\}/g, 'peer-1');
    const init = { method, ...(method === 'GET' ? {} : { body: '{}' }) };
    const request = new Request(`http://control-api${at}`, init);
    const { status } = await world.api.closedHandler(request, { host: '192.0.2.1', port: 1 });
    if (status < 400) answered.push(path);
  }
  expect([document, answered]).toEqual([200, ['/healthz']]);
});

describe('what is wrong becomes a problem document', () => {
  it.each([
    ['an unknown path', 'GET', '/nowhere', {}, 404, 'not-found'],
    ['another method', 'PATCH', '/v1/clusters', {}, 405, 'method-not-allowed'],
    ['another method of a page', 'POST', '/openapi.json', {}, 405, 'method-not-allowed'],
    ['no token', 'GET', '/v1/clusters', {}, 401, 'unauthorized'],
    ['an unknown token', 'GET', '/v1/clusters', { token: 'x' }, 401, 'unauthorized'],
    ['a viewer that writes', 'POST', '/v1/clusters', { token: viewerToken, body: bees }, 403, 'forbidden'],
    [
      'an admin that reports',
      'POST',
      '/v1/clusters/bees/reports',
      { token: adminToken, body: '{}' },
      403,
      'forbidden',
    ],
    [
      'an agent of a cluster that is gone',
      'POST',
      '/v1/clusters/bees/reports',
      { token: 'x', body: '{}' },
      404,
      'not-found',
    ],
    ['no JSON', 'POST', '/v1/clusters', { token: adminToken, body: '{' }, 400, 'bad-request'],
    ['no body', 'POST', '/v1/clusters', { token: adminToken }, 400, 'bad-request'],
    ['a wrong body', 'POST', '/v1/clusters', { token: adminToken, body: '{"name":"B"}' }, 400, 'bad-request'],
    [
      'a field too many',
      'POST',
      '/v1/clusters',
      { token: adminToken, body: '{"name":"bees","x":1}' },
      400,
      'bad-request',
    ],
    ['a wrong parameter', 'GET', '/v1/clusters/BEES', { token: viewerToken }, 400, 'bad-request'],
    ['a wrong query', 'GET', '/v1/clusters/bees/events?limit=0', { token: viewerToken }, 400, 'bad-request'],
    [
      'a body too large',
      'POST',
      '/v1/clusters',
      { token: adminToken, body: ' '.repeat(5_000_000) },
      413,
      'too-large',
    ],
    ['an unknown cluster', 'GET', '/v1/clusters/wasps', { token: viewerToken }, 404, 'not-found'],
  ] as const)('%s', async (_, method, path, options, status, code) => {
    expect(await problem(world.request(method, path, options))).toMatchObject({ status, code });
  });

  it('says where a request is wrong, and which methods there are', async () => {
    const wrong = await problem(
      world.request('POST', '/v1/clusters', { token: adminToken, body: '{"name":"B"}' }),
    );
    expect(wrong.issues?.[0]?.path).toBe('body.name');
    const answer = await world.request('DELETE', '/v1/clusters');
    expect(answer.headers.get('allow')).toBe('POST, GET');
  });

  it('a store that fails, and a fault of our own', async () => {
    await create();
    world.store.get = () => Promise.reject(new StoreError('disk full'));
    expect(await problem(world.request('GET', '/healthz'))).toMatchObject({
      code: 'store-unavailable',
      detail: expect.stringContaining('disk full'),
    });
    world.store.read = () => Promise.reject(new TypeError('oops'));
    const failed = world.request('GET', '/v1/clusters/bees/events', { token: viewerToken });
    const { code, detail } = await problem(failed);
    expect(code).toBe('internal');
    expect(detail).not.toContain('oops');
    expect(world.troubles.join()).toContain('oops');
  });

  it('a slot that is not there', async () => {
    await create();
    const path = '/v1/clusters/bees/nodes/peer-9';
    expect(await problem(world.request('POST', `${path}/kill`, { token: adminToken }))).toMatchObject({
      code: 'node-not-found',
    });
    expect(await problem(world.request('GET', `${path}/logs`, { token: viewerToken }))).toMatchObject({
      code: 'node-not-found',
    });
  });
});

describe('the documents', () => {
  it('are the table’s operations as OpenAPI', async () => {
    const document = (await (await world.request('GET', '/openapi.json')).json()) as {
      paths: object;
      info: object;
    };
    expect(document.info).toMatchObject({ version: '1.2.3' });
    expect(Object.keys(document.paths).sort()).toEqual(
      [...new Set(Object.values(endpoints).map(({ path }) => path))].sort(),
    );
  });

  it.each(['index', 'docs'] as const)(
    'the page %s parses, and its policy lets its own script run and nothing else',
    async (name) => {
      const html = readFileSync(new URL(`./page/${name}.html`, import.meta.url), 'utf8');
      const answer = createPages(world.host.compute, { index: html, docs: html })[name]();
      expect(await answer.text()).toBe(html);
      const policy = answer.headers.get('content-security-policy')!;
      const [, script] = /<script>([\s\S]*?)<\/script>/.exec(html)!;
      expect(() => new Script(script!)).not.toThrow();
      const hash = Buffer.from(world.host.compute.hash('sha256', new TextEncoder().encode(script!))).toString(
        'base64',
      );
      expect(policy).toContain(`script-src 'sha256-${hash}'`);
      expect(policy).not.toContain('unsafe');
      expect(html).not.toMatch(/innerHTML|insertAdjacentHTML|document\.write|\son\w+=|\sstyle="|https?:\/\//);
    },
  );
});

describe('nodes', () => {
  it('are added, killed as by a failure, and give their logs', async () => {
    await create();
    const admin = world.client(adminToken);
    const added = await admin.addNode({ params, body: { bootstrap: ['bootstrap-1'] } });
    expect(added).toMatchObject({ slot: 'peer-3', state: 'launching' });
    const one = await (await world.agent('bootstrap-1')).serve();
    const peer = await (await world.agent('peer-3')).serve();
    peer.revision = '';
    expect((await peer.report()).commands?.[0]).toEqual({
      kind: 'bootstrap-from',
      addresses: [one.launched.config.listen],
    });
    await admin.killNode({ params: { ...params, slot: 'peer-3' } });
    await world.advance(10);
    expect(await world.node('bees', 'peer-3')).toMatchObject({ state: 'dead', reason: 'killed by SIGKILL' });
    const logs = await world.client(viewerToken).nodeLogs({ params: { ...params, slot: 'peer-3' } });
    expect(await logs.text()).toBe('log of peer-3@1');
    await expect(admin.addNode({ params, body: { bootstrap: ['bootstrap-9'] } })).rejects.toMatchObject({
      problem: { code: 'node-not-found' },
    });
  });
});

describe('torrents', () => {
  const oneFile = { length: 5 };
  const twoFiles = ['a', 'b'].map((name) => ({ length: 5, path: [name] }));
  const metainfo = (content: object = oneFile) => {
    const info = { ...content, name: 'x', 'piece length': 16_384, pieces: new Uint8Array(20) };
    const parsed = parseInfo(world.host.compute, encodeBencode(info));
    return Buffer.from(encodeMetainfo({ info: parsed, trackers: [], nodes: [] })).toString('base64');
  };

  it('are seeded by the seeds, given to the leeches as a magnet, and taken away again', async () => {
    await create();
    const admin = world.client(adminToken);
    const seeds = [{ slot: 'peer-1' as const, contentRoot: '/content' }];
    const torrent = await admin.addTorrent({ params, body: { metainfo: metainfo(), seeds } });
    expect(torrent).toMatchObject({ name: 'x', lengthBytes: 5, seeds: ['peer-1'], leeches: 'all' });
    const [seed, leech] = [await world.agent('peer-1'), await world.agent('peer-2')];
    await Promise.all([seed.join(), leech.join()]);
    const held = async (agent: typeof seed) =>
      (await agent.report()).commands?.find(({ kind }) => kind === 'hold-torrent');
    expect(await held(seed)).toMatchObject({
      infoHash: torrent.infoHash,
      metainfo: metainfo(),
      contentRoot: '/content',
    });
    expect(await held(leech)).toEqual({
      kind: 'hold-torrent',
      infoHash: torrent.infoHash,
      magnet: torrent.magnet,
    });
    await expect(admin.addTorrent({ params, body: { metainfo: metainfo(), seeds } })).rejects.toMatchObject({
      problem: { code: 'torrent-exists' },
    });
    await admin.removeTorrent({ params: { ...params, infoHash: torrent.infoHash } });
    expect((await leech.report()).commands?.map(({ kind }) => kind)).toEqual(['bootstrap-from']);
    await expect(
      admin.removeTorrent({ params: { ...params, infoHash: torrent.infoHash } }),
    ).rejects.toMatchObject({ status: 404 });
    expect(await admin.listTorrents({ params })).toEqual([]);
  });

  it('are fetched first by a seed that is given a web address, which nobody else is told', async () => {
    await create();
    const admin = world.client(adminToken);
    const contentUrl = 'https://bucket.example/x?signature=s3cret';
    const body = { metainfo: metainfo(), seeds: [{ slot: 'peer-1' as const, contentUrl }] };
    await admin.addTorrent({ params, body });
    const seed = await world.agent('peer-1');
    await seed.join();
    expect((await seed.report()).commands).toContainEqual(
      expect.objectContaining({ metainfo: metainfo(), contentUrl }),
    );
    const told = [await admin.listTorrents({ params }), await admin.listEvents({ params, query: {} })];
    expect(JSON.stringify(told)).not.toContain('s3cret');
    const several = { metainfo: metainfo({ files: twoFiles }), seeds: body.seeds };
    await expect(admin.addTorrent({ params, body: several })).rejects.toMatchObject({
      problem: { code: 'bad-request', detail: expect.stringContaining('several files') },
    });
  });

  it('are refused when they are none, or name no peer', async () => {
    await create();
    const add = (body: object) =>
      problem(
        world.request('POST', '/v1/clusters/bees/torrents', {
          token: adminToken,
          body: JSON.stringify(body),
        }),
      );
    const seeds = [{ slot: 'peer-1', contentRoot: '/content' }];
    expect(await add({ metainfo: btoa('d4:infoi1ee'), seeds })).toMatchObject({ code: 'bad-metainfo' });
    expect(
      await add({ metainfo: metainfo(), seeds: [{ slot: 'bootstrap-1', contentRoot: '/' }] }),
    ).toMatchObject({ code: 'node-not-found' });
    expect(await add({ metainfo: metainfo(), seeds, leeches: ['peer-7'] })).toMatchObject({
      code: 'node-not-found',
    });
  });
});

describe('a cluster that is asked for', () => {
  it('has at most as many bootstrap nodes as a ring takes', () => {
    const ringOf = (members: number) => ({
      version: 1,
      members: Array.from({ length: members }, (_, index) => ({
        slot: `bootstrap-${index + 1}`,
        generation: 1,
        address: { host: '127.0.0.1', port: 1 },
        voter: true,
        admittedAtTerm: 0,
      })),
    });
    const takes = (bootstrap: number) => ClusterSpec.safeParse({ name: 'bees', bootstrap }).success;
    expect([takes(mostBootstrap), takes(mostBootstrap + 1)]).toEqual([true, false]);
    expect(() => checkConfiguration(ringOf(mostBootstrap))).not.toThrow();
  });
});

describe('the event stream', () => {
  async function open(query = '') {
    const answer = await world
      .client(viewerToken)
      .streamEvents({ params, query: query === '' ? {} : { after: Number(query) } });
    expect(answer.headers.get('content-type')).toBe('text/event-stream');
    const reader = answer.body!.getReader();
    const messages: { event?: string; id?: string; data?: string }[] = [];
    let ended = false;
    const reading = (async () => {
      for (let text = ''; ; ) {
        const { done, value } = await reader.read();
        if (done) break;
        text += new TextDecoder().decode(value);
        const blocks = text.split('\n\n');
        text = blocks.pop()!;
        for (const block of blocks) {
          messages.push(
            Object.fromEntries(block.split('\n').map((line) => line.split(/: (.*)/s).slice(0, 2))),
          );
        }
      }
      ended = true;
    })();
    return { messages, reader, reading, isEnded: () => ended };
  }

  it('tells at once of what came while it read, and goes no more once it cannot read', async () => {
    await create();
    const stream = await open();
    await world.advance(1_000);
    const read = world.store.read.bind(world.store);
    let append = true;
    world.store.read = async (uid, after, limit) => {
      const found = await read(uid, after, limit);
      if (append && found.length === 0) {
        append = false;
        const event = { cluster: 'bees', atMs: 0, kind: 'between', lamport: 1, data: {} };
        await world.store.commit([], [{ clusterUid: uid, ...event }]);
      }
      return found;
    };
    await world.client(adminToken).addNode({ params, body: {} });
    await world.advance(50);
    expect(append).toBe(false);
    expect(stream.messages.some(({ data }) => data?.includes('"between"'))).toBe(true);
    let unsubscribed = 0;
    world.store.subscribe = () => () => {
      unsubscribed += 1;
    };
    world.store.read = async () => {
      throw new StoreError('the disk is gone');
    };
    await stream.reader.cancel();
    const broken = await open();
    await expect(broken.reading).rejects.toThrow('the disk is gone');
    expect(unsubscribed).toBe(1);
  });

  it('tells of what was, of what comes, and of nodes at most four times a second', async () => {
    await create();
    const stream = await open();
    await world.advance(1_000);
    const events = stream.messages.filter(({ event }) => event === 'event');
    expect(events.map(({ id }) => Number(id))).toEqual(events.map((_, index) => index + 1));
    expect(JSON.parse(events[0]!.data!)).toMatchObject({
      kind: 'cluster-created',
      cluster: 'bees',
      sequence: 1,
    });
    const agent = await (await world.agent('peer-1')).serve();
    await world.advance(1_000);
    const before = stream.messages.length;
    for (let step = 0; step < 100; step++) {
      const torrents = [
        {
          infoHash: 'a',
          state: 'seeding',
          lengthBytes: step,
          haveBytes: 0,
          downloadRate: 0,
          uploadRate: 0,
          downloadedBytes: 0,
          uploadedBytes: 0,
          wastedBytes: 0,
          peers: 0,
        },
      ] as const;
      await agent.client.report({
        params,
        body: {
          machine: agent.id,
          attempt: 1,
          state: 'serving',
          lamport: 1,
          revision: '',
          waitMs: 0,
          dhtNodes: step,
          torrents: [...torrents],
          events: [],
        },
      });
      await world.advance(10);
    }
    const nodes = stream.messages.slice(before).filter(({ event }) => event === 'nodes');
    expect(nodes.length).toBeGreaterThanOrEqual(3);
    expect(nodes.length).toBeLessThanOrEqual(5);
    await stream.reader.cancel();
  });

  it('goes on from where a reader was', async () => {
    await create();
    await world.advance(100);
    const stream = await open('2');
    await world.advance(10);
    expect(stream.messages[0]).toMatchObject({ id: '3' });
    await stream.reader.cancel();
  });

  it('says that it still lives, and ends with its cluster', async () => {
    await create();
    await world.advance(1_000);
    const stream = await open();
    await world.advance(20_000);
    expect(stream.messages).toContainEqual({ '': 'still here' });
    await world.client(adminToken).deleteCluster({ params });
    await world.until(stream.isEnded);
    const events = stream.messages.filter(({ event }) => event === 'event');
    expect(JSON.parse(events.at(-1)!.data!).kind).toBe('cluster-deleted');
  });

  it('ends with the control API', async () => {
    await create();
    const stream = await open();
    await world.advance(100);
    await Promise.all([world.api.stop(), world.advance(1_500)]);
    await stream.reading;
    expect(stream.isEnded()).toBe(true);
  });
});
