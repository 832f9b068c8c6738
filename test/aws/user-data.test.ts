/**
 * What user data becomes on a machine with cloud-init, systemd and Docker for real: an agent that joins and serves, locked
 * down and without a secret where others could read it; and whatever ends it, or keeps it from its beginning, the
 * machine is off, for good.
 */
import { type ApiClient, createApiClient } from '@skep/contract';
import { type ControlApi, createControlApi, MemoryStore } from '@skep/control-api';
import type { HttpServer } from '@skep/p2p-core/host';
import { createNodeHost } from '@skep/p2p-core/host/node';
import Docker from 'dockerode';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { LaunchRequest, SlotAddresses } from '../../control-api/src/ports/launcher.ts';
import { MemoryLauncher } from '../../control-api/src/testing/memory-launcher.ts';
import { renderNodeUserData } from '../../lambdas/src/user-data.ts';
import { hasEngine, productImage } from '../containers/image.ts';
import { docker, Machine, until } from './machine/machines.ts';
import { hasRegistry, Registry } from './machine/registry.ts';
import { createVpcNetwork, type VpcNetwork } from './vpc-network.ts';

const mayBeMissing = process.env.SKEP_TEST_ALL !== '1';
const isMissing = !hasEngine() || !hasRegistry();
const patienceMs = 600_000;
const cluster = 'bees';
const adminToken = 'admin-token-of-the-tests';
const agentConfig = '/var/lib/skep/machine/agent.json';
const claim = '/var/lib/skep/machine/machine.json';

/** Its one machine is made by the test, with the user data of its launch. */
class OneAddress extends MemoryLauncher {
  readonly #host: string;
  constructor(host: string) {
    super();
    this.#host = host;
  }

  override async allocate(): Promise<readonly SlotAddresses[]> {
    return [{ listen: { host: this.#host, port: 6881 }, ringPort: 6882, healthPort: 6883 }];
  }

  launched(): LaunchRequest | undefined {
    return this.living('bootstrap-1');
  }
}

describe.skipIf(isMissing && mayBeMissing)(
  'user data of a node, on a machine',
  { timeout: patienceMs },
  () => {
    const name = `skep-user-data-${process.pid}`;
    const host = createNodeHost();
    const machines: Machine[] = [];
    let network: VpcNetwork;
    let registry: Registry;
    let image: string;
    let server: HttpServer;
    let api: ControlApi;
    let client: ApiClient;
    let launcher: OneAddress;
    let node: Machine;
    let hopeless: Machine;

    const machine = (which: string, address: string, userData: string): Machine => {
      const made = new Machine(`${name}-${which}`, { network: name, address, userData });
      machines.push(made);
      return made;
    };
    const address = (last: number) => network.gateway.replace(/\.1$/, `.${last}`);

    beforeAll(async () => {
      network = await createVpcNetwork({ docker: new Docker() }, name);
      registry = await Registry.start();
      image = registry.push(productImage(), network.gateway);
      launcher = new OneAddress(address(10));
      const store = new MemoryStore();
      api = await createControlApi(
        { host, store, journal: store, launcher },
        {
          adminToken,
          version: 'test',
          baseUrl: () => `http://${network.gateway}:${server.local.port}`,
          masterSecret: host.random.bytes(32),
          joinTimeoutMs: patienceMs,
        },
      );
      server = await host.http.serve({ host: network.gateway, port: 0 }, api.handler);
      await api.start();
      const baseUrl = `http://${network.gateway}:${server.local.port}`;
      client = createApiClient({ baseUrl, token: adminToken, fetch });
      await client.createCluster({ body: { name: cluster, bootstrap: 1, peers: 0 } });
      await until(
        () => launcher.launched() !== undefined,
        () => 'nothing was launched',
      );
      const { config } = launcher.launched()!;
      node = machine('node', address(10), renderNodeUserData({ image, config }));
      const missing = image.replace(/[0-9a-f]{64}$/, '0'.repeat(64));
      hopeless = machine('hopeless', address(11), renderNodeUserData({ image: missing, config }));
    }, patienceMs);

    afterAll(async () => {
      for (const each of machines) each.remove();
      await api?.stop();
      await server?.close();
      await registry?.stop();
      await network?.remove();
      await host.close();
    }, patienceMs);

    it('becomes an agent that joins, and serves', async () => {
      const serves = async () => {
        const [found] = await client.listNodes({ params: { cluster } });
        return found?.state === 'serving';
      };
      await until(serves, () => `it does not serve: ${node.console()}`);
      const { Config, HostConfig } = JSON.parse(node.run('docker', 'inspect', 'skep-agent'))[0];
      expect(HostConfig).toMatchObject({
        ReadonlyRootfs: true,
        CapDrop: ['ALL'],
        NetworkMode: 'host',
        Privileged: false,
        SecurityOpt: ['no-new-privileges'],
      });
      expect(Config).toMatchObject({ User: '10001:10001', Image: image });
    });

    it('keeps the agent from the instance’s rights', () => {
      expect(node.run('iptables', '--list-rules', 'OUTPUT')).toMatch(
        /-d 169\.254\.169\.254\/32 .*10001 -j REJECT/,
      );
    });

    it('leaves its secrets to the agent’s user, and in no log, argument or environment', () => {
      const { joinSecret, ringKey } = launcher.launched()!.config;
      expect(node.run('stat', '--format', '%a %u', agentConfig)).toBe('600 10001\n');
      for (const secret of [joinSecret, ringKey!]) {
        const places = [
          node.console(),
          node.run('journalctl', '--no-pager', '--output', 'export'),
          node.run('sh', '-c', 'cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null | tr "\\0" "\\n"'),
          node.run('docker', 'inspect', 'skep-agent'),
          node.run('docker', 'logs', 'skep-agent'),
        ];
        expect(places.filter((text) => text.includes(secret))).toEqual([]);
        // What cloud-init keeps of user data is root's.
        const holders = node.run(
          'sh',
          '-c',
          `grep --recursive --files-with-matches --exclude-dir=overlay2 ${secret} /var /etc /run /usr || true`,
        );
        const readable = holders
          .split('\n')
          .filter((path) => path !== '' && !path.startsWith('/var/lib/docker/'))
          .filter((path) => !/^(600|400) /.test(node.run('stat', '--format', '%a %n', path)));
        expect(readable).toEqual([]);
      }
    });

    it('is off when its agent has ended as it was told', async () => {
      await client.deleteCluster({ params: { cluster } });
      await node.off();
      // By the time that it asks its cluster may be gone, or going.
      expect(node.console()).toMatch(/"message":"ended","reason":"(over|drained)"/);
    });

    it('lives no second life when it is started again: it is off at once', async () => {
      const lived = node.read(claim);
      node.start();
      await node.off();
      expect(node.read(claim)).toBe(lived);
    });

    it('is off if its image cannot be had', async () => {
      await hopeless.off();
      expect(hopeless.console()).toContain(
        'the agent could not be started (status 1), so this instance powers itself off',
      );
    });
  },
);

it.runIf(isMissing && !mayBeMissing)('has Docker and docker-registry, as SKEP_TEST_ALL=1 asks for', () => {
  expect(() => docker('version')).not.toThrow();
  expect(hasRegistry()).toBe(true);
});
