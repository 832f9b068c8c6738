import { expect, it } from 'vitest';
import { endedInstance } from './aws-events.ts';

const event = (detail: unknown, rest: object = {}) =>
  JSON.stringify({
    version: '0',
    id: '7bf73129-1428-4cd3-a780-95db273d1602',
    'detail-type': 'EC2 Instance State-change Notification',
    source: 'aws.ec2',
    account: '123456789012',
    time: '2026-11-11T21:29:54Z',
    region: 'eu-north-1',
    resources: ['arn:aws:ec2:eu-north-1:123456789012:instance/i-0123abcd'],
    detail,
    ...rest,
  });

it.each([
  ['stopping', 'i-0123abcd'],
  ['stopped', 'i-0123abcd'],
  ['shutting-down', 'i-0123abcd'],
  ['terminated', 'i-0123abcd'],
  ['pending', undefined],
  ['running', undefined],
])('an event of the state %s tells of %s', (state, instanceId) => {
  expect(endedInstance(event({ 'instance-id': 'i-0123abcd', state }))).toBe(instanceId);
});

it.each([
  ['no JSON', 'terminated'],
  ['another source', event({ 'instance-id': 'i-0123abcd', state: 'terminated' }, { source: 'aws.rds' })],
  ['no instance', event({ state: 'terminated' })],
  ['an instance that is none', event({ 'instance-id': '../i-1', state: 'terminated' })],
  ['nothing', ''],
])('a message with %s tells of none', (_, body) => {
  expect(endedInstance(body)).toBeUndefined();
});
