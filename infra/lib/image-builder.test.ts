/** Where images come from: kept, scanned, not overwritten, gone with the stack; and a source that is named by its content. */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { Stack } from 'aws-cdk-lib';
import { Match, Template } from 'aws-cdk-lib/assertions';
import { afterAll, describe, expect, it } from 'vitest';
import { newApp } from '../testing/synthesis.ts';
import { ImageBuilder, type ImageBuilderProps, readBuildSpec } from './image-builder.ts';

const scratch = mkdtempSync(join(tmpdir(), 'skep-source-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

function source(name: string, files: Record<string, string>): string {
  for (const [path, text] of Object.entries(files)) {
    const whole = join(scratch, name, path);
    mkdirSync(dirname(whole), { recursive: true });
    writeFileSync(whole, text);
  }
  return join(scratch, name);
}

const small = {
  '.dockerignore': '*\n!src\n',
  'node-agent/Dockerfile': 'FROM scratch\n',
  'src/a.ts': 'export const a = 1;\n',
  'notes.txt': 'not for the image\n',
};

function build(props: ImageBuilderProps) {
  const app = newApp();
  const stack = new Stack(app, 'Test');
  const builder = new ImageBuilder(stack, 'Image', props);
  const template = Template.fromStack(stack);
  return { builder, template, assembly: app.synth().directory };
}

describe('an image builder', () => {
  const { template, assembly } = build({ source: source('plain', small) });

  it('keeps images that are scanned and never overwritten, the newest of them only', () => {
    template.hasResource('AWS::ECR::Repository', {
      Properties: {
        ImageScanningConfiguration: { ScanOnPush: true },
        ImageTagMutability: 'IMMUTABLE',
        EmptyOnDelete: true,
        LifecyclePolicy: { LifecyclePolicyText: Match.stringLikeRegexp('imageCountMoreThan.*20') },
      },
      DeletionPolicy: 'Delete',
    });
  });

  it('builds on Arm, with a Docker daemon, and for no longer than who waits for it', () => {
    template.hasResourceProperties('AWS::CodeBuild::Project', {
      Environment: {
        Type: 'ARM_CONTAINER',
        Image: 'aws/codebuild/amazonlinux-aarch64-standard:3.0',
        PrivilegedMode: true,
      },
      TimeoutInMinutes: 14,
    });
  });

  it('uploads what Docker would see, and the Dockerfile', () => {
    const uploaded = readdirSync(assembly, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map(({ name }) => join(assembly, name))
      .find((path) => existsSync(join(path, 'node-agent/Dockerfile')));
    expect(readdirSync(uploaded!).sort()).toEqual(['.dockerignore', 'node-agent', 'src']);
  });
});

describe('the source', () => {
  const hashOf = (name: string, files: Record<string, string>) =>
    build({ source: source(name, { ...small, ...files }) }).builder.sourceHash;
  const plain = hashOf('one', {});

  it('has a name that is its content’s, wherever it lies', () => {
    expect(plain).toMatch(/^[0-9a-f]{64}$/);
    expect(hashOf('two', {})).toBe(plain);
    expect(hashOf('three', { 'notes.txt': 'other notes\n' })).toBe(plain);
    expect(hashOf('four', { 'src/a.ts': 'export const a = 2;\n' })).not.toBe(plain);
    expect(hashOf('five', { 'node-agent/Dockerfile': 'FROM other\n' })).not.toBe(plain);
  });

  it('is refused without a .dockerignore', () => {
    const bare = source('bare', { 'node-agent/Dockerfile': 'FROM scratch\n' });
    expect(() => build({ source: bare })).toThrow('.dockerignore cannot be read');
  });
});

it('builds for x86_64 with a machine of it', () => {
  build({ source: source('x86', small), architecture: 'x86_64' }).template.hasResourceProperties(
    'AWS::CodeBuild::Project',
    { Environment: { Type: 'LINUX_CONTAINER' } },
  );
});

it('has a buildspec whose variables are all given', () => {
  const { template } = build({ source: source('variables', small) });
  const [project] = Object.values(template.findResources('AWS::CodeBuild::Project'));
  const given = project!.Properties.Environment.EnvironmentVariables.map(
    ({ Name }: { Name: string }) => Name,
  );
  const used = new Set(JSON.stringify(readBuildSpec()).match(/SKEP_[A-Z_]+/g));
  expect([...used].sort()).toEqual(given.sort());
});
