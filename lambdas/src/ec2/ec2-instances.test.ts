import { describe, expect, it } from 'vitest';
import { machineOrder } from '../testing/orders.ts';
import { refusal, type ScriptedAnswer, scriptedEc2 } from '../testing/scripted-ec2.ts';
import { Ec2Instances } from './ec2-instances.ts';

const { machine } = machineOrder();
const tags = {
  'skep:cluster': 'bees',
  'skep:uid': machine.clusterUid,
  'skep:slot': machine.slot,
  'skep:generation': '1',
  'skep:attempt': '1',
  'skep:token': machine.token,
};

function page(
  instanceIds: readonly string[],
  nextToken?: string,
  ofTags: Record<string, string> = tags,
): ScriptedAnswer {
  const tagSet = Object.entries(ofTags).map(
    ([key, value]) => `<item><key>${key}</key><value>${value}</value></item>`,
  );
  const items = instanceIds.map(
    (id) =>
      `<item><instanceId>${id}</instanceId><instanceState><name>running</name></instanceState><tagSet>${tagSet.join('')}</tagSet></item>`,
  );
  const next = nextToken === undefined ? '' : `<nextToken>${nextToken}</nextToken>`;
  const body = `<DescribeInstancesResponse><reservationSet><item><instancesSet>${items.join('')}</instancesSet></item></reservationSet>${next}</DescribeInstancesResponse>`;
  return { status: 200, body };
}
const done: ScriptedAnswer = { status: 200, body: '<TerminateInstancesResponse/>' };

function instancesOver(
  answer: (request: number, parameters: Readonly<Record<string, string>>) => ScriptedAnswer,
) {
  const { client, requests } = scriptedEc2((request) => answer(request, requests.at(-1)!));
  return { instances: new Ec2Instances({ ec2: client }, { deployment: 'bees' }), requests };
}

describe('looking for instances', () => {
  it('sees those of the deployment only, page by page, and knows their machines by their tags', async () => {
    const { instances, requests } = instancesOver((request) =>
      request === 1 ? page(['i-1'], 'more') : page(['i-2'], undefined, { 'skep:token': 'none of ours' }),
    );
    expect(await instances.list({ clusterUid: machine.clusterUid })).toEqual([
      { instanceId: 'i-1', state: 'running', machine },
      { instanceId: 'i-2', state: 'running' },
    ]);
    expect(requests[0]).toMatchObject({
      'Filter.1.Name': 'tag:skep:cluster',
      'Filter.1.Value.1': 'bees',
      'Filter.3.Name': 'tag-key',
      'Filter.3.Value.1': 'skep:token',
      'Filter.4.Name': 'tag:skep:uid',
    });
    expect(requests[1]).toMatchObject({ NextToken: 'more' });
  });

  it('asks for no more tokens at once than a filter takes', async () => {
    const { instances, requests } = instancesOver(() => page([]));
    await instances.find(Array.from({ length: 450 }, (_, index) => ({ token: String(index) })));
    expect(
      requests.map((sent) => Object.keys(sent).filter((key) => key.startsWith('Filter.2.Value')).length),
    ).toEqual([200, 200, 50]);
    for (const sent of requests) expect(sent['Filter.1.Value.1']).toBe('bees');
  });
});

describe('terminating', () => {
  it('ends the others where one cannot be ended, and says which and why', async () => {
    const { instances, requests } = instancesOver((_, parameters) =>
      Object.values(parameters).includes('i-2')
        ? refusal('OperationNotPermitted', 400, 'it is protected')
        : done,
    );
    expect(await instances.terminate(['i-1', 'i-2', 'i-3'])).toEqual([
      'i-2 could not be terminated: OperationNotPermitted: it is protected',
    ]);
    expect(requests).toHaveLength(4);
  });

  it('has no trouble with one that is gone', async () => {
    const { instances } = instancesOver(() => refusal('InvalidInstanceID.NotFound'));
    expect(await instances.terminate(['i-1'])).toEqual([]);
  });
});

describe('a console', () => {
  const said = (text: string): ScriptedAnswer => ({
    status: 200,
    body: `<GetConsoleOutputResponse><output>${btoa(text)}</output></GetConsoleOutputResponse>`,
  });

  it('is asked for what it said last, and where that cannot be had for what it said first', async () => {
    expect(await instancesOver(() => said('serving')).instances.consoleOutput('i-1')).toBe('serving');
    const old = instancesOver((_, { Latest }) =>
      Latest === 'true' ? refusal('UnsupportedOperation') : said('booting'),
    );
    expect(await old.instances.consoleOutput('i-1')).toBe('booting');
    const foreign = instancesOver(() => refusal('UnauthorizedOperation', 403));
    await expect(foreign.instances.consoleOutput('i-1')).rejects.toThrow();
  });
});
