import { FunctionError } from '@skep/control-api/launchers/aws-functions';
import type { Http, HttpInit } from '@skep/p2p-core/host';
import { describe, expect, it } from 'vitest';
import { createVirtualHost } from '../../../control-api/src/testing/virtual-host.ts';
import { type LifecycleEvent, serveLifecycle } from './lifecycle.ts';

const properties = {
  ServiceToken: 'arn:aws:lambda:eu-north-1:123456789012:function:lifecycle',
  Kind: 'cluster',
  Spec: JSON.stringify({ name: 'bees', bootstrap: 1, peers: 1 }),
  Deploy: 'deploy-function',
  Teardown: 'teardown-function',
};
const image = { Kind: 'image', SourceHash: 'abc123', Build: 'build-function' };
const uid = 'c'.repeat(32);

interface Call {
  readonly name: string;
  readonly request: Record<string, unknown>;
}

/** Serves one event over functions that `answer` plays, and an answer's place that refuses `refusals` times. */
async function serve(
  event: Partial<LifecycleEvent>,
  answer: (call: Call, count: number) => unknown,
  { withinMs = 600_000, refusals = 0 } = {},
) {
  const { host, advance } = createVirtualHost();
  const calls: Call[] = [];
  const told: { url: string; init: HttpInit }[] = [];
  const functions = {
    async call(name: string, request: unknown) {
      const call = { name, request: request as Record<string, unknown> };
      calls.push(call);
      return answer(call, calls.length) as never;
    },
  };
  const http = {
    async fetch(url: string, init: HttpInit) {
      told.push({ url, init });
      return new Response(null, { status: told.length <= refusals ? 503 : 200 });
    },
  } as unknown as Http;
  let isDone = false;
  const removed: string[] = [];
  const names = {
    async remove(hostedZone: string, name: string) {
      removed.push(`${hostedZone} ${name}`);
    },
  };
  const served = serveLifecycle(
    { clock: host.clock, random: host.random, http, functions, names },
    {
      RequestType: 'Create',
      ResponseURL: 'https://cloudformation-custom-resource-response.s3.amazonaws.com/place?signature=1',
      StackId: 'arn:aws:cloudformation:eu-north-1:123456789012:stack/bees/1',
      RequestId: 'request-1',
      LogicalResourceId: 'ClusterRunning',
      ResourceProperties: properties,
      ...event,
    },
    withinMs,
  ).finally(() => {
    isDone = true;
  });
  const fromMs = host.clock.now();
  while (!isDone) await advance(1_000);
  await served;
  const last = told.at(-1)!;
  return {
    calls,
    told,
    removed,
    tookMs: host.clock.now() - fromMs,
    sent: last.init,
    answer: JSON.parse(String(last.init.body)) as Record<string, unknown>,
  };
}

const serving = { cluster: 'bees', uid, complete: true, slots: [] };

describe('a cluster with its stack', () => {
  it('is stood up at creation, and CloudFormation is told as it wants to be', async () => {
    const { calls, answer, sent } = await serve({}, () => serving);
    expect(calls).toMatchObject([
      {
        name: 'deploy-function',
        request: { action: 'stand-up', spec: { name: 'bees', bootstrap: 1, peers: 1 }, waitMs: 60_000 },
      },
    ]);
    expect(sent).toMatchObject({ method: 'PUT', headers: { 'content-type': '' } });
    expect(answer).toEqual({
      Status: 'SUCCESS',
      Data: { Uid: uid },
      StackId: 'arn:aws:cloudformation:eu-north-1:123456789012:stack/bees/1',
      RequestId: 'request-1',
      LogicalResourceId: 'ClusterRunning',
      PhysicalResourceId: 'skep-ClusterRunning',
    });
  });

  it('is waited for, and what is missing is named when the time is over', async () => {
    const notYet = {
      ...serving,
      complete: false,
      slots: [
        { slot: 'bootstrap-1', generation: 1, state: 'serving' },
        { slot: 'peer-1', generation: 2, state: 'failed', reason: 'no room for t4g.small' },
      ],
    };
    const soon = await serve({}, (_, count) => (count < 3 ? notYet : serving));
    expect(soon.answer.Status).toBe('SUCCESS');
    const { answer, calls } = await serve({}, () => notYet, { withinMs: 0 });
    expect(calls).toMatchObject([{ request: { waitMs: 0 } }]);
    expect(answer).toMatchObject({
      Status: 'FAILED',
      Reason: 'the cluster does not serve yet: 1 of 2 nodes: peer-1 is failed (no room for t4g.small)',
    });
  });

  it('is a failure where the control API refuses, with its reason', async () => {
    const { answer } = await serve(
      { RequestType: 'Update', PhysicalResourceId: 'skep-ClusterRunning' },
      () => {
        throw new Error('deploy-function failed: bees exists with another spec: delete it first');
      },
    );
    expect(answer).toMatchObject({
      Status: 'FAILED',
      Reason: 'deploy-function failed: bees exists with another spec: delete it first',
      PhysicalResourceId: 'skep-ClusterRunning',
    });
  });

  it('is not given up for a call that does not come through', async () => {
    const { calls, answer } = await serve({}, (_, count) => {
      if (count < 4)
        throw new FunctionError('no-answer', 'deploy-function could not be called: AccessDeniedException');
      return serving;
    });
    expect(calls).toHaveLength(4);
    expect(answer.Status).toBe('SUCCESS');
    const never = await serve({}, () => {
      throw new FunctionError('no-answer', 'deploy-function could not be called: AccessDeniedException');
    });
    expect(never.answer).toMatchObject({
      Status: 'FAILED',
      Reason: expect.stringContaining('AccessDeniedException'),
    });
    expect(never.tookMs).toBeLessThan(620_000);
  });

  it('is torn down at deletion, however often it has to be asked for', async () => {
    const { calls, answer } = await serve(
      { RequestType: 'Delete', PhysicalResourceId: 'as it was told' },
      (_, count) => ({ state: count < 3 ? 'ending' : 'gone', left: ['i-1 is shutting-down'], gone: [] }),
    );
    expect(calls.map(({ name }) => name)).toEqual(Array(3).fill('teardown-function'));
    expect(calls[0]!.request).toEqual({ scope: 'cluster', waitMs: 60_000 });
    expect(answer).toMatchObject({ Status: 'SUCCESS', PhysicalResourceId: 'as it was told' });
  });

  it('names what is left when it is not gone in time', async () => {
    const { answer } = await serve(
      { RequestType: 'Delete' },
      () => ({ state: 'ending', left: ['i-1 is shutting-down'], gone: [] }),
      { withinMs: 0 },
    );
    expect(answer).toMatchObject({
      Status: 'FAILED',
      Reason: 'still there: i-1 is shutting-down; destroy again to go on',
    });
  });

  it('has nothing to delete where nothing was ever made', async () => {
    const { calls, answer } = await serve(
      { RequestType: 'Delete', ResourceProperties: { Kind: 'hive' } },
      () => serving,
    );
    expect(calls).toEqual([]);
    expect(answer.Status).toBe('SUCCESS');
  });

  it('is not made of properties that are none', async () => {
    const { answer } = await serve({ ResourceProperties: { ...properties, Spec: '{' } }, () => serving);
    expect(answer.Status).toBe('FAILED');
    const other = await serve({ ResourceProperties: { Kind: 'hive' } }, () => serving);
    expect(other.answer).toMatchObject({
      Status: 'FAILED',
      Reason: expect.stringContaining('properties are not as they must be'),
    });
  });
});

describe('the control API’s name', () => {
  const ResourceProperties = { Kind: 'name', HostedZone: 'Z1', Name: 'control.bees.internal' };

  it('is removed at deletion, and only then', async () => {
    expect((await serve({ ResourceProperties }, () => serving)).removed).toEqual([]);
    const { removed, answer } = await serve({ RequestType: 'Delete', ResourceProperties }, () => serving);
    expect(removed).toEqual(['Z1 control.bees.internal']);
    expect(answer.Status).toBe('SUCCESS');
  });
});

describe('an image', () => {
  it('is built, and known by its digest', async () => {
    const { calls, answer } = await serve({ ResourceProperties: image }, (_, count) =>
      count < 3 ? { state: 'building' } : { state: 'built', image: 'registry/skep@sha256:1' },
    );
    expect(calls[0]).toEqual({ name: 'build-function', request: { sourceHash: 'abc123', waitMs: 60_000 } });
    expect(answer).toMatchObject({ Status: 'SUCCESS', Data: { Image: 'registry/skep@sha256:1' } });
  });

  it('that fails to be built fails the stack with the reason', async () => {
    const { answer } = await serve({ ResourceProperties: image }, () => ({
      state: 'failed',
      message: 'npm ci: disk full',
    }));
    expect(answer).toMatchObject({ Status: 'FAILED', Reason: 'npm ci: disk full' });
  });

  it('is the repository’s when the stack is deleted', async () => {
    const { calls, answer } = await serve(
      { RequestType: 'Delete', ResourceProperties: image },
      () => undefined,
    );
    expect(calls).toEqual([]);
    expect(answer.Status).toBe('SUCCESS');
  });
});

describe('CloudFormation', () => {
  it('is told before the function’s own time is over, whatever hangs', async () => {
    const { answer, tookMs } = await serve({}, () => new Promise(() => undefined), { withinMs: 100_000 });
    expect(answer).toMatchObject({
      Status: 'FAILED',
      Reason: 'it was not done within 100 s: do it again to go on',
    });
    expect(tookMs).toBeLessThan(120_000);
  });

  it('is told again if it could not be', async () => {
    const { told, answer } = await serve({}, () => serving, { refusals: 3 });
    expect(told).toHaveLength(4);
    expect(answer.Status).toBe('SUCCESS');
  });

  it('is given no reason that is longer than it takes', async () => {
    const { answer } = await serve({}, () => {
      throw new Error('x'.repeat(5_000));
    });
    expect(String(answer.Reason)).toHaveLength(1_000);
  });
});
