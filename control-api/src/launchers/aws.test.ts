/** What the launcher `aws` does beyond the promises of every launcher, which are tested over real functions in test/aws/. */
import type { InvokeCommand, LambdaClient } from '@aws-sdk/client-lambda';
import { ReceiveMessageCommand, type SQSClient } from '@aws-sdk/client-sqs';
import type { LaunchOutcome, ListedInstance, MachineToken } from '@skep/contract';
import { describe, expect, it } from 'vitest';
import { type LaunchRequest, type MachineExit, machineRef } from '../ports/launcher.ts';
import { createVirtualHost } from '../testing/virtual-host.ts';
import { AwsLauncher } from './aws.ts';

const clusterUid = 'c'.repeat(32);

interface Asked {
  readonly action?: string;
  readonly scope?: string;
  readonly machines?: readonly ({ machine: MachineToken } & MachineToken)[];
  readonly instanceIds?: readonly string[];
}

interface World {
  readonly launchAnswer?: (machine: MachineToken) => Omit<LaunchOutcome & { instanceId?: string }, 'token'>;
  /** What a call of a function comes to; undefined for what it is by itself. */
  readonly instead?: (name: string, asked: Asked) => unknown;
  /** How many polls of the queue fail before one succeeds. */
  readonly queueFailures?: number;
}

function world({
  launchAnswer = ({ slot }) => ({ outcome: 'launched', instanceId: idOf(slot) }),
  instead,
  queueFailures = 0,
}: World = {}) {
  const virtual = createVirtualHost();
  const { clock, compute } = virtual.host;
  const calls: { name: string; asked: Asked }[] = [];
  let listed: ListedInstance[] = [];
  const messages: string[] = [];
  const deleted: string[] = [];
  const troubles: string[] = [];
  let polls = 0;
  const answerOf = (name: string, asked: Asked): unknown => {
    const other = instead?.(name, asked);
    if (other !== undefined) return other;
    if (asked.action === 'launch') {
      return {
        outcomes: asked.machines!.map(({ machine }) => ({ token: machine.token, ...launchAnswer(machine) })),
      };
    }
    if (asked.action === 'list') {
      return {
        instances: listed.filter(({ instanceId }) => asked.instanceIds?.includes(instanceId) ?? true),
      };
    }
    return { state: 'gone', left: [], gone: asked.machines!.map(({ token }) => token) };
  };
  const lambda = {
    async send({ input }: InvokeCommand) {
      const asked = JSON.parse(new TextDecoder().decode(input.Payload as Uint8Array)) as Asked;
      calls.push({ name: input.FunctionName!, asked });
      const answer = answerOf(input.FunctionName!, asked);
      if (answer instanceof Error) throw answer;
      const thrown =
        (answer as { errorMessage?: string }).errorMessage === undefined
          ? {}
          : { FunctionError: 'Unhandled' };
      return { Payload: new TextEncoder().encode(JSON.stringify(answer)), ...thrown };
    },
  } as unknown as LambdaClient;
  const sqs = {
    async send(command: { input: { Entries?: { ReceiptHandle: string }[] } }) {
      if (!(command instanceof ReceiveMessageCommand)) {
        deleted.push(...command.input.Entries!.map(({ ReceiptHandle }) => ReceiptHandle));
        return {};
      }
      polls += 1;
      if (polls <= queueFailures)
        throw Object.assign(new Error('no such queue'), { name: 'QueueDoesNotExist' });
      await new Promise<void>((resolve) => {
        clock.setTimer(20, resolve);
      });
      return {
        Messages: messages.splice(0).map((Body, index) => ({ Body, ReceiptHandle: `receipt-${index}` })),
      };
    },
  } as unknown as SQSClient;
  const launcher = new AwsLauncher(
    { clock, lambda, sqs },
    {
      deployFunction: 'deploy',
      teardownFunction: 'teardown',
      eventsQueue: 'https://sqs/ends',
      subnets: [{ subnetId: 'subnet-a', zone: 'a', cidr: '10.0.0.0/16' }],
      onTrouble: (message) => troubles.push(message),
    },
  );
  const exits: MachineExit[] = [];
  launcher.watch((exit) => exits.push(exit));
  const request = (slot: string): LaunchRequest => {
    const machine = machineRef(compute, { clusterUid, slot, generation: 1, attempt: 1 });
    return { machine, config: {} as LaunchRequest['config'], ephemeral: false };
  };
  return {
    ...virtual,
    launcher,
    calls,
    exits,
    deleted,
    troubles,
    request,
    listing(instances: ListedInstance[]) {
      listed = instances;
    },
    ends(instanceId: string, state = 'shutting-down') {
      messages.push(
        JSON.stringify({
          source: 'aws.ec2',
          'detail-type': 'EC2 Instance State-change Notification',
          detail: { 'instance-id': instanceId, state },
        }),
      );
    },
    async toItsEnd<T>(action: Promise<T>): Promise<T> {
      let isDone = false;
      const watched = action.finally(() => {
        isDone = true;
      });
      watched.catch(() => undefined);
      while (!isDone) await virtual.advance(5);
      return watched;
    },
  };
}

const idOf = (slot: string) => `i-${slot.split('-')[1]!.padStart(8, '0')}`;

describe('AwsLauncher', () => {
  it('has all that are launched within a moment launched by few calls, each once', async () => {
    const { launcher, calls, request, toItsEnd } = world();
    const requests = Array.from({ length: 60 }, (_, index) => request(`peer-${index + 1}`));
    const launched = await toItsEnd(
      Promise.all([...requests, requests[0]!].map((each) => launcher.launch(each))),
    );
    expect(launched.map(({ name }) => name)).toEqual([
      ...requests.map(({ machine }) => idOf(machine.slot)),
      idOf('peer-1'),
    ]);
    expect(calls.map(({ asked }) => asked.machines!.length)).toEqual([25, 25, 10]);
  });

  it.each([
    ['called-off', { outcome: 'called-off', message: 'stopped' }],
    ['no-capacity', { outcome: 'no-capacity', message: 'full' }],
    ['no-free-address', { outcome: 'no-free-address', message: 'taken' }],
    ['not-launched', { outcome: 'not-launched', message: 'busy' }],
  ] as const)('tells an outcome %s as it is', async (code, outcome) => {
    const { launcher, request, toItsEnd } = world({ launchAnswer: () => outcome });
    await expect(toItsEnd(launcher.launch(request('peer-1')))).rejects.toMatchObject({
      code,
      message: outcome.message,
    });
  });

  it.each([
    [
      'a function that throws',
      { errorMessage: 'SKEP_TABLE: must be set' },
      'deploy failed: SKEP_TABLE: must be set',
    ],
    [
      'a function that cannot be called',
      Object.assign(new Error('Rate Exceeded.'), { name: 'TooManyRequestsException' }),
      'deploy could not be called: TooManyRequestsException: Rate Exceeded.',
    ],
    ['an answer that is none', { outcomes: 'many' }, 'deploy answered what it should not'],
    ['an answer for others only', { outcomes: [] }, 'deploy did not say what became of it'],
  ])('takes %s for an outcome that is unknown', async (_, answer, message) => {
    const { launcher, request, toItsEnd } = world({
      instead: (name) => (name === 'deploy' ? answer : undefined),
    });
    await expect(toItsEnd(launcher.launch(request('peer-1')))).rejects.toMatchObject({
      code: 'not-launched',
      message: expect.stringContaining(message),
    });
  });

  it('tells an end that EC2 tells of, once it has seen it', async () => {
    const { launcher, request, toItsEnd, exits, ends, listing, advance, deleted } = world();
    const asked = request('peer-1');
    await toItsEnd(launcher.launch(asked));
    listing([{ machine: asked.machine, instanceId: idOf('peer-1'), state: 'shutting-down' }]);
    ends(idOf('peer-1'));
    ends(idOf('peer-1'), 'terminated');
    await advance(1_000);
    expect(exits).toEqual([{ machine: asked.machine, evidence: 'its instance i-00000001 is shutting-down' }]);
    expect(deleted).toEqual(['receipt-0', 'receipt-1']);
  });

  it('does not tell an end that it does not see, and sees one that is listed late', async () => {
    const { launcher, request, toItsEnd, exits, ends, listing, advance } = world();
    const asked = request('peer-1');
    await toItsEnd(launcher.launch(asked));
    listing([{ machine: asked.machine, instanceId: idOf('peer-1'), state: 'running' }]);
    ends(idOf('peer-1'));
    await advance(2_500);
    expect(exits).toEqual([]);
    listing([]);
    await advance(1_000);
    expect(exits).toMatchObject([{ evidence: 'its instance i-00000001 is terminated' }]);
  });

  it('tries on while the queue cannot be read, and says so once', async () => {
    const { launcher, request, toItsEnd, exits, ends, advance, troubles } = world({ queueFailures: 3 });
    await toItsEnd(launcher.launch(request('peer-1')));
    ends(idOf('peer-1'));
    await advance(20_000);
    expect(exits).toHaveLength(1);
    expect(troubles).toEqual([
      expect.stringMatching(/^no news of instances that end \(QueueDoesNotExist: no such queue\)/),
    ]);
    launcher.close();
  });

  it('tells of a machine that ended before its launch was answered', async () => {
    const { launcher, request, toItsEnd, exits, ends, advance } = world();
    ends(idOf('peer-1'));
    await advance(100);
    await toItsEnd(launcher.launch(request('peer-1')));
    await advance(100);
    expect(exits).toMatchObject([{ machine: { slot: 'peer-1' } }]);
  });

  it('notices within two minutes what no event told', async () => {
    const { launcher, request, toItsEnd, exits, listing, advance } = world();
    const [one, other] = [request('peer-1'), request('peer-2')];
    await toItsEnd(Promise.all([launcher.launch(one), launcher.launch(other)]));
    listing([{ machine: other.machine, instanceId: idOf('peer-2'), state: 'running' }]);
    // Lists may not have caught up with a launch that is younger than this.
    await advance(50_000);
    expect(exits).toEqual([]);
    await advance(70_000);
    expect(exits.map(({ machine }) => machine.slot)).toEqual(['peer-1']);
  });

  it('does not call off what it kills, if there is nothing to kill', async () => {
    const { launcher, request, calls, toItsEnd } = world();
    await toItsEnd(launcher.kill(request('peer-1').machine));
    expect(calls.filter(({ name }) => name === 'teardown')).toEqual([]);
  });

  it('tells once what keeps a machine from being ended', async () => {
    let asks = 0;
    const left = ['peer-1@1: i-1 could not be terminated: OperationNotPermitted: it is protected'];
    const { launcher, request, toItsEnd, troubles } = world({
      instead(name) {
        if (name !== 'teardown') return undefined;
        asks += 1;
        return asks < 4 ? { state: 'ending', left, gone: [] } : undefined;
      },
    });
    await toItsEnd(launcher.stop(request('peer-1').machine));
    expect(troubles).toEqual(left);
  });

  it('asks on until a machine is gone', async () => {
    let asks = 0;
    const { launcher, request, toItsEnd } = world({
      instead(name) {
        if (name !== 'teardown') return undefined;
        asks += 1;
        return asks < 4 ? { state: 'ending', left: ['peer-1@1: i-1 is shutting-down'], gone: [] } : undefined;
      },
    });
    await toItsEnd(launcher.stop(request('peer-1').machine));
    expect(asks).toBe(4);
  });
});
