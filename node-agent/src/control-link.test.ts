/** The link against a scripted control API, in a world where minutes of silence cost nothing. */
import { JoinRequest, lamportHeader, lamportOf, Report, type ReportAnswer } from '@skep/contract';
import { LamportClock } from '@skep/p2p-core/ring';
import { type SimHost, SimWorld } from '@skep/sim';
import { beforeEach, describe, expect, it } from 'vitest';
import { ControlLink, type LinkEnd } from './control-link.ts';

const apiAddress = { host: '10.0.0.1', port: 80 };
const agentAddress = '10.0.0.2';
const reportIntervalMs = 1_000;
const orphanMs = 20_000;

function problem(status: number, code: string): Response {
  return Response.json(
    { type: 'about:blank', title: code, status, code, detail: `it is ${code}` },
    { status },
  );
}

describe('the link to the control API', () => {
  let world: SimWorld;
  let api: SimHost;
  let agent: SimHost;
  let link: ControlLink;
  let lamport: LamportClock;
  let joins: JoinRequest[];
  let reports: Report[];
  let obeyed: string[];
  let ends: LinkEnd[];
  let disobey: number;
  let troubles: string[];
  let onRequest: (request: Request) => void;
  let onJoin: () => Response | Promise<Response>;
  let onReport: (report: Report) => Response | Promise<Response>;

  const answer = (part: Partial<ReportAnswer> = {}) =>
    Response.json({ revision: '', eventsTaken: 0, lamport: 0, ...part });
  /** As the control API holds an answer back. */
  const held = (report: Report) =>
    new Promise<Response>((resolve) => api.clock.setTimer(report.waitMs, () => resolve(answer())));

  const serve = () =>
    api.http.serve(apiAddress, async (request) => {
      const body = await request.json();
      onRequest(request);
      if (request.url.endsWith('/join')) {
        joins.push(JoinRequest.parse(body));
        return onJoin();
      }
      const report = Report.parse(body);
      reports.push(report);
      return onReport(report);
    });

  const newLink = (host: SimHost) =>
    new ControlLink(
      {
        host,
        lamport,
        subject: {
          report: () => ({ state: 'serving', lamport: 0, dhtNodes: 0, torrents: [], events: [] }),
          obey: async (commands) => {
            obeyed.push(...commands.map(({ kind }) => kind));
            if (obeyed.length <= disobey) throw new Error('the disk is full');
          },
          answered: () => undefined,
          reachable: () => undefined,
        },
      },
      {
        apiUrl: 'http://10.0.0.1:80',
        cluster: 'bees',
        machine: { slot: 'peer-1', generation: 1 },
        attempt: 1,
        joinSecret: 'ab'.repeat(32),
        tokenPath: '/machine/token',
        reportIntervalMs,
        orphanMs,
        onEnd: (end) => ends.push(end),
        onTrouble: (what, message) => troubles.push(`${what}: ${message}`),
      },
    );

  beforeEach(async () => {
    world = new SimWorld({ seed: 1, network: { latencyMs: 5 } });
    api = world.createHost({ address: apiAddress.host });
    agent = world.createHost({ address: agentAddress });
    lamport = new LamportClock();
    joins = [];
    reports = [];
    obeyed = [];
    ends = [];
    disobey = 0;
    troubles = [];
    onRequest = () => undefined;
    onJoin = () => Response.json({ machine: { slot: 'peer-1', generation: 1 } });
    onReport = held;
    await world.complete(serve());
    link = newLink(agent);
  });

  it('joins, then reports at its interval', async () => {
    link.start();
    await world.run({ untilMs: 10_500 });
    expect(joins).toHaveLength(1);
    expect(reports.length).toBeGreaterThanOrEqual(9);
    expect(reports.length).toBeLessThanOrEqual(11);
  });

  it('stamps what it asks, and moves past the stamp of each answer', async () => {
    const stamps: number[] = [];
    onRequest = (request) => stamps.push(lamportOf(request.headers)!);
    onReport = () => {
      const response = answer();
      response.headers.set(lamportHeader, String(1_000 * reports.length));
      return response;
    };
    link.start();
    await world.run({ untilMs: 100 });
    const [join, first, second, third] = stamps;
    expect(join).toBe(1);
    expect(first).toBe(2);
    expect(second).toBeGreaterThan(1_000);
    expect(third).toBeGreaterThan(2_000);
    expect(lamport.time).toBeGreaterThan(1_000 * (reports.length - 1));
  });

  it('asks again with the same token when the answer to a join was lost', async () => {
    onJoin = () =>
      joins.length < 3
        ? new Response('lost', { status: 502 })
        : Response.json({ machine: { slot: 'peer-1', generation: 1 } });
    link.start();
    await world.run({ untilMs: 5_000 });
    expect(joins).toHaveLength(3);
    expect(new Set(joins.map(({ tokenSha256 }) => tokenSha256)).size).toBe(1);
    expect(reports.length).toBeGreaterThan(0);
  });

  it('obeys what rides back, once a revision', async () => {
    onReport = (report) =>
      report.revision === 'r1'
        ? held(report)
        : answer({ revision: 'r1', commands: [{ kind: 'bootstrap-from', addresses: [] }] });
    link.start();
    await world.run({ untilMs: 5_000 });
    expect(obeyed).toEqual(['bootstrap-from']);
    expect(reports.at(-1)!.revision).toBe('r1');
  });

  it('breaks off a held answer when there is news', async () => {
    link.start();
    await world.run({ untilMs: 2_500 });
    const before = reports.length;
    link.nudge();
    await world.run({ untilMs: 2_600 });
    expect(reports.slice(before).map(({ waitMs }) => waitMs)).toEqual([0, reportIntervalMs]);
  });

  it('keeps trying through a control API that is away for less than the orphan time, and goes on', async () => {
    link.start();
    await world.run({ untilMs: 2_000 });
    const heal = world.partition([apiAddress.host], [agentAddress]);
    await world.run({ untilMs: 2_000 + orphanMs - 2_000 });
    heal();
    const before = reports.length;
    await world.run({ untilMs: 60_000 });
    expect(ends).toEqual([]);
    expect(reports.length).toBeGreaterThan(before + 20);
  });

  it('is an orphan once nobody has answered for the orphan time', async () => {
    link.start();
    await world.run({ untilMs: 2_000 });
    api.crash();
    await world.run({ untilMs: 2_000 + orphanMs - reportIntervalMs - 100 });
    expect(ends).toEqual([]);
    await world.run({ untilMs: 2_000 + orphanMs + 8_000 });
    expect(ends).toEqual(['orphaned']);
  });

  it('is no orphan while the control API answers that it is in trouble', async () => {
    link.start();
    await world.run({ untilMs: 2_000 });
    onReport = () => problem(503, 'store-unavailable');
    await world.run({ untilMs: 2_000 + 3 * orphanMs });
    expect(ends).toEqual([]);
    onReport = held;
    const before = reports.length;
    await world.run({ untilMs: 10_000 + 3 * orphanMs });
    expect(reports.length).toBeGreaterThan(before + 4);
  });

  it('is no orphan while it cannot do what it is told, and tries on', async () => {
    disobey = 3 * (orphanMs / reportIntervalMs);
    onReport = (report) =>
      report.revision === 'r1'
        ? held(report)
        : answer({ revision: 'r1', commands: [{ kind: 'bootstrap-from', addresses: [] }] });
    link.start();
    await world.run({ untilMs: 2 * orphanMs });
    expect(ends).toEqual([]);
    expect(troubles).toEqual(['the commands cannot be obeyed: the disk is full']);
    await world.run({ untilMs: 4 * orphanMs });
    expect(obeyed).toHaveLength(disobey + 1);
    expect(reports.at(-1)!.revision).toBe('r1');
  });

  it('is no orphan after a pause longer than the orphan time', async () => {
    link.start();
    await world.run({ untilMs: 2_000 });
    agent.pause();
    await world.run({ untilMs: 2_000 + 3 * orphanMs });
    agent.resume();
    const before = reports.length;
    await world.run({ untilMs: 2_000 + 4 * orphanMs });
    expect(ends).toEqual([]);
    expect(reports.length).toBeGreaterThan(before);
  });

  it.each([
    ['its generation has been replaced', 410, 'generation-over', 'over'],
    ['its cluster is gone', 404, 'not-found', 'over'],
    ['it is not let in', 403, 'join-refused', 'refused'],
  ])('ends when %s', async (_, status, code, end) => {
    onReport = () => problem(status, code);
    link.start();
    await world.run({ untilMs: 5_000 });
    expect(ends).toEqual([end]);
    expect(reports).toHaveLength(1);
  });

  it('joins again, with the same token, if the control API no longer knows it', async () => {
    onReport = (report) => (reports.length === 1 ? problem(401, 'unauthorized') : held(report));
    link.start();
    await world.run({ untilMs: 5_000 });
    expect(joins).toHaveLength(2);
    expect(joins[0]!.tokenSha256).toBe(joins[1]!.tokenSha256);
    expect(ends).toEqual([]);
  });
});
