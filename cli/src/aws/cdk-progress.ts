/**
 * How far a deployment is, read from the lines of the CDK CLI (`--progress events --ci`). A pure reducer; lines that it
 * does not know change nothing, so that a newer CLI shows less and breaks nothing.
 */
import type { BoardRow } from '../terminal/board.ts';

export interface CdkProgress {
  readonly phase: 'synthesis' | 'assets' | 'resources';
  readonly done: number;
  /** Missing where the CLI does not know it, as in a deletion. */
  readonly total?: number;
  /** Resources that are being made or deleted, oldest first: logical id to type. */
  readonly busy: ReadonlyMap<string, string>;
  readonly finished: ReadonlySet<string>;
  /** What failed and why, in CloudFormation's words, in the order told. */
  readonly failures: readonly string[];
}

export const noProgress: CdkProgress = {
  phase: 'synthesis',
  done: 0,
  busy: new Map(),
  finished: new Set(),
  failures: [],
};

/** `Skep |  3/42 | 8:54:26 AM | CREATE_COMPLETE | AWS::SQS::Queue | Queue (Queue4A7E3555) reason`. */
const eventLine =
  /^\S+ \| +(?<done>\d+)(?:\/(?<total>\d+))? \| [^|]+ \| (?<status>[A-Z_]+) +\| (?<type>[\w:]+) +\| (?<id>\S+)(?: \([^)]+\))?(?: (?<reason>.+?))? *$/;

export function advanceProgress(progress: CdkProgress, line: string): CdkProgress {
  const event = eventLine.exec(line)?.groups;
  if (event === undefined) {
    const startsAssets = progress.phase === 'synthesis' && /^\S+: start: (Building|Publishing) /.test(line);
    return startsAssets ? { ...progress, phase: 'assets' } : progress;
  }
  const { done = '0', total, status = '', type = '', id = '', reason } = event;
  const busy = new Map(progress.busy);
  const finished = new Set(progress.finished);
  // The stack itself is always in progress, and events of one moment come in any order.
  if (type !== 'AWS::CloudFormation::Stack') {
    if (status.endsWith('_IN_PROGRESS')) {
      if (!finished.has(id)) busy.set(id, type);
    } else {
      busy.delete(id);
      finished.add(id);
    }
  }
  const failures = status.endsWith('_FAILED') && reason !== undefined ? [`${id}: ${reason}`] : [];
  return {
    phase: 'resources',
    done: Math.max(progress.done, Number(done)),
    ...(total === undefined ? {} : { total: Number(total) }),
    busy,
    finished,
    failures: [...progress.failures, ...failures],
  };
}

const words = { synthesis: 'template', assets: 'upload', resources: 'resources' } as const;

export function progressRows(progress: CdkProgress): BoardRow[] {
  const { phase, done, total, busy } = progress;
  if (phase !== 'resources') return [{ label: words[phase], fraction: undefined, detail: 'in progress' }];
  const [oldest] = busy;
  const waitsFor = oldest === undefined ? '' : `, waits for ${oldest[0]} (${oldest[1]})`;
  return [
    {
      label: words.resources,
      fraction: total === undefined ? undefined : Math.min(1, done / Math.max(1, total)),
      detail: `${done}${total === undefined ? '' : ` of ${total}`}${waitsFor}`,
    },
  ];
}
