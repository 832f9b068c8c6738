/**
 * The Lambda functions of a deployment, each with a role of its own. What a function may do is granted by the constructs
 * that own what it touches; here each has its program, its environment, its log, and the right to write there.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { Duration } from 'aws-cdk-lib';
import * as iam from 'aws-cdk-lib/aws-iam';
import * as lambda from 'aws-cdk-lib/aws-lambda';
import { NodejsFunction, OutputFormat } from 'aws-cdk-lib/aws-lambda-nodejs';
import { Construct } from 'constructs';
import { deploymentLogs } from './deployment-logs.ts';

/** Each lives in lambdas/src/<name>/handler.ts. */
export type FunctionName = 'build' | 'deploy' | 'run-tests' | 'teardown' | 'watchdog' | 'reap' | 'lifecycle';

export interface FunctionsProps {
  /**
   * Directory with the workspaces of Skep.
   * @default - the repository that this package lies in
   */
  readonly source?: string;
}

/** Lambda's own limit: deploy, teardown, build and tests wait for what they began. */
const waits = Duration.minutes(15);

const descriptions: Record<FunctionName, { readonly description: string; readonly timeout: Duration }> = {
  build: { description: 'Builds the image of a source, or finds the one there is', timeout: waits },
  deploy: { description: 'Launches machines: it alone may', timeout: waits },
  'run-tests': { description: 'Has every node test itself', timeout: waits },
  teardown: { description: 'Ends machines: it may, and the reaper', timeout: waits },
  watchdog: { description: 'Heals in place of a control API that is gone', timeout: Duration.minutes(2) },
  reap: { description: 'Ends what is past its time to live, or orphaned', timeout: Duration.minutes(5) },
  lifecycle: {
    description: 'Builds and deploys as a stack is made, tears down as it ends',
    timeout: waits,
  },
};

export class Functions extends Construct {
  readonly #functions: ReadonlyMap<FunctionName, NodejsFunction>;

  constructor(scope: Construct, id: string, props: FunctionsProps = {}) {
    super(scope, id);
    const source = props.source ?? join(import.meta.dirname, '../..');
    const names = Object.keys(descriptions) as FunctionName[];
    this.#functions = new Map(names.map((name) => [name, this.#make(name, source)]));
  }

  get(name: FunctionName): NodejsFunction {
    return this.#functions.get(name)!;
  }

  get all(): readonly NodejsFunction[] {
    return [...this.#functions.values()];
  }

  #make(name: FunctionName, source: string): NodejsFunction {
    const entry = join(source, 'lambdas/src', name, 'handler.ts');
    if (!existsSync(entry)) throw new Error(`the function ${name} has no program: ${entry} is missing`);
    const logGroup = deploymentLogs(this, `${pascal(name)}Logs`);
    const role = new iam.Role(this, `${pascal(name)}Role`, {
      assumedBy: new iam.ServicePrincipal('lambda.amazonaws.com'),
      description: descriptions[name].description,
    });
    logGroup.grantWrite(role);
    return new NodejsFunction(this, pascal(name), {
      ...descriptions[name],
      entry,
      projectRoot: source,
      depsLockFilePath: join(source, 'package-lock.json'),
      runtime: lambda.Runtime.NODEJS_24_X,
      architecture: lambda.Architecture.ARM_64,
      memorySize: 512,
      role,
      logGroup,
      environment: { NODE_OPTIONS: '--enable-source-maps' },
      bundling: {
        format: OutputFormat.ESM,
        mainFields: ['module', 'main'],
        target: 'node24',
        sourceMap: true,
        sourcesContent: false,
        // The SDK that was tested, not the one that the runtime happens to have.
        bundleAwsSDK: true,
        // What is CommonJS beneath looks for Node's own modules by `require`.
        banner: "import { createRequire } from 'node:module';const require = createRequire(import.meta.url);",
      },
    });
  }
}

function pascal(name: string): string {
  return name.replace(/(?:^|-)([a-z])/g, (_, letter: string) => letter.toUpperCase());
}
