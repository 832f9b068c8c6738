/** Removes what was made in an Engine, by its labels; also of control APIs that cannot do so themselves any more. */
import { DockerEngine } from './docker-engine.ts';
import { type Labels, labels } from './docker-naming.ts';

/** Every container, volume and network with these labels. Rejects EngineError, some being removed then. */
export async function removeLabelled(engine: DockerEngine, having: Labels): Promise<void> {
  const containers = await engine.containers(having);
  await Promise.all(containers.map(({ id }) => engine.remove(id, { force: true })));
  const [volumes, networks] = await Promise.all([engine.volumes(having), engine.networks(having)]);
  await Promise.all([
    ...volumes.map((name) => engine.removeVolume(name)),
    ...networks.map(({ id }) => engine.removeNetwork(id)),
  ]);
}

/** All that the control APIs made that `isMeant` by the name that they are known by, SKEP_DOCKER_OWNER. */
export async function removeRemains(isMeant: (owner: string) => boolean): Promise<void> {
  const engine = new DockerEngine();
  const made = [...(await engine.containers()), ...(await engine.networks())];
  const owners = new Set(made.flatMap(({ labels: found }) => found[labels.owner] ?? []));
  for (const owner of owners) {
    if (isMeant(owner)) await removeLabelled(engine, { [labels.owner]: owner });
  }
}
