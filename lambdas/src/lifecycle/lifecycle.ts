/**
 * Custom resources of CloudFormation: one is a cluster that is stood up and torn down with its stack, one an image that is
 * built before anything needs it, one the name that the control API sets. CloudFormation waits an hour for an answer that
 * does not come, so one is given always: also after an error, and before the function's own time is over.
 */
import { BuildAnswer, ClusterSpec, LifecycleProperties, StandUpAnswer, TeardownAnswer } from '@skep/contract';
import { type AwsFunctions, FunctionError } from '@skep/control-api/launchers/aws-functions';
import type { Clock, Http, Random } from '@skep/p2p-core/host';
import * as z from 'zod';
import { backOffMs, pause } from '../patience.ts';
import type { PrivateNames } from './private-names.ts';

/** https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/crpg-ref-requests.html */
export const LifecycleEvent = z.object({
  RequestType: z.enum(['Create', 'Update', 'Delete']),
  ResponseURL: z.url(),
  StackId: z.string(),
  RequestId: z.string(),
  LogicalResourceId: z.string(),
  PhysicalResourceId: z.string().optional(),
  ResourceProperties: z.unknown(),
});
export type LifecycleEvent = z.infer<typeof LifecycleEvent>;

export interface LifecycleComponents {
  readonly clock: Clock;
  readonly random: Random;
  readonly http: Http;
  readonly functions: Pick<AwsFunctions, 'call'>;
  readonly names: Pick<PrivateNames, 'remove'>;
}

/** The attributes of the resource. */
type Attributes = Readonly<Record<string, string>>;

/** How long one call of a function waits: connections that are silent for longer are cut on their way. */
const callWaitMs = 60_000;
/** CloudFormation takes no longer reason. */
const longestReason = 1_000;
const answerAttempts = 6;
const namedSlots = 10;
/** Beyond its wait, for a call to come back. */
const callMarginMs = 15_000;

/** Does what CloudFormation asks for, within `withinMs`, and tells it what came of that. Rejects only if it cannot be told. */
export async function serveLifecycle(
  components: LifecycleComponents,
  event: LifecycleEvent,
  withinMs: number,
): Promise<void> {
  const { clock } = components;
  const dueMs = clock.now() + withinMs;
  let answer: { Status: 'SUCCESS' | 'FAILED'; Reason?: string; Data?: Attributes };
  try {
    answer = { Status: 'SUCCESS', Data: await inTime(clock, withinMs, carryOut(components, event, dueMs)) };
  } catch (error) {
    const { message } = error as Error;
    answer = { Status: 'FAILED', Reason: message.slice(0, longestReason) };
  }
  const { StackId, RequestId, LogicalResourceId } = event;
  await tell(components, event.ResponseURL, {
    ...answer,
    StackId,
    RequestId,
    LogicalResourceId,
    // Always the same: by another CloudFormation would take it for a new one, and have the old one deleted.
    PhysicalResourceId: event.PhysicalResourceId ?? `skep-${LogicalResourceId}`,
  });
}

async function carryOut(
  components: LifecycleComponents,
  { RequestType, ResourceProperties }: LifecycleEvent,
  dueMs: number,
): Promise<Attributes> {
  const read = LifecycleProperties.safeParse(ResourceProperties);
  if (RequestType === 'Delete') {
    // Of what could not be read nothing was made, and an image is the repository's.
    if (!read.success) return {};
    if (read.data.Kind === 'cluster') return tearDown(components, read.data, dueMs);
    if (read.data.Kind === 'name') await components.names.remove(read.data.HostedZone, read.data.Name);
    return {};
  }
  if (!read.success) {
    throw new Error(`the resource's properties are not as they must be: ${z.prettifyError(read.error)}`);
  }
  if (read.data.Kind === 'image') return build(components, read.data, dueMs);
  return read.data.Kind === 'cluster' ? standUp(components, read.data, dueMs) : {};
}

async function build(
  components: LifecycleComponents,
  { SourceHash, Build }: LifecycleProperties & { Kind: 'image' },
  dueMs: number,
): Promise<Attributes> {
  for (;;) {
    const request = { sourceHash: SourceHash, waitMs: waitUntil(components.clock, dueMs) };
    const { state, image, message } = await call(components, dueMs, Build, request, BuildAnswer);
    if (state === 'built' && image !== undefined) return { Image: image };
    if (state === 'failed') throw new Error(message ?? 'the build failed: its log says why');
    if (components.clock.now() >= dueMs)
      throw new Error(`the image was not built in time: ${message}; deploy again to go on`);
  }
}

/** A cluster that there is already is waited for; if it is not what the spec says, the control API refuses, and so does this. */
async function standUp(
  components: LifecycleComponents,
  { Spec, Deploy }: LifecycleProperties & { Kind: 'cluster' },
  dueMs: number,
): Promise<Attributes> {
  const spec = ClusterSpec.parse(JSON.parse(Spec));
  for (;;) {
    const request = { action: 'stand-up', spec, waitMs: waitUntil(components.clock, dueMs) };
    const answer = await call(components, dueMs, Deploy, request, StandUpAnswer);
    if (answer.complete && answer.uid !== undefined) return { Uid: answer.uid };
    if (components.clock.now() >= dueMs)
      throw new Error(`the cluster does not serve yet: ${missingOf(answer)}`);
  }
}

async function tearDown(
  components: LifecycleComponents,
  { Teardown }: LifecycleProperties & { Kind: 'cluster' },
  dueMs: number,
): Promise<Attributes> {
  for (;;) {
    const request = { scope: 'cluster', waitMs: waitUntil(components.clock, dueMs) };
    const { state, left } = await call(components, dueMs, Teardown, request, TeardownAnswer);
    if (state === 'gone') return {};
    if (components.clock.now() >= dueMs)
      throw new Error(`still there: ${left.join(', ')}; destroy again to go on`);
  }
}

/** Repeats a call that did not come through: rights that were granted a moment ago take a while to be known everywhere. */
async function call<Answer extends z.ZodType>(
  { clock, random, functions }: LifecycleComponents,
  dueMs: number,
  name: string,
  request: unknown,
  answer: Answer,
): Promise<z.infer<Answer>> {
  for (let failures = 1; ; failures++) {
    try {
      return await functions.call(name, request, answer);
    } catch (error) {
      const mayPass = error instanceof FunctionError && error.code === 'no-answer';
      const waitMs = backOffMs(random, failures);
      if (!mayPass || clock.now() + waitMs >= dueMs) throw error;
      await pause(clock, waitMs);
    }
  }
}

function missingOf({ slots, message }: z.infer<typeof StandUpAnswer>): string {
  const missing = slots.filter(({ state }) => state !== 'serving');
  const named = missing
    .slice(0, namedSlots)
    .map(({ slot, state, reason }) => `${slot} is ${state}${reason ? ` (${reason})` : ''}`);
  return message ?? `${missing.length} of ${slots.length} nodes: ${named.join(', ')}`;
}

/** What a call may wait, with something left for its answer. */
function waitUntil(clock: Clock, dueMs: number): number {
  return Math.round(Math.max(0, Math.min(callWaitMs, dueMs - clock.now())));
}

async function inTime<T>(clock: Clock, withinMs: number, work: Promise<T>): Promise<T> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const seconds = Math.round(withinMs / 1_000);
  const lateMs = withinMs + callMarginMs;
  const timer = clock.setTimer(lateMs, () =>
    reject(new Error(`it was not done within ${seconds} s: do it again to go on`)),
  );
  try {
    return await Promise.race([work, late]);
  } finally {
    timer.cancel();
  }
}

/** PUT to the place that CloudFormation signed for it: without a content type, which it did not sign. */
async function tell(
  { clock, random, http }: LifecycleComponents,
  url: string,
  answer: unknown,
): Promise<void> {
  const init = { method: 'PUT', headers: { 'content-type': '' }, body: JSON.stringify(answer) };
  for (let attempt = 1; ; attempt++) {
    try {
      const response = await http.fetch(url, init);
      await response.body?.cancel();
      if (response.ok) return;
      throw new Error(`CloudFormation's place for the answer answered ${response.status}`);
    } catch (error) {
      if (attempt === answerAttempts) throw error;
      await pause(clock, backOffMs(random, attempt));
    }
  }
}
