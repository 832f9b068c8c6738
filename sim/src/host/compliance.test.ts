/** SimHost keeps the promises of Host: the suite that NodeHost passes too. */
import { describeHost } from '@skep/p2p-core/host/compliance';
import { SimWorld } from './sim-world.ts';

describeHost('SimHost', async () => {
  const uncaught: unknown[] = [];
  const world = new SimWorld({ seed: 'compliance' });
  const machineOf = (address: string) => ({
    host: world.createHost({ address, onUncaught: (error) => uncaught.push(error) }),
    address,
    scratch: '/scratch',
  });
  const machines = [machineOf('10.0.0.1'), machineOf('10.0.0.2')] as const;
  await world.complete(Promise.all(machines.map(({ host }) => host.files.makeDirectory('/scratch'))));
  return {
    machines,
    uncaught,
    run: (body) => world.complete(body()),
    close: async () => {
      for (const { host } of machines) host.crash();
    },
  };
});
