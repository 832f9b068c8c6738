/**
 * A scenario: what a run does and what it expects, apart from where it runs and with which seed. `Scenario` is
 * the form that people write, in YAML, with units in words (spoken.ts); parsing it gives `ScenarioPlan`, the
 * form that runners work by, in milliseconds, bytes and bytes per second.
 */
import * as z from 'zod';
import { ClusterSpec } from './cluster.ts';
import { controlApiNode, Fault } from './fault.ts';
import { SlotName, WorkingRole } from './identity.ts';
import { NetworkSpec } from './network.ts';
import { inSpokenWords, spoken, spokenField } from './spoken.ts';

export const RunnerName = z.enum(['sim', 'process', 'docker']);
export type RunnerName = z.infer<typeof RunnerName>;

const longestMs = 30 * 86_400_000;
const TimeMs = z.number().min(0).max(longestMs);
const Share = z.number().min(0).max(1);

const nodeSentence = 'Name a slot as in peer-3, or bootstrap, index, peer, leader, control-api.';

/** One word: a slot, a role for all of its slots, who leads at that moment, or the control API. */
const NodeWord = z
  .string()
  .regex(
    new RegExp(`^((${WorkingRole.options.join('|')})(-[1-9][0-9]{0,5})?|leader|control-api)$`),
    nodeSentence,
  );

/** So many of a role, drawn by the seed of the run. */
const SomeNodes = z.strictObject({ some: z.int().min(1).max(10_000), of: WorkingRole });

/** Which nodes a fault is done to: decided when it is, since that may hang on who leads then. */
export const NodeSelector = z
  .union(
    [
      NodeWord,
      SomeNodes,
      z
        .array(z.union([NodeWord, SomeNodes]))
        .min(1)
        .max(1_000),
    ],
    { error: `${nodeSentence} Or so many by chance, as in {some: 3, of: peer}.` },
  )
  .describe(
    'Nodes: a slot, a role, leader, control-api, {some: 3, of: peer} drawn by the seed, or a list of these.',
  );
export type NodeSelector = z.infer<typeof NodeSelector>;
export type NodeChoice = z.infer<typeof NodeWord> | z.infer<typeof SomeNodes>;

const selecting = { nodes: NodeSelector, from: NodeSelector.optional(), with: NodeSelector.optional() };
type Selecting<F> = F extends unknown
  ? { readonly [K in keyof F]: K extends keyof typeof selecting ? NodeSelector : F[K] }
  : never;

/** A fault whose nodes are still to be chosen. */
export type FaultPlan = Selecting<Fault>;

const FaultPlans = z.discriminatedUnion(
  'kind',
  Fault.options.map((option) => {
    const shape = Object.entries(option.shape as Record<string, z.ZodType>).map(([key, field]) => [
      key,
      Object.hasOwn(selecting, key) ? selecting[key as keyof typeof selecting] : field,
    ]);
    return z.strictObject(Object.fromEntries(shape));
  }) as unknown as [z.ZodObject],
) as unknown as z.ZodDiscriminatedUnion<[z.ZodObject<Record<never, never>>]> & z.ZodType<FaultPlan>;

const ContentName = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/, 'letters, digits, dots and dashes, 1 to 100, as a file name');

/** A file that spreads. Its bytes are derived from the seed of the run. */
export const ContentPlan = z.strictObject({
  name: ContentName,
  /** How long the file is. */
  bytes: z
    .int()
    .min(1)
    .max(2 ** 43),
  /** How many peers hold it from the start, the first ones; or which. */
  seeds: z.union([z.int().min(1).max(10_000), z.array(SlotName).min(1)]).default(1),
  /** Who fetches it: `all` peers that are no seed, those added later too; how many of these; or which. */
  leeches: z.union([z.literal('all'), z.int().min(0).max(10_000), z.array(SlotName)]).default('all'),
  /** When it is added, from the moment that the cluster serves. */
  atMs: TimeMs.default(0),
});
export type ContentPlan = z.infer<typeof ContentPlan>;

/** One thing that is done at a time. */
export const TimelineEntry = z.strictObject({
  /** From the moment that the cluster serves. */
  atMs: TimeMs,
  fault: FaultPlans.optional(),
  /** How many peers come. */
  addPeers: z.int().min(1).max(10_000).optional(),
  /** The name of a content that spreads from this moment on. */
  addContent: ContentName.optional(),
});
export type TimelineEntry = z.infer<typeof TimelineEntry>;

export const Expectations = z.strictObject({
  /** Leeches hold the content, whole and verified, within this time of its start, or of their own if they came later. */
  downloads: z
    .strictObject({
      withinMs: TimeMs,
      /** Of the leeches of each content. */
      share: Share.default(1),
    })
    .optional(),
  /** Every slot that is healed serves again, and one of the ring leads, within this time of the end of the last fault. */
  healed: z.strictObject({ withinMs: TimeMs }).optional(),
  /** The last leech is done after at most so many times what no swarm of such links can do faster. */
  lastFinisher: z.strictObject({ timesBound: z.number().min(1).max(1_000) }).optional(),
  /** The rules of the design are never broken. Judged where all of the world is seen: by the simulator. */
  invariants: z.boolean().optional(),
});
export type Expectations = z.infer<typeof Expectations>;

/** What the simulator decides that elsewhere the machine does. */
export const SimulationPlan = z.strictObject({
  /** From a launch to the machine's first moment, drawn evenly between the two. */
  boot: z.strictObject({ minMs: TimeMs, maxMs: TimeMs }).default({ minMs: 50, maxMs: 1_500 }),
  /** Share of launches that start nothing and are tried again. */
  launchFailureRate: Share.default(0),
});

/** The program's form. */
const ScenarioForm = z.strictObject({
  name: z
    .string()
    .regex(
      /^[a-z][a-z0-9-]{0,58}[a-z0-9]$/,
      'lower-case letters, digits and dashes, 2 to 60, starting with a letter',
    ),
  description: z.string().max(10_000).optional(),
  /** Where it can run. Default: everywhere. */
  runners: z.array(RunnerName).min(1).optional(),
  cluster: ClusterSpec.omit({ name: true, network: true, ephemeral: true }).prefault({}),
  /** The network that the machines stand in. */
  network: NetworkSpec.optional(),
  content: z.array(ContentPlan).max(100).default([]),
  timeline: z.array(TimelineEntry).max(1_000).default([]),
  expect: Expectations,
  /** The run goes on at least this long, also when all that is expected has come. */
  forMs: TimeMs.default(0),
  /** What has not come by then fails. */
  limitMs: TimeMs.min(1_000).default(600_000),
  /** How often nodes are looked at. */
  sampleIntervalMs: z.number().min(50).max(600_000).default(1_000),
  sim: SimulationPlan.optional(),
});
export type ScenarioPlan = z.infer<typeof ScenarioForm>;

/** Parses what people write; gives the plan, every default filled in. */
export const Scenario = spoken(ScenarioForm).superRefine((plan, context) => {
  for (const { path, message } of contradictions(plan)) context.addIssue({ code: 'custom', path, message });
});

/** The JSON Schema (2020-12) of what people write, for editors. */
export function scenarioJsonSchema(): object {
  const { $schema, ...schema } = z.toJSONSchema(Scenario, { io: 'input' });
  return { $schema, title: 'Skep scenario', description: 'What a run does, and what it expects.', ...schema };
}

export interface Contradiction {
  /** In the words of the file. */
  readonly path: (string | number)[];
  readonly message: string;
}

/** What no field alone can show to be wrong. */
function contradictions(plan: ScenarioPlan): Contradiction[] {
  return [
    ...expectationProblems(plan),
    ...contentProblems(plan),
    ...plan.timeline.flatMap((entry, index) =>
      entryProblems(plan, entry).map(({ path, message }) => ({
        path: ['timeline', index, ...path],
        message,
      })),
    ),
  ];
}

function expectationProblems({
  expect,
  content,
  timeline,
  network,
  limitMs,
  forMs,
}: ScenarioPlan): Contradiction[] {
  const found: Contradiction[] = [];
  const problem = (path: (string | number)[], message: string) => found.push({ path, message });
  if (Object.values(expect).every((value) => value === undefined || value === false)) {
    problem(
      ['expect'],
      'a scenario that expects nothing cannot fail: expect downloads, healed, lastFinisher or invariants',
    );
  }
  for (const key of ['downloads', 'lastFinisher'] as const) {
    if (expect[key] !== undefined && content.length === 0) {
      problem(['expect', key], 'nothing spreads that could be downloaded: add content');
    }
  }
  if (expect.healed !== undefined && !timeline.some(({ fault }) => fault !== undefined)) {
    problem(['expect', 'healed'], 'there is no fault to heal from: add one to the timeline');
  }
  if (expect.lastFinisher !== undefined && network?.links === undefined) {
    problem(['expect', 'lastFinisher'], 'links without limits have no bound: give network.links');
  }
  if (forMs > limitMs) problem(['for'], 'the run would end before that: make limit longer');
  return found;
}

function contentProblems({ content, cluster, timeline, limitMs }: ScenarioPlan): Contradiction[] {
  return content.flatMap(({ name, seeds, leeches, atMs }, index) => {
    const found: Contradiction[] = [];
    const problem = (key: string, message: string) => found.push({ path: ['content', index, key], message });
    if (content.findIndex((other) => other.name === name) !== index)
      problem('name', 'another content has this name');
    if (atMs > limitMs) problem('at', 'the run ends before that: make limit longer');
    if (typeof seeds === 'number' && seeds > cluster.peers) {
      problem(
        'seeds',
        `there are ${cluster.peers} peers to seed it: give cluster.peers more, or fewer seeds`,
      );
    }
    if (Array.isArray(seeds)) {
      const unknown = seeds.find((slot) => !isPeerUpTo(slot, cluster.peers));
      if (unknown !== undefined) problem('seeds', `${unknown} is no peer that is there from the start`);
    }
    const peers = cluster.peers + peersAdded(timeline);
    if (typeof leeches === 'number' && leeches > peers) problem('leeches', `there are only ${peers} peers`);
    if (Array.isArray(leeches)) {
      const unknown = leeches.find((slot) => !isPeerUpTo(slot, peers));
      if (unknown !== undefined) problem('leeches', `${unknown} is no peer of this scenario`);
    }
    const added = timeline.filter(({ addContent }) => addContent === name).length;
    if (added > 1 || (added === 1 && atMs > 0)) problem('at', 'it is added more than once');
    return found;
  });
}

function entryProblems(plan: ScenarioPlan, entry: TimelineEntry): Contradiction[] {
  const { atMs, fault, addPeers, addContent } = entry;
  const actions = [fault, addPeers, addContent].filter((action) => action !== undefined).length;
  if (actions !== 1)
    return [{ path: [], message: 'an entry does one thing: give it fault, addPeers or addContent' }];
  if (atMs > plan.limitMs) return [{ path: ['at'], message: 'the run ends before that: make limit longer' }];
  if (addContent !== undefined && !plan.content.some(({ name }) => name === addContent)) {
    return [{ path: ['addContent'], message: `there is no content named ${addContent}` }];
  }
  return fault === undefined
    ? []
    : faultProblems(plan, fault).map(({ path, message }) => ({ path: ['fault', ...path], message }));
}

function faultProblems({ cluster, network, timeline }: ScenarioPlan, fault: FaultPlan): Contradiction[] {
  const found: Contradiction[] = [];
  const counts = {
    bootstrap: cluster.bootstrap,
    index: cluster.index,
    peer: cluster.peers + peersAdded(timeline),
  };
  for (const key of Object.keys(selecting) as (keyof typeof selecting)[]) {
    const selector = (fault as Partial<Record<keyof typeof selecting, NodeSelector>>)[key];
    if (selector === undefined) continue;
    for (const choice of choicesOf(selector)) {
      const problem = choiceProblem(choice, counts);
      if (problem !== undefined) found.push({ path: [key], message: problem });
    }
  }
  const needsNetwork = !['crash', 'pause', 'restart'].includes(fault.kind);
  if (needsNetwork && network === undefined) {
    found.push({
      path: ['kind'],
      message: 'needs machines that have addresses of their own: give network, if only {}',
    });
  }
  // The limits that the fault's fields have together, whoever it is done to.
  const whole = Fault.safeParse({
    ...fault,
    nodes: ['peer-1'],
    ...('from' in fault ? { from: ['peer-2'] } : {}),
    ...('with' in fault ? { with: ['peer-2'] } : {}),
  });
  for (const issue of whole.error?.issues ?? []) {
    found.push({
      path: issue.path.map((part) => spokenField(String(part)).name),
      message: inSpokenWords(issue.message),
    });
  }
  return found;
}

function choiceProblem(
  choice: NodeChoice,
  counts: Readonly<Record<WorkingRole, number>>,
): string | undefined {
  if (typeof choice === 'object') {
    if (choice.some <= counts[choice.of]) return undefined;
    return `there are only ${counts[choice.of]} nodes of the role ${choice.of}`;
  }
  const [role, ordinal] = choice.split('-');
  if (ordinal === undefined || choice === controlApiNode) return undefined;
  return Number(ordinal) <= counts[role as WorkingRole]
    ? undefined
    : `there is no ${choice} in this scenario`;
}

export function choicesOf(selector: NodeSelector): readonly NodeChoice[] {
  return Array.isArray(selector) ? selector : [selector];
}

function peersAdded(timeline: readonly TimelineEntry[]): number {
  return timeline.reduce((sum, { addPeers = 0 }) => sum + addPeers, 0);
}

function isPeerUpTo(slot: string, peers: number): boolean {
  const [role, ordinal] = slot.split('-');
  return role === 'peer' && Number(ordinal) <= peers;
}
