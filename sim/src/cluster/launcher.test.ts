/** The simulated launcher keeps the promises of every launcher, in virtual time and with real agents. */
import { describeLauncher } from '@skep/control-api/launcher-compliance';
import { SimWorld } from '../host/index.ts';
import { Fleet } from './fleet.ts';
import { SimLauncher } from './launcher.ts';

describeLauncher('SimLauncher', async () => {
  const world = new SimWorld({ seed: 'launcher' });
  const fleet = new Fleet({ world, seed: 'launcher' });
  const stubborn = new Set<string>();
  fleet.onChange(({ ref, host }, change) => {
    if (change === 'booted' && stubborn.has(ref.token)) host!.pause();
  });
  const owner = world.createHost({ address: '10.0.0.1' });
  const { clock, compute } = owner;
  return {
    launcher: new SimLauncher({ fleet, host: owner }),
    compute,
    restart: () => new SimLauncher({ fleet, host: owner }),
    behaving: (request, behaviour) => {
      if (behaviour === 'ignores being told to end') stubborn.add(request.machine.token);
      // With nobody to report to, an orphan ends as soon as it may.
      const config = { ...request.config, orphanMs: behaviour === 'ends at once' ? 1_000 : 86_400_000 };
      return { ...request, config };
    },
    isRunning: ({ token }) => {
      const machine = fleet.of(token);
      return machine !== undefined && machine !== 'called-off' && machine.host?.state === 'running';
    },
    until: async (condition) => {
      while (!(await condition())) await new Promise<void>((resolve) => clock.setTimer(10, resolve));
    },
    run: (body) => world.complete(body()),
    close: async () => owner.crash(),
  };
});
