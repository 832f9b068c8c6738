/** compose.yaml as a user takes it: up, scaled, restarted, taken down and up again, and gone without a trace. */
import { execFile, execFileSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { type ApiClient, createApiClient, type NodeView } from '@skep/contract';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { freePort } from '../interop/clients/client.ts';
import { freeSubnet, hasCompose, productImage } from './image.ts';

const isRequired = process.env.SKEP_TEST_ALL === '1';
const root = join(import.meta.dirname, '../..');
const buildMs = 900_000;
const testMs = 600_000;
/** For containers to end in good order, on a busy machine too: one that is killed instead is taken for dead, and healed. */
const patienceSeconds = '30';

describe.skipIf(!isRequired && !hasCompose())(
  'compose.yaml (needs docker-compose)',
  { timeout: testMs },
  () => {
    const project = `skeptest${randomBytes(4).toString('hex')}`;
    const content = mkdtempSync(join(tmpdir(), 'skep-content-'));
    const bytes = randomBytes(2_000_000);
    const sha256 = createHash('sha256').update(bytes).digest('hex');
    let env: NodeJS.ProcessEnv;
    let port: number;

    const compose = (...args: string[]) =>
      promisify(execFile)('docker-compose', ['--project-name', project, ...args], { cwd: root, env });
    const up = (leeches: number) =>
      compose('up', '--detach', '--scale', 'index=1', '--scale', `leech=${leeches}`);
    const docker = (...args: string[]) => execFileSync('docker', args, { encoding: 'utf8' }).trim();
    const containerOf = (service: string) =>
      docker(
        ...['ps', '--quiet', '--filter', `label=com.docker.compose.project=${project}`],
        ...['--filter', `label=com.docker.compose.service=${service}`],
      ).split('\n');
    const api = (): ApiClient =>
      createApiClient({
        baseUrl: `http://127.0.0.1:${port}`,
        token: docker('exec', containerOf('control-api')[0]!, 'cat', '/state/admin-token'),
        fetch: (url, { method, headers, body }) => fetch(url, { method, headers, ...(body && { body }) }),
      });
    const nodes = (): Promise<NodeView[]> => api().listNodes({ params: { cluster: 'skep' } });
    /** All of these slots serve, in this generation or a later one, and the peers have the whole content. */
    async function settled(slots: readonly string[], generation: number): Promise<NodeView[]> {
      for (;;) {
        const found = await nodes().catch(() => []);
        const isThere =
          found.map(({ slot }) => slot).join() === slots.join() &&
          found.every((node) => node.state === 'serving' && node.generation >= generation) &&
          found.every((node) => node.role !== 'peer' || node.torrents[0]?.sha256 === sha256);
        if (isThere) return found;
        await sleep(200);
      }
    }
    const few = ['bootstrap-1', 'bootstrap-2', 'bootstrap-3', 'index-1', 'peer-1', 'peer-2'];
    const more = [...few, 'peer-3'];

    beforeAll(async () => {
      writeFileSync(join(content, 'file.bin'), bytes);
      chmodSync(content, 0o755);
      const { subnet, rest } = freeSubnet();
      port = await freePort('127.0.0.1');
      env = {
        ...process.env,
        SKEP_IMAGE: productImage(),
        SKEP_CONTENT: content,
        SKEP_PORT: String(port),
        SKEP_SUBNET: subnet,
        SKEP_SUBNET_REST: rest,
      };
    }, buildMs);
    afterAll(async () => {
      await compose('down', '--volumes', '--timeout', '0');
      rmSync(content, { recursive: true });
    }, testMs);

    it('spreads the content to as many nodes as there are containers, and heals', async () => {
      await up(1);
      const before = await settled(few, 1);
      docker('kill', before.find(({ slot }) => slot === 'bootstrap-2')!.machine!);
      for (;;) {
        const found = (await nodes()).find(({ slot }) => slot === 'bootstrap-2');
        if (found?.generation === 2 && found.state === 'serving') {
          expect(found.address).toEqual(before[1]!.address);
          break;
        }
        await sleep(200);
      }
    });

    it('grows when a service is scaled', async () => {
      await up(2);
      await settled(more, 1);
    });

    it('goes on where it was after a restart, and after down and up', async () => {
      const addresses = (found: NodeView[]) => found.map(({ slot, address }) => [slot, address]);
      const before = await nodes();
      await compose('restart', '--timeout', patienceSeconds);
      const restarted = await settled(more, 2);
      expect(addresses(restarted)).toEqual(addresses(before));
      await compose('down', '--timeout', patienceSeconds);
      expect(containerOf('control-api')).toEqual(['']);
      await up(2);
      const again = await settled(more, 3);
      expect(addresses(again)).toEqual(addresses(before));
      // What was on the disks was found there: nothing was fetched anew.
      for (const { torrents } of again.filter(({ slot }) => slot === 'peer-2' || slot === 'peer-3'))
        expect(torrents[0]!.downloadedBytes).toBeLessThan(2 * bytes.length);
    });

    it('leaves nothing when it is taken down with its volumes', async () => {
      const filter = ['--quiet', '--filter', `label=com.docker.compose.project=${project}`];
      const left = () => [
        docker('ps', '--all', ...filter),
        docker('network', 'ls', ...filter),
        docker('volume', 'ls', ...filter),
      ];
      expect(left()).not.toContain('');
      // None of a container's own, which compose would forget.
      const mounts = docker('inspect', '--format', '{{json .Mounts}}', ...containerOf('leech'));
      for (const [mount] of mounts.split('\n').map((line) => JSON.parse(line)))
        expect(mount).toMatchObject({ Name: `${project}_nodes` });
      await compose('down', '--volumes', '--timeout', patienceSeconds);
      expect(left()).toEqual(['', '', '']);
    });
  },
);
