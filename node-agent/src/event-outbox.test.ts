import { expect, test } from 'vitest';
import { EventOutbox } from './event-outbox.ts';

const event = (kind: string) => ({ kind, lamport: 1, data: {} });
const sent = (outbox: EventOutbox) => outbox.next(0).map(({ sequence, kind }) => `${sequence} ${kind}`);

test('events are kept until the journal has them', () => {
  const outbox = new EventOutbox();
  outbox.taken(0);
  outbox.add(event('elected'), 0);
  outbox.add(event('lease-granted'), 0);
  expect(sent(outbox)).toEqual(['1 elected', '2 lease-granted']);
  outbox.taken(1);
  expect(sent(outbox)).toEqual(['2 lease-granted']);
  outbox.taken(2);
  expect(outbox.size).toBe(0);
});

test('a rebooted machine counts on from what the journal has of its generation', () => {
  const outbox = new EventOutbox();
  outbox.add(event('elected'), 0);
  expect(sent(outbox)).toEqual([]);
  outbox.taken(7);
  expect(sent(outbox)).toEqual(['8 elected']);
  outbox.taken(7);
  outbox.add(event('lease-granted'), 0);
  expect(sent(outbox)).toEqual(['8 elected', '9 lease-granted']);
  outbox.taken(9);
  expect(outbox.size).toBe(0);
});

test('a report takes a hundred', () => {
  const outbox = new EventOutbox();
  outbox.taken(0);
  for (let count = 1; count <= 150; count++) outbox.add(event('elected'), 0);
  expect(outbox.next(0).map(({ sequence }) => sequence)).toEqual(
    Array.from({ length: 100 }, (_, i) => i + 1),
  );
  outbox.taken(120);
  expect(outbox.next(0)[0]!.sequence).toBe(121);
  expect(outbox.size).toBe(30);
});

test('when the control API is away for too long the oldest go, are counted, and their numbers are not used again', () => {
  const outbox = new EventOutbox();
  outbox.taken(0);
  for (let count = 1; count <= 1_500; count++) outbox.add(event('elected'), 0);
  expect(outbox.size).toBe(1_000);
  expect(outbox.dropped).toBe(500);
  expect(outbox.next(0)[0]!.sequence).toBe(501);
});

test('an event tells how long ago it happened, also after a report that was lost', () => {
  const outbox = new EventOutbox();
  outbox.taken(0);
  outbox.add(event('elected'), 1_000);
  outbox.add(event('lease-granted'), 1_250);
  expect(outbox.next(1_300).map(({ ageMs }) => ageMs)).toEqual([300, 50]);
  expect(outbox.next(9_300).map(({ ageMs }) => ageMs)).toEqual([8_300, 8_050]);
});
