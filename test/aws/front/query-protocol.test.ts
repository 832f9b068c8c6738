/** EC2's query protocol, held to what the SDK sends and reads. */
import { DescribeInstancesCommand, EC2Client, RunInstancesCommand } from '@aws-sdk/client-ec2';
import { describe, expect, it } from 'vitest';
import { Ec2Refusal, readForm, writeAnswer, writeRefusal } from './query-protocol.ts';

/** A client whose server is this function, from a form's text to an answer's. */
function clientOf(serve: (form: string) => { status: number; body: string }): EC2Client {
  return new EC2Client({
    endpoint: 'http://127.0.0.1:9',
    region: 'eu-central-1',
    credentials: { accessKeyId: 'a', secretAccessKey: 'b' },
    maxAttempts: 1,
    requestHandler: {
      handle: async (request: { body: string }) => {
        const { status, body } = serve(request.body);
        return { response: { statusCode: status, headers: {}, body: new TextEncoder().encode(body) } };
      },
    },
  } as never);
}

describe('what a client sends', () => {
  it('is unfolded to lists and structures', async () => {
    let form = '';
    const client = clientOf((sent) => {
      form = sent;
      return { status: 200, body: writeAnswer('RunInstances', {}) };
    });
    await client.send(
      new RunInstancesCommand({
        MinCount: 1,
        MaxCount: 1,
        NetworkInterfaces: [{ DeviceIndex: 0, PrivateIpAddress: '10.0.0.9', Groups: ['sg-1', 'sg-2'] }],
        TagSpecifications: [{ ResourceType: 'instance', Tags: [{ Key: 'a.b', Value: 'c&d' }] }],
      }),
    );
    expect(readForm(form)).toMatchObject({
      Action: 'RunInstances',
      MinCount: '1',
      NetworkInterface: [
        { DeviceIndex: '0', PrivateIpAddress: '10.0.0.9', SecurityGroupId: ['sg-1', 'sg-2'] },
      ],
      TagSpecification: [{ ResourceType: 'instance', Tag: [{ Key: 'a.b', Value: 'c&d' }] }],
    });
  });

  it('keeps the order of long lists', () => {
    const form = Array.from({ length: 12 }, (_, at) => `Id.${12 - at}=i-${12 - at}`).join('&');
    expect(readForm(form).Id).toEqual(Array.from({ length: 12 }, (_, at) => `i-${at + 1}`));
  });

  it('is refused if a name is both text and structure', () => {
    expect(() => readForm('a=1&a.b=2')).toThrow('a.b is both text and structure');
  });
});

describe('what is answered', () => {
  it('is read by the client as it was meant', async () => {
    const body = writeAnswer('DescribeInstances', {
      reservationSet: [
        {
          instancesSet: [
            { instanceId: 'i-1', reason: undefined, tagSet: [{ key: 'a', value: '<b> & "c"' }] },
            { instanceId: 'i-2', tagSet: [] },
          ],
        },
      ],
    });
    const { Reservations } = await clientOf(() => ({ status: 200, body })).send(
      new DescribeInstancesCommand({}),
    );
    expect(Reservations).toHaveLength(1);
    expect(Reservations![0]!.Instances).toMatchObject([
      { InstanceId: 'i-1', Tags: [{ Key: 'a', Value: '<b> & "c"' }] },
      { InstanceId: 'i-2' },
    ]);
  });

  it('is an error with its code where it is a refusal', async () => {
    const body = writeRefusal(new Ec2Refusal('InvalidIPAddress.InUse', 'Address 10.0.0.9 is in use.'));
    const asked = clientOf(() => ({ status: 400, body })).send(new DescribeInstancesCommand({}));
    await expect(asked).rejects.toMatchObject({
      name: 'InvalidIPAddress.InUse',
      message: 'Address 10.0.0.9 is in use.',
    });
  });
});
