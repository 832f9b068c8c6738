/** Stacks as templates, for tests: without bundling the functions, which a test of its own does once. */
import { App, Stack, type StackProps } from 'aws-cdk-lib';
import { Template } from 'aws-cdk-lib/assertions';
import { vi } from 'vitest';
import { SkepStack, type SkepStackProps } from '../lib/skep-stack.ts';

// A stack takes a second to make, and some on a busy machine.
vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

const withoutBundling = { 'aws:cdk:bundling-stacks': [] };

export function newApp(): App {
  return new App({ context: withoutBundling });
}

/** The template of a stack that `build` fills. */
export function templateOf(build: (stack: Stack) => void, props: StackProps = {}): Template {
  const stack = new Stack(newApp(), 'Test', props);
  build(stack);
  return Template.fromStack(stack);
}

/** The stack of the app, as context says it. */
export function skepStack(props: SkepStackProps = {}): SkepStack {
  return new SkepStack(newApp(), 'Skep', { stackName: 'Bees', expiresAt: '2027-01-31T18:00:00Z', ...props });
}

export interface Resource {
  readonly Type: string;
  readonly Properties: Record<string, unknown>;
  readonly DependsOn?: readonly string[];
  readonly DeletionPolicy?: string;
  readonly UpdateReplacePolicy?: string;
}

export function resourcesOf(template: Template): Record<string, Resource> {
  return template.toJSON().Resources;
}
