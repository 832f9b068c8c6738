/** The CDK app: one stack, of what its context says (infra/lib/deployment-context.ts). */
import { readFileSync } from 'node:fs';
import { App } from 'aws-cdk-lib';
import { readDeployment } from '../lib/deployment-context.ts';
import { SkepStack } from '../lib/skep-stack.ts';

const app = new App();
try {
  const { stackName, networkAttributes, props } = readDeployment(app.node.getAllContext(), (path) =>
    readFileSync(path, 'utf8'),
  );
  new SkepStack(app, 'Skep', {
    ...props,
    stackName,
    ...(networkAttributes === undefined ? {} : { networkAttributes }),
    description: 'A Skep cluster: its control API, its functions, what its machines are made of',
  });
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exit(1);
}
