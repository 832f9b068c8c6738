/** What the function `deploy` does: one action a request. It alone may launch. */
import { ConsoleAnswer, type DeployRequest, LaunchAnswer, ListAnswer, StandUpAnswer } from '@skep/contract';
import type * as z from 'zod';
import type { Instances } from '../ec2/instances.ts';
import type { LaunchAgreements } from '../launches/agreement.ts';
import type { OrderComponents } from '../orders.ts';
import type { Launches } from './launch.ts';
import { standUp } from './stand-up.ts';

export interface DeployComponents extends OrderComponents {
  readonly agreements: LaunchAgreements;
  readonly launches: Launches;
  readonly instances: Instances;
}

/** What each action is answered with. */
export const deployAnswers = {
  'stand-up': StandUpAnswer,
  launch: LaunchAnswer,
  list: ListAnswer,
  console: ConsoleAnswer,
} as const;

export async function deploy(
  components: DeployComponents,
  request: DeployRequest,
): Promise<z.infer<(typeof deployAnswers)[DeployRequest['action']]>> {
  const { launches, instances } = components;
  switch (request.action) {
    case 'stand-up':
      return standUp(components, request.spec, request.waitMs);
    case 'launch':
      return { outcomes: await launches.launch(request.machines) };
    case 'list': {
      const { clusterUid, instanceIds } = request;
      const found = await instances.list({
        ...(clusterUid === undefined ? {} : { clusterUid }),
        ...(instanceIds === undefined ? {} : { instanceIds }),
      });
      return {
        instances: found.flatMap(({ instanceId, state, machine }) =>
          machine === undefined || state === 'terminated' ? [] : [{ machine, instanceId, state }],
        ),
      };
    }
    case 'console': {
      const [instance] = await instances.find([request.machine]);
      const text = instance === undefined ? '' : await instances.consoleOutput(instance.instanceId);
      return { text: tail(text, request.tailBytes) };
    }
  }
}

function tail(text: string, bytes: number): string {
  return new TextDecoder().decode(new TextEncoder().encode(text).slice(-bytes));
}
