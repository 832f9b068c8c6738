/**
 * The buildspec's own commands, in a container that has what CodeBuild's has of programs: Docker's CLI, with this machine's
 * engine, and the AWS CLI's `ecr get-login-password`, here a script with the same outcome. What they push is looked for
 * in the registry, and run.
 */
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CreateRepositoryCommand, DescribeImagesCommand, ECRClient } from '@aws-sdk/client-ecr';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readBuildSpec } from '../../infra/lib/image-builder.ts';
import { baseImage, hasEngine, productImage } from '../containers/image.ts';
import type { Emulator } from './emulator.ts';
import { hasMiniStack, startMiniStack } from './ministack.ts';

const isRequired = process.env.SKEP_TEST_ALL === '1';
const root = join(import.meta.dirname, '../..');
const buildMs = 900_000;
const tag = 'a'.repeat(64);

/** `aws ecr get-login-password`: the password of the token that ECR gives. */
const awsCli = `#!/usr/bin/env node
const [service, command] = process.argv.slice(2);
if (service !== 'ecr' || command !== 'get-login-password') process.exit(252);
const answer = await fetch(process.env.AWS_ENDPOINT_URL, {
  method: 'POST',
  headers: {
    'content-type': 'application/x-amz-json-1.1',
    'x-amz-target': 'AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken',
  },
  body: '{}',
});
const { authorizationData } = await answer.json();
console.log(Buffer.from(authorizationData[0].authorizationToken, 'base64').toString().split(':')[1]);
`;

describe.skipIf(!isRequired && !(hasEngine() && hasMiniStack()))(
  'the buildspec (needs a Docker engine, and test/aws/install-emulators)',
  () => {
    let ministack: Emulator;
    let pushed: string;
    /** Of the image, in the engine. */
    const references: string[] = [];
    const programs = mkdtempSync(join(tmpdir(), 'skep-buildspec-'));

    beforeAll(async () => {
      // Its layers are those that the buildspec makes, which has no other way to the packages here.
      productImage();
      ministack = await startMiniStack();
      pushed = `127.0.0.1:${ministack.port}/trial:${tag}`;
      references.push(pushed);
      writeFileSync(join(programs, 'aws'), awsCli);
      chmodSync(join(programs, 'aws'), 0o755);
    }, buildMs);

    afterAll(async () => {
      spawnSync('docker', ['rmi', ...references]);
      await ministack?.stop();
      rmSync(programs, { recursive: true, force: true });
    });

    it(
      'builds the image of the source, and pushes it under the tag',
      async () => {
        const ecr = new ECRClient({
          endpoint: ministack.url,
          region: ministack.environment.AWS_REGION!,
          credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
        });
        await ecr.send(new CreateRepositoryCommand({ repositoryName: 'trial' }));
        const environment = {
          AWS_ENDPOINT_URL: ministack.url,
          SKEP_REPOSITORY: pushed.slice(0, -tag.length - 1),
          SKEP_IMAGE_TAG: tag,
          SKEP_BASE_IMAGE: baseImage,
          SKEP_VERSION: '1.2.3',
          HOME: '/tmp',
        };
        for (const command of commandsOf(readBuildSpec())) {
          const { status, stderr } = runInContainer(command, environment);
          expect({ command, status, stderr: status === 0 ? '' : stderr }).toEqual({
            command,
            status: 0,
            stderr: '',
          });
        }
        const { imageDetails } = await ecr.send(new DescribeImagesCommand({ repositoryName: 'trial' }));
        expect(imageDetails).toMatchObject([{ imageTags: [tag] }]);
        const { imageDigest } = imageDetails![0]!;

        const byDigest = `${environment.SKEP_REPOSITORY}@${imageDigest}`;
        references.push(byDigest);
        const run = spawnSync('docker', ['run', '--rm', '--network', 'none', byDigest], { encoding: 'utf8' });
        expect([run.status, run.stdout]).toEqual([1, expect.stringContaining('SKEP_CONFIG must name')]);
        const labels = spawnSync(
          'docker',
          ['image', 'inspect', '--format', '{{json .Config.Labels}}', byDigest],
          { encoding: 'utf8' },
        ).stdout;
        expect(JSON.parse(labels)).toMatchObject({
          'org.opencontainers.image.version': '1.2.3',
          'org.opencontainers.image.revision': tag,
        });
      },
      buildMs,
    );

    /** In the source's directory, as a command of a phase is. */
    function runInContainer(command: string, environment: Readonly<Record<string, string>>) {
      const docker = spawnSync('which', ['docker'], { encoding: 'utf8' }).stdout.trim();
      return spawnSync(
        'docker',
        [
          ...['run', '--rm', '--network', 'host', '--workdir', '/source'],
          ...['--volume', `${root}:/source:ro`, '--volume', '/var/run/docker.sock:/var/run/docker.sock'],
          ...['--volume', `${docker}:/usr/bin/docker:ro`, '--volume', `${programs}:/programs`],
          ...[
            '--env',
            'PATH=/programs:/usr/local/bin:/usr/bin:/bin',
            '--env',
            'DOCKER_CONFIG=/programs/docker',
          ],
          ...Object.entries(environment).flatMap(([name, value]) => ['--env', `${name}=${value}`]),
          ...[baseImage, 'sh', '-ec', command],
        ],
        { encoding: 'utf8' },
      );
    }
  },
);

function commandsOf(spec: Record<string, unknown>): string[] {
  const phases = spec.phases as Record<string, { commands: string[] }>;
  return Object.values(phases).flatMap(({ commands }) => commands);
}
