#!/usr/bin/env node
// Stands in for `aws ssm start-session` with its plugin, as a process: it takes the same words, and carries connections
// to TUNNEL_TARGET (HOST:PORT) instead of to an instance. What it was asked is appended to TUNNEL_LOG.
import { appendFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';

const words = process.argv.slice(2);
const option = (name) => words[words.indexOf(name) + 1];
appendFileSync(process.env.TUNNEL_LOG, `${JSON.stringify({ pid: process.pid, words })}\n`);
if (words[0] !== 'ssm' || words[1] !== 'start-session') {
  console.error(`what is ${words.join(' ')}?`);
  process.exit(252);
}
if (option('--document-name') !== 'AWS-StartPortForwardingSession') {
  console.error('An error occurred (InvalidDocument) when calling the StartSession operation');
  process.exit(254);
}
const { localPortNumber } = JSON.parse(option('--parameters'));
const [host, port] = process.env.TUNNEL_TARGET.split(':');
createServer((near) => {
  const far = connect(Number(port), host);
  near.on('error', () => far.destroy());
  far.on('error', () => near.destroy());
  near.pipe(far).pipe(near);
}).listen(Number(localPortNumber[0]), '127.0.0.1', () => {
  console.log(`Port ${localPortNumber[0]} opened for sessionId stand-in.\nWaiting for connections...`);
});
