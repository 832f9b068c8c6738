import { expect, test } from 'vitest';
import type { Clock, TcpConnection } from '../host/host.ts';
import { MAX_UNREAD_MESSAGES, PeerConnection } from './peer-connection.ts';

const supports = { extensions: true, fast: true, dht: false };

test('a peer that asks and asks, but does not read the answers, is left', () => {
  const clock = { now: () => 0, wallTime: () => 0, setTimer: () => ({ cancel: () => {} }) } satisfies Clock;
  let sent = 0;
  let isDestroyed = false;
  let queuedBytes = 0;
  const tcp = {
    highWaterBytes: 1000,
    get queuedBytes() {
      return queuedBytes;
    },
    send: () => void sent++,
    destroy: () => {
      isDestroyed = true;
    },
  } as unknown as TcpConnection;
  const connection = new PeerConnection(
    { clock },
    { peerId: new Uint8Array(20), supports, welcome: () => expect.unreachable() },
  );
  connection.attach(tcp);
  const answer = () => connection.send({ type: 'keep-alive' });
  for (let turn = 0; turn < MAX_UNREAD_MESSAGES + 1; turn++) answer();
  queuedBytes = 1000;
  for (let turn = 0; turn < MAX_UNREAD_MESSAGES; turn++) answer();
  queuedBytes = 999;
  answer();
  queuedBytes = 1000;
  for (let turn = 0; turn < MAX_UNREAD_MESSAGES; turn++) answer();
  expect(isDestroyed).toBe(false);
  const before = sent;
  answer();
  expect(isDestroyed).toBe(true);
  expect(sent).toBe(before);
});
