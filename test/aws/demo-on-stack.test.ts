/**
 * `skep demo --runner aws` on a deployment as the command line sees it: its outputs, its secret and its bucket asked of
 * moto, its control API behind the tunnel's stand-in. That control API's machines are processes, so what is told here
 * is the command's part; with instances it is told in deployment.test.ts.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ListObjectsV2Command, S3Client } from '@aws-sdk/client-s3';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { runCli } from '../../cli/src/testing/run-cli.ts';
import { hasMoto } from './moto.ts';
import { clientOf } from './outputs-stack.ts';
import { isRunning, stack, TunnelledDeployment, token } from './tunnelled-deployment.ts';

vi.setConfig({ testTimeout: 180_000, hookTimeout: 180_000 });

const mayBeMissing = process.env.SKEP_TEST_ALL !== '1';

describe.skipIf(!hasMoto() && mayBeMissing)(
  'skep demo --runner aws (moto, from test/aws/install-emulators)',
  () => {
    let deployment: TunnelledDeployment;
    beforeEach(async () => {
      deployment = await TunnelledDeployment.start();
    });
    afterEach(() => deployment?.stop());

    const demo = (...args: string[]) =>
      runCli(
        ['demo', '--runner', 'aws', '--stack', stack, '--exit', '--json', ...args],
        deployment.state,
        deployment.environment,
      );

    it('tells the same story with the same figures, and leaves nothing on the deployment', async () => {
      const content = join(deployment.directory, 'bees.bin');
      writeFileSync(
        content,
        Uint8Array.from({ length: 3_000_000 }, (_, index) => (index * 31 + (index >> 9)) & 0xff),
      );
      const { code, stdout, stderr } = await demo('--peers', '3', '--content', content);
      expect({ code, stderr }).toMatchObject({ code: 0, stderr: expect.stringContaining('All of it held.') });
      const result = JSON.parse(stdout);
      expect(result).toMatchObject({ nodes: 7, bytes: 3_000_000, ok: true });
      expect(result.downloads.map(({ sha256Ok }: { sha256Ok: boolean }) => sha256Ok)).toEqual([
        true,
        true,
        true,
      ]);
      expect(Object.keys(result.healing).sort()).toEqual([
        'detectedMs',
        'electedMs',
        'firstLookupMs',
        'redeployedMs',
      ]);
      expect(stderr).toMatch(/each an instance of its own/);
      expect(stdout + stderr).not.toContain(token);

      const s3 = new S3Client({ ...clientOf(deployment.moto), forcePathStyle: true });
      const { KeyCount } = await s3.send(new ListObjectsV2Command({ Bucket: 'bees-bundles' }));
      expect(KeyCount).toBe(0);
      const authorization = `Bearer ${token}`;
      const url = `http://${deployment.environment.TUNNEL_TARGET}/v1/clusters`;
      expect(await (await fetch(url, { headers: { authorization } })).json()).toEqual([]);
      expect(deployment.tunnels().filter(({ pid }) => isRunning(pid))).toEqual([]);
    });

    it('refuses what instances cannot do', async () => {
      const spares = await demo('--spares', '1');
      expect(spares).toMatchObject({ code: 2, stderr: expect.stringMatching(/no warm spares on AWS/) });
      const folder = await demo('--content', import.meta.dirname);
      expect(folder).toMatchObject({ code: 2, stderr: expect.stringMatching(/give a file as --content/) });
    });
  },
);
