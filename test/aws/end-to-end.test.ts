/**
 * A deployment from nothing to nothing, by the CDK alone, in an emulated account (README.md says what of it is emulated):
 * all nodes serve, a file spreads, tests are green, machines that lose their power are replaced, the leader and the control
 * API among them, and what is destroyed leaves nothing.
 */
import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { type NodeView, RunTestsAnswer } from '@skep/contract';
import { fromHex, toHex } from '@skep/p2p-core/bytes';
import { createDht } from '@skep/p2p-core/discovery/dht';
import { createNodeHost, type NodeHost } from '@skep/p2p-core/host/node';
import { createMetainfo, encodeMetainfo } from '@skep/p2p-core/metainfo';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { hasEngine } from '../containers/image.ts';
import { DeployedCluster } from './deployed-cluster.ts';
import { type Deployment, startDeployment } from './deployment.ts';
import { hasMiniStack } from './ministack.ts';

const isRequired = process.env.SKEP_TEST_ALL === '1';
const deployMs = 600_000;
const stepMs = 300_000;
const counts = { bootstrap: 3, index: 1, peers: 4 };
const nodeCount = counts.bootstrap + counts.index + counts.peers;
const contentBytes = 24_000_000;
const seedSlot = 'peer-1';

describe.skipIf(!isRequired && !(hasEngine() && hasMiniStack()))(
  'a deployment (needs a Docker engine, and test/aws/install-emulators)',
  () => {
    const host: NodeHost = createNodeHost({ workers: 1 });
    const scratch = mkdtempSync(join(tmpdir(), 'skep-end-to-end-'));
    let deployment: Deployment;
    let cluster: DeployedCluster;
    let infoHash: string;
    let sha256: string;

    beforeAll(async () => {
      deployment = await startDeployment({
        context: Object.fromEntries(Object.entries(counts).map(([role, count]) => [role, String(count)])),
        onProgress: (sentence) => process.stderr.write(`${seconds().padStart(6)} s  ${sentence}\n`),
      });
      cluster = await DeployedCluster.of(deployment, host);
    }, deployMs);

    afterAll(async () => {
      await host.close();
      rmSync(scratch, { recursive: true, force: true });
      // Nothing to say if it was never started, or stopped by the last test.
      await deployment?.stop();
    }, stepMs);

    it(
      'serves with all its nodes when cdk deploy ends, spread over zones',
      async () => {
        const nodes = await cluster.nodes();
        expect(nodes.map(({ slot, state, generation }) => [slot, state, generation])).toHaveLength(nodeCount);
        expect(nodes.filter(({ state }) => state !== 'serving')).toEqual([]);
        const zones = new Set(nodes.map((node) => cluster.instanceOf(node)?.subnet.zone));
        expect(zones.size).toBe(3);
        for (const node of nodes) expect(cluster.instanceOf(node)?.address).toBe(node.address.host);
      },
      stepMs,
    );

    it('answers nobody without a token, but for its health', async () => {
      const status = async (path: string) => (await fetch(`${deployment.controlUrl}${path}`)).status;
      expect(await status('/v1/clusters')).toBe(401);
      expect(await status('/healthz')).toBe(200);
    });

    it(
      'spreads a file to every peer, where it is what it was',
      async () => {
        const path = join(scratch, 'content.bin');
        const content = randomBytes(contentBytes);
        writeFileSync(path, content);
        const metainfo = await createMetainfo(host, path, {});
        infoHash = toHex(metainfo.info.infoHash);
        sha256 = createHash('sha256').update(content).digest('hex');
        const { environment, region } = deployment.account;
        const s3 = new S3Client({
          endpoint: environment.AWS_ENDPOINT_URL!,
          region,
          forcePathStyle: true,
          credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
        });
        const { BundlesBucket } = deployment.outputs;
        await s3.send(new PutObjectCommand({ Bucket: BundlesBucket, Key: 'content.bin', Body: content }));
        const contentUrl = `${deployment.account.urlForInstances}/${BundlesBucket}/content.bin`;
        await cluster.api.addTorrent({
          params: cluster.params,
          body: {
            metainfo: Buffer.from(encodeMetainfo(metainfo)).toString('base64'),
            seeds: [{ slot: seedSlot, contentUrl }],
            leeches: 'all',
          },
        });
        const leeches = Array.from({ length: counts.peers - 1 }, (_, at) => `peer-${at + 2}`);
        await cluster.until('every leech to have the file', async () => {
          const nodes = await cluster.nodes();
          const had = (slot: string) => holdingOf(nodes, slot, infoHash)?.sha256 !== undefined;
          return leeches.every(had);
        });
        const nodes = await cluster.nodes();
        expect(leeches.map((slot) => holdingOf(nodes, slot, infoHash)?.sha256)).toEqual(
          leeches.map(() => sha256),
        );
      },
      stepMs,
    );

    it(
      'tests itself on every node, by the function',
      async () => {
        const { RunTestsFunction } = deployment.outputs;
        const answer = await cluster.invoke(RunTestsFunction!, { cluster: cluster.name }, RunTestsAnswer);
        expect(answer.results.map(({ slot }) => slot).sort()).toEqual(
          (await cluster.nodes()).map(({ slot }) => slot).sort(),
        );
        expect(answer).toMatchObject({ ok: true });
      },
      stepMs,
    );

    it(
      'replaces a bootstrap node that lost its power: same slot, zone and address; lookups go through it',
      async () => {
        const leader = await cluster.until('a leader', () => cluster.leader());
        const follower = (await cluster.nodes()).find(
          ({ role, slot }) => role === 'bootstrap' && slot !== leader.slot,
        )!;
        await replaceAndLookUp(follower);
      },
      stepMs,
    );

    it(
      'replaces its leader likewise, under another',
      async () => {
        const leader = await cluster.until('a leader', () => cluster.leader());
        const node = (await cluster.node(leader.slot))!;
        await replaceAndLookUp(node);
        const next = await cluster.until('the next leader', () => cluster.leader());
        expect(next.term).toBeGreaterThan(leader.term);
        expect(next.slot).not.toBe(leader.slot);
      },
      stepMs,
    );

    it(
      'has its control API back, in its cluster, after that lost its power',
      async () => {
        const before = (await cluster.nodes()).map(({ slot, generation }) => `${slot}@${generation}`);
        const control = deployment.controlInstance()!;
        await cluster.cutPower(control);
        await cluster.until('another control API, which hears all nodes', async () => {
          const now = deployment.controlInstance();
          if (now === undefined || now.instanceId === control.instanceId) return false;
          const nodes = await cluster.nodes();
          return nodes.length === nodeCount && nodes.every(({ state }) => state === 'serving');
        });
        const after = (await cluster.nodes()).map(({ slot, generation }) => `${slot}@${generation}`);
        expect(after).toEqual(before);
      },
      stepMs,
    );

    it(
      'replaces a peer whose agent crashed: the instance ends itself, of which the new control API hears',
      async () => {
        const peer = (await cluster.node('peer-4'))!;
        const instance = cluster.instanceOf(peer)!;
        await cluster.crashAgent(instance);
        await cluster.replacement(peer);
        expect(deployment.account.front.instances.get(instance.instanceId)).toMatchObject({
          state: 'terminated',
          reason: { code: 'Client.InstanceInitiatedShutdown' },
        });
      },
      stepMs,
    );

    it(
      'leaves nothing when it is destroyed',
      async () => {
        const { instances } = deployment.account.front;
        await deployment.destroy();
        await cluster.until(
          'the control API to be gone',
          async () => deployment.controlInstance() === undefined,
        );
        const living = () => instances.all().filter(({ state }) => state !== 'terminated');
        await cluster.until('every instance to be terminated', async () => living().length === 0);
        expect(await cluster.resources()).toEqual([]);
        expect(await deployment.stop()).toEqual([]);
      },
      stepMs,
    );

    /** Cuts its power, awaits the next generation, and asks that, and nobody else, for peers of the file. */
    async function replaceAndLookUp(node: NodeView): Promise<void> {
      const instance = cluster.instanceOf(node)!;
      await cluster.cutPower(instance);
      const replaced = await cluster.replacement(node);
      expect(replaced.generation).toBe(node.generation + 1);
      expect(replaced.address).toEqual(node.address);
      const next = cluster.instanceOf(replaced)!;
      expect(next.instanceId).not.toBe(instance.instanceId);
      expect([next.subnet.zone, next.address]).toEqual([instance.subnet.zone, instance.address]);
      await lookUpThrough(replaced);
    }

    async function lookUpThrough({ address }: NodeView): Promise<void> {
      const peers = (await cluster.nodes()).filter(({ role }) => role === 'peer');
      const expected = new Set(peers.map((peer) => peer.address.host));
      const local = { host: deployment.account.gateway, port: 0 };
      const dht = await createDht({ host }, { local, bootstrap: [address], readOnly: true });
      try {
        const found = new Promise<void>((resolve) => {
          const again = { wantedPeers: 1, firstDelayMs: 50, maxDelayMs: 500 };
          const onPeers = (some: readonly { host: string }[]) => {
            if (some.some((peer) => expected.has(peer.host))) resolve();
          };
          dht.findPeers(fromHex(infoHash)!, onPeers, undefined, again);
        });
        await found;
      } finally {
        dht.close();
      }
    }
  },
);

/** Since this test began. */
function seconds(): string {
  return (performance.now() / 1_000).toFixed(1);
}

function holdingOf(nodes: readonly NodeView[], slot: string, infoHash: string) {
  return nodes.find((node) => node.slot === slot)?.torrents.find((torrent) => torrent.infoHash === infoHash);
}
