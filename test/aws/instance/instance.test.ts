/** The stand-ins on an instance that is a container: each does the part of its original that the user data relies on. */
import { execFileSync, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { CreateRepositoryCommand, DescribeImagesCommand, ECRClient } from '@aws-sdk/client-ecr';
import Docker from 'dockerode';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { until } from '../../chaos/waiting.ts';
import { baseImage, hasEngine, productImage } from '../../containers/image.ts';
import type { Emulator } from '../emulator.ts';
import { hasMiniStack, startMiniStack } from '../ministack.ts';
import { buildInstanceImage } from './image.ts';

const isRequired = process.env.SKEP_TEST_ALL === '1';
const startMs = 900_000;
const testMs = 120_000;

describe.skipIf(!isRequired && !(hasEngine() && hasMiniStack()))(
  'an instance’s stand-ins (needs a Docker engine, and test/aws/install-emulators)',
  () => {
    const name = `skep-instance-${randomBytes(4).toString('hex')}`;
    const pushed: string[] = [];
    let ministack: Emulator;
    /** By digest, as user data names them. */
    let product: string;
    let other: string;

    beforeAll(async () => {
      const image = productImage();
      const instanceImage = buildInstanceImage(image);
      ministack = await startMiniStack();
      product = await push(image, 'product');
      other = await push(baseImage, 'other');
      // Without what the instance's own program would do: the stand-ins alone.
      execFileSync('docker', [
        ...['run', '--detach', '--network', 'host', '--name', name],
        ...['--env', `AWS_ENDPOINT_URL=${ministack.url}`, '--env', 'AWS_REGION=eu-central-1'],
        ...['--entrypoint', 'tini', instanceImage, '--', 'sleep', 'infinity'],
      ]);
    }, startMs);

    afterAll(async () => {
      spawnSync('docker', ['rm', '--force', '--volumes', name]);
      spawnSync('docker', ['rmi', ...pushed]);
      await ministack?.stop();
    });

    const run = (...command: string[]) =>
      spawnSync('docker', ['exec', name, ...command], { encoding: 'utf8' });
    const shell = (script: string) => run('sh', '-c', script);

    /** Resolves with `registry/repository@digest`, the registry being ECR's. */
    async function push(image: string, repositoryName: string): Promise<string> {
      const ecr = new ECRClient({
        endpoint: ministack.url,
        region: ministack.environment.AWS_REGION!,
        credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
      });
      await ecr.send(new CreateRepositoryCommand({ repositoryName }));
      const reference = `127.0.0.1:${ministack.port}/${repositoryName}:trial`;
      pushed.push(reference);
      execFileSync('docker', ['tag', image, reference]);
      execFileSync('docker', ['push', '--quiet', reference], { stdio: 'pipe' });
      const { imageDetails } = await ecr.send(new DescribeImagesCommand({ repositoryName }));
      const registry = '000000000000.dkr.ecr.eu-central-1.amazonaws.com';
      return `${registry}/${repositoryName}@${imageDetails![0]!.imageDigest}`;
    }

    it(
      'pulls the image that the instance was made of, by its digest, and no other',
      () => {
        expect(run('docker', 'pull', '--quiet', product)).toMatchObject({
          status: 0,
          stdout: `${product}\n`,
        });
        expect(run('docker', 'pull', other)).toMatchObject({
          status: 1,
          stderr: expect.stringContaining('this instance can run sha256:'),
        });
        const unknown = product.replace(/[0-9a-f]{4}$/, '0000');
        expect(run('docker', 'pull', unknown)).toMatchObject({
          status: 1,
          stderr: expect.stringContaining('the registry answered 404'),
        });
      },
      testMs,
    );

    it(
      'runs its program as the image’s user, with environment and mounts, without rights, to its end',
      () => {
        run('docker', 'pull', '--quiet', product);
        shell('mkdir -p /srv/data && chown 10001:10001 /srv/data && echo "FROM_FILE=1" > /tmp/env');
        const script =
          'id -u; echo "$FROM_FILE $GIVEN $NODE_ENV"; grep CapBnd /proc/self/status; echo kept > /data/file; exit 7';
        const ran = run(
          ...['docker', 'run', '--pull', 'never', '--name', 'trial', '--network', 'host', '--read-only'],
          ...['--cap-drop', 'ALL', '--mount', 'type=bind,source=/srv/data,target=/data'],
          ...['--env-file', '/tmp/env', '--env', 'GIVEN=2', product, 'sh', '-c', script],
        );
        expect(ran.status).toBe(7);
        const [user, variables, capabilities] = ran.stdout.split('\n');
        expect([user, variables]).toEqual(['10001', '1 2 production']);
        expect(capabilities).toMatch(/CapBnd:\s+0+$/);
        expect(shell('cat /srv/data/file').stdout).toBe('kept\n');
      },
      testMs,
    );

    it(
      'kills what runs under a name',
      async () => {
        run('docker', 'pull', '--quiet', product);
        const command = `docker run --name long ${product} sh -c "sleep 1000"; echo $? > /tmp/status`;
        shell(`setsid --fork sh -c '${command}'`);
        await until('it to run', () => run('docker', 'rm', '--force', 'long').status === 0);
        await until('its end to be told', () => shell('cat /tmp/status').stdout === '137\n');
        expect(run('docker', 'rm', '--force', 'long')).toMatchObject({
          status: 1,
          stderr: 'there is no container long\n',
        });
      },
      testMs,
    );

    it(
      'runs units again as they say, and the console has what they print',
      async () => {
        shell(`printf '#!/bin/sh\\necho again >> /tmp/times\\necho said by the unit\\n' > /usr/bin/often; chmod +x /usr/bin/often
printf '[Service]\\nExecStart=/usr/bin/often\\nRestart=always\\nRestartSec=0.1\\n' > /etc/systemd/system/often.service`);
        expect(run('systemctl', 'cat', 'ecs.service').status).toBe(1);
        expect(run('systemctl', 'cat', 'often.service').status).toBe(0);
        expect(run('systemctl', 'start', '--no-block', 'often.service', 'often.timer').status).toBe(0);
        await until('it to run thrice', () => shell('wc -l < /tmp/times').stdout.trim() >= '3');
        const console = await new Docker().getContainer(name).logs({ stdout: true });
        expect(console.toString()).toContain('said by the unit');
        expect(run('systemctl', 'isolate', 'rescue.target').status).toBe(1);
      },
      testMs,
    );

    it(
      'is off when a unit ends whose end is to power it off',
      async () => {
        shell(
          `printf '[Service]\\nExecStart=/bin/false\\nFailureAction=poweroff\\n' > /etc/systemd/system/once.service`,
        );
        run('systemctl', 'start', 'once.service');
        await until('the instance to be off', async () => {
          const { State } = await new Docker().getContainer(name).inspect();
          return !State.Running;
        });
      },
      testMs,
    );
  },
);
